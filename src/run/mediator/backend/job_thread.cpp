// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/job_thread.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <limits>

namespace mimic::mediator::backend {
namespace {

constexpr int kTellMs = 2000;  // for a mediator that does not read
constexpr uint64_t kLongestNs = uint64_t{365} * 24 * 3600 * 1'000'000'000;

TimePoint steady_now() {
    return SteadyClock().now();
}

void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace

JobThread::JobThread(Executor& executor, Operations& operations)
    : executor_(executor), operations_(operations) {}

void JobThread::begin() {
    thread_ = std::thread([this] { run(); });
}

void JobThread::attach(std::unique_ptr<Attachment> attachment) {
    Attached before;
    {
        const std::lock_guard lock(mutex_);
        before = std::exchange(next_, std::move(attachment));
        ++round_;
    }
    changed_.notify_all();
    if (!before) return;
    // It may sleep there.
    before->box.head().doorbell.fetch_add(1);
    futex_wake(before->box.head().doorbell);
}

void JobThread::count_release() {
    const std::lock_guard lock(mutex_);
    if (!next_) return;
    std::atomic<uint32_t>& released = next_->box.head().released;
    released.fetch_add(1);
    futex_wake(released);
}

bool JobThread::is_stuck(bool mediator) {
    const std::lock_guard lock(mutex_);
    if (!running_) return false;
    const auto over = steady_now() - deadline_;
    if (over > Duration{} && !mediator) stop_.request();
    return over > 4 * Backend::kGrace;
}

void JobThread::run() {
    for (;;) {
        uint64_t round = 0;
        const Attached attachment = wait_for_attachment(round);
        introduce(*attachment);
        serve(attachment, round);
    }
}

JobThread::Attached JobThread::wait_for_attachment(uint64_t& round) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return next_ != nullptr; });
    round = round_;
    return next_;
}

bool JobThread::tell(const Attachment& attachment, const Message& message) {
    const auto end = steady_now() + std::chrono::milliseconds(kTellMs);
    for (;;) {
        const Status sent = send_message(attachment.socket.get(), message);
        if (sent) return true;
        if (sent.error().errno_value() != EAGAIN || steady_now() > end) return false;
        pollfd waits{attachment.socket.get(), POLLOUT, 0};
        ::poll(&waits, 1, 10);
    }
}

void JobThread::introduce(const Attachment& attachment) {
    for (const auto& used : operations_.owners().list()) {
        Message message;
        message.kind = MessageKind::kOwner;
        message.set_owner(used.owner);
        message.value = used.memory_bytes;
        if (!tell(attachment, message)) return;
    }
    Message message;
    message.kind = MessageKind::kAttached;
    message.amount = static_cast<uint32_t>(jobs());
    tell(attachment, message);
}

void JobThread::serve(const Attached& attachment, uint64_t round) {
    Mailbox& box = attachment->box.head();
    uint32_t seen = 0;
    while (wait_for_job(box, seen, round)) {
        seen = box.submitted.load(std::memory_order_acquire);
        carry_out(*attachment, seen, round);
    }
}

// False: there is another attachment, or none.
bool JobThread::wait_for_job(Mailbox& box, uint32_t seen, uint64_t round) {
    const auto spin_end = steady_now() + kSpin;
    for (uint32_t turn = 1;; ++turn) {
        if (round_.load(std::memory_order_acquire) != round) return false;
        if (box.submitted.load(std::memory_order_acquire) != seen) return true;
        if (turn % 16 != 0 || steady_now() < spin_end) {
            relax();
            continue;
        }
        const uint32_t rung = box.doorbell.load();
        box.sleeping.store(1);
        // Whoever rings after this look finds us sleeping, or the doorbell changed.
        if (box.submitted.load() == seen && round_.load() == round) {
            futex_wait(box.doorbell, rung, std::chrono::seconds(1));
        }
        box.sleeping.store(0);
    }
}

// Messages and jobs come on ways of their own. False: the job is not to be carried out any more.
bool JobThread::wait_for_release(const Mailbox& box, uint32_t count, uint64_t round) const {
    for (;;) {
        const uint32_t released = box.released.load();
        if (static_cast<int32_t>(released - count) >= 0) return true;
        if (stop_.requested() || round_.load() != round) return false;
        futex_wait(box.released, released, std::chrono::milliseconds(50));
    }
}

void JobThread::carry_out(Attachment& attachment, uint32_t sequence, uint64_t round) {
    Mailbox& box = attachment.box.head();
    const MailedJob job = box.job;
    const auto begin = steady_now();
    {
        const std::lock_guard lock(mutex_);
        stop_.arm(&box.stop, sequence);
        running_ = true;
        deadline_ = begin + Duration(static_cast<int64_t>(std::min(job.timeout_ns, kLongestNs)));
    }
    const auto wait_for_freed = [&] { return wait_for_release(box, job.said, round); };
    const Order order{{job.vm, job.session},
                      job.request_id,
                      job.again != 0,
                      std::min<uint64_t>(job.room, VGPU_MAX_MESSAGE),
                      job.memory_limit,
                      job.weight,
                      job.priority,
                      job.queue_depth,
                      std::cref(wait_for_freed)};  // by reference: nothing to allocate
    const size_t length = std::min<size_t>(job.request_length, VGPU_MAX_MESSAGE);
    vgpu_error error = VGPU_ERROR_CANCELLED;
    response_.clear();
    if (wait_for_release(box, job.after, round)) {
        error = operations_.carry_out(order, {attachment.box.request(), length}, response_, stop_);
    }
    {
        const std::lock_guard lock(mutex_);
        running_ = false;
    }
    if (!response_.empty()) {
        std::memcpy(attachment.box.response(), response_.data(), response_.size());
    }
    MailedOutcome outcome;
    outcome.error = error;
    outcome.response_length = static_cast<uint32_t>(response_.size());
    outcome.ends = executor_.broken() ? 1 : 0;
    // Not held on to: its release, which follows at once perhaps, is to free it on its own thread.
    if (const auto owner = operations_.owners().find(order.owner)) {
        outcome.owner_bytes = owner->memory_bytes.load();
    }
    outcome.used_bytes = operations_.owners().account()->used();
    outcome.took_ns = static_cast<uint64_t>((steady_now() - begin).count());
    box.outcome = outcome;
    jobs_.fetch_add(1, std::memory_order_relaxed);
    box.completed.store(sequence);
    // Who stops looking looks once more after saying so.
    if (box.looking.load() == 0) {
        const uint64_t one = 1;
        // It cannot fail but by overflow, and then the mediator has been told already.
        (void)!::write(attachment.event.get(), &one, sizeof one);
    }
    if (executor_.broken()) ::_exit(1);
}

}  // namespace mimic::mediator::backend
