// SPDX-License-Identifier: Apache-2.0
// ThreadTeam: the threads of a cpu backend, made once, before the process is confined.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "mediator/backend/executor.h"

namespace mimic::mediator::backend {

/// Threads that share the pieces of one task. Thread-bound.
class ThreadTeam {
public:
    /// `threads` with the caller's, at least 1.
    explicit ThreadTeam(unsigned threads);
    ~ThreadTeam();
    ThreadTeam(const ThreadTeam&) = delete;
    ThreadTeam& operator=(const ThreadTeam&) = delete;

    unsigned size() const { return static_cast<unsigned>(helpers_.size()) + 1; }

    /// Runs piece(0) .. piece(pieces - 1), each once, on all threads, and returns when all are
    /// done; when `stop` is requested, the rest is left.
    void run(size_t pieces, const std::function<void(size_t index)>& piece, const StopSignal& stop);

private:
    void help();
    void take_pieces();

    std::vector<std::thread> helpers_;
    std::mutex mutex_;  // guards what follows but next_
    std::condition_variable begin_, end_;
    const std::function<void(size_t)>* piece_ = nullptr;  // borrowed during run()
    const StopSignal* stop_ = nullptr;                    // borrowed, too
    size_t pieces_ = 0;
    size_t working_ = 0;  // helpers that have not finished this round
    uint64_t round_ = 0;
    bool over_ = false;
    std::atomic<size_t> next_{0};
};

}  // namespace mimic::mediator::backend
