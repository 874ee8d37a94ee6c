// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace mimic {
namespace {

// Stand for the loop's own descriptors; no watch has them, because slots and generations start at
// 0.
constexpr uint64_t kWakeToken = ~uint64_t{0};
constexpr uint64_t kTimerToken = kWakeToken - 1;

// Events fetched by one epoll_wait. Arbitrary: large enough that a busy shard rarely needs two
// calls.
constexpr int kBatch = 64;

// The least that one of many ready handlers gets. Arbitrary: some messages more than the one that
// nobody is denied.
constexpr Duration kLeastShare = std::chrono::microseconds(10);

// Spinning: batches skipped at most after it failed, and how often preemption is looked at.
// Arbitrary; the first makes a wasted window cost under a thousandth of the time, the second keeps
// getrusage(2) off most iterations.
constexpr uint32_t kMaxSpinPenalty = 1023;
constexpr uint32_t kPreemptionCheck = 16;

uint64_t token_of(uint32_t slot, uint32_t generation) {
    return (uint64_t{generation} << 32) | slot;
}

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
    std::unique_ptr<EventLoop> loop(new EventLoop());
    loop->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!loop->epoll_) return fail_errno("epoll_create1");
    loop->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!loop->wake_) return fail_errno("eventfd");
    loop->timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!loop->timer_) return fail_errno("timerfd_create");
    for (const auto& [fd, token] :
         {std::pair{loop->wake_.get(), kWakeToken}, std::pair{loop->timer_.get(), kTimerToken}}) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = token;
        if (::epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
            return fail_errno("epoll_ctl(the loop's own descriptors)");
    }
    return loop;
}

EventLoop::~EventLoop() = default;

void EventLoop::run() {
    thread_ = std::this_thread::get_id();
    run_ready_tasks();
    while (!stop_.load(std::memory_order_acquire)) turn(Duration::max());
    stop_ = false;
}

void EventLoop::run_once(Duration timeout) {
    thread_ = std::this_thread::get_id();
    run_ready_tasks();
    if (!stop_.load(std::memory_order_acquire)) turn(timeout);
}

// Descriptors, then tasks, each for about kTurn. Nobody is left out: a handler or task that has
// begun ends by itself, and those that are left come first next time.
void EventLoop::turn(Duration timeout) {
    std::array<epoll_event, kBatch> events;
    const int count = wait(events, timeout);
    had_events_ = count > 0;
    share_ = count > 1 ? std::max<Duration>(kTurn / count, kLeastShare) : kTurn;
    for (int i = 0; i < count; ++i) {
        share_end_ = {};
        dispatch(events[static_cast<size_t>(i)]);
    }
    run_ready_tasks();
}

void EventLoop::dispatch(const epoll_event& event) {
    if (event.data.u64 == kWakeToken) {
        uint64_t ignored;
        [[maybe_unused]] const auto n = ::read(wake_.get(), &ignored, sizeof ignored);
        return;
    }
    if (event.data.u64 == kTimerToken) {
        uint64_t ignored;
        [[maybe_unused]] const auto n = ::read(timer_.get(), &ignored, sizeof ignored);
        has_tasks_.store(true, std::memory_order_release);
        return;
    }
    const auto slot = static_cast<uint32_t>(event.data.u64);
    const auto generation = static_cast<uint32_t>(event.data.u64 >> 32);
    if (slot >= watches_.size() || watches_[slot].generation != generation) return;  // unwatched
    watches_[slot].handler->on_fd_ready(event.events);
}

bool EventLoop::share_is_over() {
    const auto now = clock_.now();
    if (share_end_ == TimePoint{}) share_end_ = now + share_;
    return now >= share_end_;
}

int EventLoop::wait(std::span<epoll_event> events, Duration timeout) {
    if (spin_window_ > Duration::zero() && had_events_) {
        if (spin_skip_ > 0) {
            --spin_skip_;
        } else if (const int count = spin(events); count > 0) {
            return count;
        }
    }
    return ::epoll_wait(epoll_.get(), events.data(), kBatch, timeout_ms(timeout));
}

// One try: 0 if the window passed without an event.
int EventLoop::spin(std::span<epoll_event> events) {
    // Involuntary switches mean that somebody else needed this CPU: then spinning takes more than
    // it gives.
    if (++spin_tries_ % kPreemptionCheck == 0) {
        rusage usage{};
        ::getrusage(RUSAGE_THREAD, &usage);
        if (std::exchange(preemptions_, usage.ru_nivcsw) != usage.ru_nivcsw) {
            spin_skip_ = kMaxSpinPenalty;
            return 0;
        }
    }
    const auto deadline = clock_.now() + spin_window_;
    do {
        const int count = ::epoll_wait(epoll_.get(), events.data(), kBatch, 0);
        if (count > 0) {
            spin_penalty_ = 0;
            return count;
        }
    } while (clock_.now() < deadline && !has_tasks_.load(std::memory_order_relaxed));
    spin_penalty_ = std::min(spin_penalty_ * 2 + 1, kMaxSpinPenalty);
    spin_skip_ = spin_penalty_;
    return 0;
}

