// SPDX-License-Identifier: Apache-2.0
// Timer: a task for later that its owner can take back. A TaskRunner runs whatever it was given,
// however long ago whoever asked has gone; what holds a `this` therefore goes through a Timer.
#pragma once

#include <cstdint>
#include <utility>

#include "base/task_runner.h"
#include "base/weak_ptr.h"

namespace mimic {

/// At most one task, which runs once at its time, or never: not once the timer was destroyed,
/// cancelled or given another task. It owns the task, so what that has captured goes with it.
/// Thread-bound to the thread of its runners, until cancel(): then that may be another. The task
/// may start, cancel or destroy its timer.
class Timer {
public:
    Timer() = default;
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    /// Runs `task` on `runner` no earlier than `delay` from now, in place of what was to run.
    /// `runner` is borrowed for the call.
    void start(TaskRunner& runner, Duration delay, TaskRunner::Task task) {
        runner.post_delayed(arm(std::move(task)), delay);
    }

    /// The same, soon: behind the tasks that were posted before.
    void post(TaskRunner& runner, TaskRunner::Task task) { runner.post(arm(std::move(task))); }

    void cancel() {
        task_ = nullptr;
        weak_.revoke();
    }

    /// Whether a task is to run. False while it runs.
    bool is_pending() const { return task_ != nullptr; }

private:
    TaskRunner::Task arm(TaskRunner::Task task) {
        task_ = std::move(task);
        return [weak = weak_.ptr(), round = ++round_] {
            if (Timer* const timer = weak.get()) timer->fire(round);
        };
    }

    void fire(uint64_t round) {
        if (round != round_ || !task_) return;
        const TaskRunner::Task task = std::exchange(task_, nullptr);
        task();  // nothing of this object after it
    }

    TaskRunner::Task task_;
    uint64_t round_ = 0;  // of the task; the runner still has the calls for earlier ones
    WeakOwner<Timer> weak_{this};
};

}  // namespace mimic
