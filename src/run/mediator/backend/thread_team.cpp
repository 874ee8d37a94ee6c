// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/thread_team.h"

namespace mimic::mediator::backend {

ThreadTeam::ThreadTeam(unsigned threads) {
    for (unsigned i = 1; i < threads; ++i) helpers_.emplace_back([this] { help(); });
}

ThreadTeam::~ThreadTeam() {
    {
        const std::lock_guard lock(mutex_);
        over_ = true;
    }
    begin_.notify_all();
    for (auto& helper : helpers_) helper.join();
}

void ThreadTeam::run(size_t pieces, const std::function<void(size_t)>& piece,
                     const StopSignal& stop) {
    if (helpers_.empty() || pieces < 2) {
        for (size_t i = 0; i < pieces && !stop.requested(); ++i) piece(i);
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        piece_ = &piece;
        stop_ = &stop;
        pieces_ = pieces;
        next_ = 0;
        working_ = helpers_.size();
        ++round_;
    }
    begin_.notify_all();
    take_pieces();
    std::unique_lock lock(mutex_);
    end_.wait(lock, [this] { return working_ == 0; });
    piece_ = nullptr;
    stop_ = nullptr;
}

void ThreadTeam::take_pieces() {
    while (!stop_->requested()) {
        const size_t index = next_.fetch_add(1, std::memory_order_relaxed);
        if (index >= pieces_) return;
        (*piece_)(index);
    }
}

void ThreadTeam::help() {
    uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    for (;;) {
        begin_.wait(lock, [&] { return over_ || round_ != seen; });
        if (over_) return;
        seen = round_;
        lock.unlock();
        take_pieces();
        lock.lock();
        if (--working_ == 0) end_.notify_one();
    }
}

}  // namespace mimic::mediator::backend
