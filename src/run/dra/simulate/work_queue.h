// SPDX-License-Identifier: Apache-2.0
// WorkQueue: numbers of nodes that somebody must look at. A number is with one worker at a time; if
// it is added meanwhile, it comes again afterwards. As client-go's workqueue, with one back-off.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace mimic::dra {

/// Thread-safe.
class WorkQueue {
public:
    using Clock = std::chrono::steady_clock;

    explicit WorkQueue(size_t items) : items_(items) {}

    /// Nothing happens if it waits already, unless it waits for a later time than this.
    void add(size_t item, Clock::duration delay = {});

    /// Waits for an item; nothing once the queue is closed. The caller gives it back by done().
    std::optional<size_t> take();
    void done(size_t item);

    /// No take() gives an item before then: the server asked everybody to wait.
    void hold_until(Clock::time_point time);

    void close();

    /// Waits until nothing is queued, delayed or with a worker; false if that was not so within
    /// `limit`, or the queue is closed.
    bool wait_idle(Clock::duration limit);

    /// Items queued, delayed or with a worker.
    size_t length() const;

private:
    struct Item {
        bool queued = false;   // in ready_ or delayed_
        bool working = false;  // with a worker
        bool again = false;    // was added while it was with a worker
        Clock::time_point due{};
    };

    void enqueue(size_t item, Clock::time_point due);
    void move_due(Clock::time_point now);

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Item> items_;
    std::deque<size_t> ready_;
    std::multimap<Clock::time_point, size_t> delayed_;
    Clock::time_point hold_{};
    size_t busy_ = 0;  // items that are queued or working
    bool closed_ = false;
};

}  // namespace mimic::dra
