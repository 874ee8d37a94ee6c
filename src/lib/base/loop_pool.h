// SPDX-License-Identifier: Apache-2.0
// LoopPool: a fixed number of threads, each running one EventLoop. Devices are sharded over them.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/event_loop.h"

namespace mimic {

/// Threads with loops. Thread-safe; created and destroyed by one thread that is none of its own.
class LoopPool {
public:
    /// Starts `threads` (>= 1) loops. Errors: those of EventLoop::create().
    static Result<std::unique_ptr<LoopPool>> create(unsigned threads);

    /// Stops and joins all loops. What lives on them must be gone: see run_on().
    ~LoopPool();

    unsigned size() const { return static_cast<unsigned>(loops_.size()); }
    EventLoop& loop(unsigned index) { return *loops_[index % loops_.size()]; }

    /// Runs `task` on `loop` and waits until it is done. Not from a thread of the pool.
    static void run_on(EventLoop& loop, const std::function<void()>& task);

private:
    LoopPool() = default;
    std::vector<std::unique_ptr<EventLoop>> loops_;
    std::vector<std::thread> threads_;
};

}  // namespace mimic
