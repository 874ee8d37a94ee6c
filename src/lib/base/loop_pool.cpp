// SPDX-License-Identifier: Apache-2.0
#include "base/loop_pool.h"

#include <pthread.h>
#include <csignal>
#include <future>

#include "base/check.h"

namespace mimic {

Result<std::unique_ptr<LoopPool>> LoopPool::create(unsigned threads) {
    MIMIC_CHECK(threads >= 1);
    std::unique_ptr<LoopPool> pool(new LoopPool());
    for (unsigned i = 0; i < threads; ++i) {
        MIMIC_ASSIGN_OR_RETURN(auto loop, EventLoop::create());
        pool->loops_.push_back(std::move(loop));
    }
    // Signals belong to the thread that made the pool.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    // A fault raised by the thread itself must still reach its handler (sigbus_guard.h).
    for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP}) sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (auto& loop : pool->loops_) pool->threads_.emplace_back([&loop = *loop] { loop.run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return pool;
}

LoopPool::~LoopPool() {
    for (auto& loop : loops_) loop->stop();
    for (auto& thread : threads_) thread.join();
}

void LoopPool::run_on(EventLoop& loop, const std::function<void()>& task) {
    MIMIC_CHECK(!loop.is_current());
    std::promise<void> done;
    loop.post([&] {
        task();
        done.set_value();
    });
    done.get_future().wait();
}

}  // namespace mimic
