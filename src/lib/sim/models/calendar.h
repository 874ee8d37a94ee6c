// SPDX-License-Identifier: Apache-2.0
// Calendars of resources: who asks in order of time learns at once when its turn is. That is what
// makes a completion known at its submission.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "sim/simulator.h"

namespace mimic::sim {

/// Servers that work at the same time, first come first served. Thread-compatible.
class Servers {
public:
    /// `count` at least 1.
    explicit Servers(uint32_t count) : count_(count) {}

    /// When a request that comes at `time` would be served. `time` must not go back.
    SimTime next(SimTime time) {
        drop(time);
        return busy_.size() < count_ ? time : busy_.front();
    }

    /// Takes the server that next() spoke of, which may still be busy until then: others that come
    /// free by then stay so for who comes next.
    void begin() {
        if (busy_.size() >= count_) pop();
    }

    /// How many serve others at `time`. Follows begin(). Looks at all of them.
    size_t busy_at(SimTime time) const {
        return static_cast<size_t>(
            std::count_if(busy_.begin(), busy_.end(), [time](SimTime end) { return end > time; }));
    }

    /// Follows begin(): the server is free again at `time`.
    void serve_until(SimTime time) {
        busy_.push_back(time);
        std::push_heap(busy_.begin(), busy_.end(), std::greater<>{});
    }

    /// Fewer: whoever is served now still is.
    void set_count(uint32_t count) {
        count_ = count;
        // With more busy than servers, the next begins when fewer than `count` are left.
        while (busy_.size() > count_) pop();
    }
    uint32_t count() const { return count_; }

    void clear() { busy_.clear(); }

private:
    void pop() {
        std::pop_heap(busy_.begin(), busy_.end(), std::greater<>{});
        busy_.pop_back();
    }
    void drop(SimTime time) {
        while (!busy_.empty() && busy_.front() <= time) pop();
    }

    uint32_t count_;
    std::vector<SimTime> busy_;  // a heap: when each that is busy is free, the first in front
};

/// One transfer after the other. Thread-compatible.
class Bus {
public:
    /// The end of a transfer that takes `length` and may begin at `time`.
    SimTime transfer(SimTime time, SimTime length) {
        free_ = std::max(free_, time) + length;
        return free_;
    }
    /// The end of the last transfer.
    SimTime free() const { return free_; }
    void clear() { free_ = 0; }

private:
    SimTime free_ = 0;
};

}  // namespace mimic::sim
