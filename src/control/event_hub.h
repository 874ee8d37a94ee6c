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
#include "control/event_queue.h"

namespace mimic::control {

/// Thread-safe. Publishing never waits for a reader, and costs one atomic load while nobody reads.
class EventHub {
public:
    /// Events that a reader who comes back can still get, and how long they are kept for it after
    /// the last reader went. Arbitrary.
    static constexpr size_t kHistory = 1024;
    static constexpr Duration kKeepHistory = std::chrono::minutes(1);

    /// `machine` is a member of every event.
    explicit EventHub(std::string machine) : machine_(std::move(machine)) {}

    /// Whether anybody hears what is published; else the caller need not make it.
    bool listening() const { return listening_.load(std::memory_order_relaxed); }

    /// Tells all readers: {"time_us", "machine", "device", ...`members`}. `device` empty: null.
    /// `members` is an object.
    void publish(std::string_view type, std::string_view device,
                 const nlohmann::ordered_json& members);

    /// A new reader, from now on; with `after`, an id that an earlier one saw, also what is kept of
    /// that which came later.
    std::shared_ptr<EventQueue> subscribe(std::optional<uint64_t> after);

    struct Counters {
        uint64_t published = 0;
        uint64_t readers = 0;          // now
        uint64_t dropped_readers = 0;  // cut off so far, because they were slow
    };
    Counters counters();

private:
    struct Kept {
        uint64_t id;
        std::string frame;
    };

    void forget_readers();

    const std::string machine_;
    std::atomic<bool> listening_{false};
    std::mutex mutex_;
    std::vector<std::weak_ptr<EventQueue>> readers_;  // owned by the servers that feed them on
    std::deque<Kept> history_;
    TimePoint last_reader_{};  // when there was one for the last time
    uint64_t last_id_ = 0;
    Counters counters_;
};

/// The id in a Last-Event-ID header; nullopt for none, or one that is not ours.
std::optional<uint64_t> event_id(std::string_view header);

}  // namespace mimic::control
