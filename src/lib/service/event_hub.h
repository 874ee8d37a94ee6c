// SPDX-License-Identifier: Apache-2.0
// EventHub: takes what happens in this process and gives it to all readers of GET /v1/events.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/task_runner.h"
#include "service/event_queue.h"

namespace mimic::service {

/// Thread-safe. Publishing never waits for a reader, and costs one atomic load while nobody reads.
class EventHub {
public:
    /// Events that a reader who comes back can still get, and how long at least they are kept for
    /// it after the last reader went. Arbitrary.
    static constexpr size_t kHistory = 1024;
    static constexpr Duration kKeepHistory = std::chrono::minutes(1);

    /// `machine` is a member of every event that is published.
    explicit EventHub(std::string machine, Duration keep = kKeepHistory)
        : machine_(std::move(machine)), keep_(keep) {}

    /// Whether anybody hears what is published; else the caller need not make it.
    bool listening() const { return listening_.load(std::memory_order_relaxed); }

    /// Tells all readers: {"time_us", "machine", "device", ...`members`}. `device` empty: null.
    /// `members` is an object.
    void publish(std::string_view type, std::string_view device,
                 const nlohmann::ordered_json& members);

    /// Tells all readers of `data`'s machine what another process told us. `data` is an object with
    /// a string "machine". Nothing happens while nobody listens.
    void pass_on(std::string_view type, const nlohmann::ordered_json& data);

    /// A new reader, from now on, of one machine, or all of them if that is empty. With `after`,
    /// the id that an earlier reader saw last, also of what came since: if not all of that is kept,
    /// or the id is not this hub's, the first event is "missed".
    std::shared_ptr<EventQueue> subscribe(std::optional<uint64_t> after,
                                          const std::string& machine = "");

    /// Forgets what is kept for those who come back if nobody has read for kKeepHistory. False
    /// while somebody reads or may come back.
    bool forget_if_idle();

    struct Counters {
        uint64_t published = 0;
        uint64_t readers = 0;          // now
        uint64_t dropped_readers = 0;  // cut off so far, because they were slow
    };
    Counters counters();

private:
    struct Kept {
        uint64_t id;
        std::string machine;
        std::string frame;
    };
    struct Reader {
        std::string machine;
        std::weak_ptr<EventQueue> queue;  // owned by the server that feeds it on
    };

    void add(std::string_view type, const nlohmann::ordered_json& data);
    void forget_readers();
    bool forget_locked();

    const std::string machine_;
    const Duration keep_;
    std::atomic<bool> listening_{false};
    std::mutex mutex_;
    std::vector<Reader> readers_;
    std::deque<Kept> history_;
    std::optional<TimePoint> idle_since_;  // when it was first seen that there are no readers
    uint64_t last_id_ = 0;
    uint64_t complete_after_ = 0;  // nothing with a greater id is missing from the history
    Counters counters_;
};

/// The id in a Last-Event-ID header; nullopt for none, 0 (no hub gives it) for one that is no
/// number.
std::optional<uint64_t> event_id(std::string_view header);

}  // namespace mimic::service
