// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/work_queue.h"

#include <algorithm>

namespace mimic::dra {

void WorkQueue::enqueue(size_t item, Clock::time_point due) {
    Item& entry = items_[item];
    entry.queued = true;
    entry.due = due;
    if (due == Clock::time_point{}) {
        ready_.push_back(item);
    } else {
        delayed_.emplace(due, item);
    }
}

void WorkQueue::add(size_t item, Clock::duration delay) {
    const auto due = delay > Clock::duration::zero() ? Clock::now() + delay : Clock::time_point{};
    const std::lock_guard lock(mutex_);
    Item& entry = items_[item];
    if (entry.working) {
        // Whoever works on it may have looked already. What comes sooner wins.
        entry.due = entry.again ? std::min(entry.due, due) : due;
        entry.again = true;
        return;
    }
    if (entry.queued) {
        if (entry.due <= due) return;
        const auto [first, last] = delayed_.equal_range(entry.due);
        for (auto one = first; one != last; ++one) {
            if (one->second == item) {
                delayed_.erase(one);
                break;
            }
        }
    } else {
        ++busy_;
    }
    enqueue(item, due);
    changed_.notify_all();
}

void WorkQueue::move_due(Clock::time_point now) {
    while (!delayed_.empty() && delayed_.begin()->first <= now) {
        ready_.push_back(delayed_.begin()->second);
        delayed_.erase(delayed_.begin());
    }
}

std::optional<size_t> WorkQueue::take() {
    std::unique_lock lock(mutex_);
    while (!closed_) {
        const auto now = Clock::now();
        move_due(now);
        // wait_until() looks at the time once more when it is over: at ours, for others move on.
        if (now < hold_) {
            const auto until = hold_;
            changed_.wait_until(lock, until);
        } else if (!ready_.empty()) {
            const size_t item = ready_.front();
            ready_.pop_front();
            items_[item].queued = false;
            items_[item].working = true;
            return item;
        } else if (!delayed_.empty()) {
            const auto until = delayed_.begin()->first;
            changed_.wait_until(lock, until);
        } else {
            changed_.wait(lock);
        }
    }
    return std::nullopt;
}

void WorkQueue::done(size_t item) {
    const std::lock_guard lock(mutex_);
    Item& entry = items_[item];
    entry.working = false;
    if (entry.again) {
        entry.again = false;
        enqueue(item, entry.due);
    } else {
        --busy_;
    }
    if (busy_ == 0 || entry.queued) changed_.notify_all();
}

void WorkQueue::hold_until(Clock::time_point time) {
    const std::lock_guard lock(mutex_);
    hold_ = std::max(hold_, time);
}

void WorkQueue::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

bool WorkQueue::wait_idle(Clock::duration limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [this] { return busy_ == 0 || closed_; }) && !closed_;
}

size_t WorkQueue::length() const {
    const std::lock_guard lock(mutex_);
    return busy_;
}

}  // namespace mimic::dra
