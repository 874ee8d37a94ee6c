// SPDX-License-Identifier: Apache-2.0
// VirtualTime: the TaskRunner and Clock of tests. Time stands still until the test moves it, and
// tasks run when the test says so. Needs no test framework.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "base/task_runner.h"

namespace mimic {

/// Runs tasks in order of their due time, those of one time in the order in which they were posted.
/// A task may post others; it must not destroy this. Thread-bound, unlike other runners.
class VirtualTime final : public TaskRunner, public Clock {
public:
    static constexpr size_t kManyTurns = 100'000;

    void post(Task task) override { tasks_.emplace(now_, std::move(task)); }
    void post_delayed(Task task, Duration delay) override {
        tasks_.emplace(now_ + delay, std::move(task));
    }
    TimePoint now() const override { return now_; }
    bool is_current() const override { return true; }

    /// Runs the tasks that are due now, not those that they post. Returns how many.
    size_t turn() {
        size_t ready = 0;
        for (auto task = tasks_.begin(); task != tasks_.end() && task->first <= now_; ++task) {
            ++ready;
        }
        // Some may be dropped by those before them.
        size_t ran = 0;
        for (; ran < ready && !tasks_.empty(); ++ran) run_first();
        return ran;
    }

    /// Turns until nothing is due, at most `limit` times. Returns how often there was something.
    size_t run(size_t limit = kManyTurns) {
        size_t turns = 0;
        while (turns < limit && turn() != 0) ++turns;
        return turns;
    }

    /// As run(), but time goes on to the next task whenever nothing is due, until there is none.
    size_t run_all(size_t limit = kManyTurns) {
        size_t turns = 0;
        for (; turns < limit && !tasks_.empty(); ++turns) {
            now_ = std::max(now_, tasks_.begin()->first);
            turn();
        }
        return turns;
    }

    /// Time goes on by `time`; each task that is due meanwhile finds the time at which it was due.
    void advance(Duration time) {
        const TimePoint end = now_ + time;
        while (!tasks_.empty() && tasks_.begin()->first <= end) {
            now_ = std::max(now_, tasks_.begin()->first);
            run_first();
        }
        now_ = end;
    }

    /// Tasks that wait, due or not.
    size_t pending() const { return tasks_.size(); }
    bool idle() const { return tasks_.empty(); }

    /// Destroys all tasks that wait, as a loop does that ends.
    void drop_all() { std::exchange(tasks_, {}).clear(); }

private:
    void run_first() {
        const auto first = tasks_.extract(tasks_.begin());
        first.mapped()();
    }

    TimePoint now_{};
    std::multimap<TimePoint, Task> tasks_;
};

}  // namespace mimic