void EventLoop::set_spin(Duration window) {
    spin_window_ = ::get_nprocs() > 1 ? window : Duration::zero();
}

void EventLoop::stop() {
    stop_.store(true, std::memory_order_release);
    wake();
}

void EventLoop::wake() {
    const uint64_t one = 1;
    // EAGAIN means that the counter is full, so the loop wakes anyway.
    [[maybe_unused]] const auto n = ::write(wake_.get(), &one, sizeof one);
}

Status EventLoop::watch(int fd, uint32_t events, FdHandler& handler) {
    MIMIC_CHECK(!slot_of_fd_.contains(fd));
    uint32_t slot;
    if (free_slots_.empty()) {
        slot = static_cast<uint32_t>(watches_.size());
        watches_.push_back({});
    } else {
        slot = free_slots_.back();
        free_slots_.pop_back();
    }
    Watch& watch = watches_[slot];
    watch.handler = &handler;
    watch.fd = fd;
    epoll_event event{};
    event.events = events;
    event.data.u64 = token_of(slot, watch.generation);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        const int error_number = errno;
        watch.handler = nullptr;
        free_slots_.push_back(slot);
        return tl::unexpected<Error>(Error::from_errno(error_number, "epoll_ctl(ADD)"));
    }
    slot_of_fd_[fd] = slot;
    return {};
}

Status EventLoop::rewatch(int fd, uint32_t events) {
    const auto found = slot_of_fd_.find(fd);
    MIMIC_CHECK(found != slot_of_fd_.end());
    epoll_event event{};
    event.events = events;
    event.data.u64 = token_of(found->second, watches_[found->second].generation);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0)
        return fail_errno("epoll_ctl(MOD)");
    return {};
}

void EventLoop::unwatch(int fd) {
    const auto found = slot_of_fd_.find(fd);
    if (found == slot_of_fd_.end()) return;
    const uint32_t slot = found->second;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    watches_[slot].handler = nullptr;
    watches_[slot].generation++;  // events of this fd that were fetched already no longer match
    free_slots_.push_back(slot);
    slot_of_fd_.erase(found);
}

void EventLoop::post(Task task) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(task));
        has_tasks_.store(true, std::memory_order_release);
    }
    if (!is_current()) wake();
}

void EventLoop::post_delayed(Task task, Duration delay) {
    const std::lock_guard lock(mutex_);
    const auto added = delayed_.emplace(clock_.now() + delay, std::move(task));
    if (added == delayed_.begin()) arm_timer();
}

// Sets the timer to the earliest delayed task. With mutex_ held.
void EventLoop::arm_timer() {
    itimerspec when{};
    if (!delayed_.empty()) {
        // steady_clock is CLOCK_MONOTONIC (libstdc++). A time of zero would disarm the timer.
        const auto due = std::max<int64_t>(delayed_.begin()->first.time_since_epoch().count(), 1);
        when.it_value.tv_sec = due / 1'000'000'000;
        when.it_value.tv_nsec = due % 1'000'000'000;
    }
    MIMIC_CHECK(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0);
}

bool EventLoop::is_current() const {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

void EventLoop::run_ready_tasks() {
    // The flag keeps the lock and the clock off the path of a loop that only serves sockets.
    if (!has_tasks_.load(std::memory_order_acquire)) return;
    take_ready_tasks();
    // What these post waits for the next turn, or two tasks that post each other would keep the
    // loop.
    while (next_ready_ < ready_.size()) {
        const Task task = std::move(ready_[next_ready_++]);
        task();
        if (share_is_over()) break;
    }
    if (next_ready_ < ready_.size()) return has_tasks_.store(true, std::memory_order_release);
    ready_.clear();
    next_ready_ = 0;
}

// Those that are due, behind those that were left over.
void EventLoop::take_ready_tasks() {
    const std::lock_guard lock(mutex_);
    if (next_ready_ > 0) {
        ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(next_ready_));
        next_ready_ = 0;
    }
    std::move(posted_.begin(), posted_.end(), std::back_inserter(ready_));
    posted_.clear();
    const auto now = clock_.now();
    share_end_ = now + kTurn;
    bool due = false;
    for (; !delayed_.empty() && delayed_.begin()->first <= now; due = true) {
        ready_.push_back(std::move(delayed_.begin()->second));
        delayed_.erase(delayed_.begin());
    }
    if (due) arm_timer();
    has_tasks_.store(false, std::memory_order_release);
}

int EventLoop::timeout_ms(Duration limit) const {
    using std::chrono::milliseconds;
    if (has_tasks_.load(std::memory_order_acquire)) return 0;
    if (limit == Duration::max()) return -1;
    // Rounded up: returning early would make a caller that waits for a time spin.
    const auto ms = std::chrono::ceil<milliseconds>(limit).count();
    return static_cast<int>(std::min<int64_t>(ms, 1'000'000));
}

}  // namespace mimic
