// SPDX-License-Identifier: Apache-2.0
// EventQueue: what waits for one reader of server-sent events (HTML Standard, 9.2), bounded.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "service/http.h"

namespace mimic::service {

/// "id: 7\nevent: reset\ndata: {...}\n\n". `id` empty: without one. `type` has no line break.
std::string event_frame(std::string_view id, std::string_view type,
                        const nlohmann::ordered_json& data);

/// A stream of frames from those who push() to the one who read()s. Thread-safe; nothing waits.
class EventQueue final : public HttpStream {
public:
    /// Events that a reader may be behind. Arbitrary.
    static constexpr size_t kMaxWaiting = 2048;

    /// A reader that falls further behind is cut off: it gets what waits, then the event "dropped"
    /// with the number of those that it missed, then the end. True for the first that is missed.
    bool push(std::string frame);

    /// Ends the stream after what waits.
    void close();

    /// True once the reader was cut off or close() was called: nothing more gets in.
    bool closed() const;

    Next read(std::string& chunk) override;
    void set_waker(std::function<void()> wake) override;

private:
    void wake();

    mutable std::mutex mutex_;
    std::deque<std::string> waiting_;
    uint64_t missed_ = 0;
    bool closed_ = false;
    bool told_ = false;  // the reader has got its "dropped"
    std::mutex waker_mutex_;
    std::function<void()> waker_;
};

}  // namespace mimic::service
