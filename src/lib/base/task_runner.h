// SPDX-License-Identifier: Apache-2.0
// TaskRunner and Clock: where work runs and what time it is. Models and sessions take these by
// reference and never sleep or read the system clock, so that tests and simulators can own time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace mimic {

/// Monotonic time since an arbitrary start.
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// Source of monotonic time. Thread-safe.
class Clock {
public:
    virtual ~Clock() = default;
    virtual TimePoint now() const = 0;
};

/// The machine's CLOCK_MONOTONIC. Thread-safe.
class SteadyClock final : public Clock {
public:
    TimePoint now() const override {
        return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
    }
};

class EventLoop;

/// Runs tasks one at a time, in order of their due time.
class TaskRunner {
public:
    using Task = std::function<void()>;

    virtual ~TaskRunner() = default;

    /// Runs `task` soon, after those posted before it. Thread-safe.
    virtual void post(Task task) = 0;

    /// Runs `task` no earlier than `delay` from now. Thread-safe.
    virtual void post_delayed(Task task, Duration delay) = 0;

    /// Time by this runner's clock. Thread-safe.
    virtual TimePoint now() const = 0;

    /// True on the thread (or in the simulated context) that runs the tasks. Thread-safe.
    virtual bool is_current() const = 0;

    /// The loop that this is, for who must watch descriptors; nullptr where there is none
    /// (simulated time). Thread-safe.
    virtual EventLoop* event_loop() { return nullptr; }
};

}  // namespace mimic
