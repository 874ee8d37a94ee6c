// SPDX-License-Identifier: Apache-2.0
// EventLoop: one thread's epoll set, timers and task queue. A device and all its state belong to
// one loop, which is why device models have no locks.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "base/unique_fd.h"

struct epoll_event;

namespace mimic {

/// Receives readiness of a watched descriptor, on the loop's thread.
class FdHandler {
public:
    /// `events`: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll_wait(2) reports them.
    virtual void on_fd_ready(uint32_t events) = 0;

protected:
    ~FdHandler() = default;
};

/// Epoll loop; level-triggered unless a watch asks for EPOLLET. Thread-bound except where a member
/// says thread-safe: watch(), unwatch() and all handlers run on the thread that called run(), or
/// before run() is called.
class EventLoop final : public TaskRunner {
public:
    /// Errors: EMFILE, ENOMEM from epoll_create1(2) and eventfd(2).
    static Result<std::unique_ptr<EventLoop>> create();
    ~EventLoop() override;

    /// How long handlers, and then tasks, go on in one turn before the others are looked at.
    /// Arbitrary: what a neighbour may notice, and a hundred times what a turn costs.
    static constexpr Duration kTurn = std::chrono::microseconds(200);

    /// Dispatches until stop(). Tasks still queued then are dropped by the destructor, not run.
    void run();

    /// Waits at most `timeout` for events and dispatches one batch. For tests and for embedding in
    /// a foreign loop.
    void run_once(Duration timeout);

    /// Lets run() look for the next event for up to `window` before it sleeps, after a batch that
    /// had one. Waking a sleeping thread on another CPU is most of a request's latency
    /// (bench/README.md). It stops trying for a while when that does not pay: nothing came in the
    /// window, or other threads want the CPU. Zero, the default: never. Ignored on a machine with
    /// one CPU. Call on the loop's thread, or before run().
    void set_spin(Duration window);

    /// For a handler or task that could go on: true once its share of this turn is over, and it
    /// should leave the rest for its next call. Handlers that are ready at the same time share
    /// kTurn, so that one of them alone has all of it. A handler's share begins with its first
    /// question, so that one with little to do never reads the clock; the tasks of a turn have one
    /// share together. Call on the loop's thread.
    bool share_is_over();

    /// Makes run() return soon. Thread-safe, and safe in a signal handler.
    void stop();

    /// Calls `handler` while `fd` is ready for `events` (EPOLLIN and so on); with EPOLLET among
    /// them once each time it becomes ready. The handler is borrowed until unwatch(). Errors: those
    /// of epoll_ctl(2).
    Status watch(int fd, uint32_t events, FdHandler& handler);

    /// Changes the events of a watched `fd`; an edge-triggered one that is ready is told once more.
    /// Errors: those of epoll_ctl(2).
    Status rewatch(int fd, uint32_t events);

    /// Forgets `fd`; no handler call for it happens after this returns, even if its event was
    /// already fetched.
    void unwatch(int fd);

    void post(Task task) override;
    void post_delayed(Task task, Duration delay) override;
    TimePoint now() const override { return clock_.now(); }
    bool is_current() const override;
    EventLoop* event_loop() override { return this; }

private:
    struct Watch {
        FdHandler* handler = nullptr;
        uint32_t generation = 0;
        int fd = -1;
    };

    EventLoop() = default;
    void wake();
    void turn(Duration timeout);
    void dispatch(const epoll_event& event);
    void run_ready_tasks();
    void take_ready_tasks();
    void arm_timer();
    int timeout_ms(Duration limit) const;
    int wait(std::span<epoll_event> events, Duration timeout);
    int spin(std::span<epoll_event> events);

    SteadyClock clock_;
    UniqueFd epoll_;
    UniqueFd wake_;
    UniqueFd timer_;  // timerfd: a timeout of epoll_wait(2) would cost every call a timer
    std::atomic<bool> stop_{false};
    std::atomic<std::thread::id> thread_{};

    std::vector<Watch> watches_;  // indexed by slot; epoll data holds slot and generation
    std::vector<uint32_t> free_slots_;
    std::unordered_map<int, uint32_t> slot_of_fd_;

    Duration share_ = kTurn;   // of each handler of this turn
    TimePoint share_end_{};    // of whoever runs now; zero: it has not asked yet
    std::vector<Task> ready_;  // taken from the queues below; the loop's thread only
    size_t next_ready_ = 0;    // those before it have run

    Duration spin_window_{};
    bool had_events_ = false;    // the previous batch called a handler
    uint32_t spin_skip_ = 0;     // batches to go to sleep at once before the next try
    uint32_t spin_penalty_ = 0;  // doubles with each failed try
    uint32_t spin_tries_ = 0;
    int64_t preemptions_ = 0;

    std::mutex mutex_;  // guards the two queues below
    std::vector<Task> posted_;
    std::multimap<TimePoint, Task> delayed_;
    std::atomic<bool> has_tasks_{false};  // in posted_ or ready_, or the timer has fired
};

}  // namespace mimic
