// SPDX-License-Identifier: Apache-2.0
// The jobs of a WorkerProcess.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/log.h"
#include "mediator/backend/worker_process.h"

namespace mimic::mediator::backend {
namespace {

constexpr Duration kFlushEvery = std::chrono::milliseconds(20);
constexpr size_t kMaxWaiting = 16'384;             // messages for a process that does not read them
constexpr size_t kMaxReleasing = 2 * kMaxWaiting;  // VMs: those that wait, and the socket's
// How long before and after the time at which a job is expected to end the loop stays awake:
// some more than it takes to be woken on a virtual machine (40 us, bench/README.md).
constexpr Duration kLookAround = std::chrono::microseconds(100);
constexpr Duration kLongestForeseen = std::chrono::milliseconds(100);
constexpr uint32_t kMostSkipped = 64;

// What a job of a process that runs code of VMs may say that it was on its way to and from there,
// rather than on the backend: arbitrary, some more than that takes.
constexpr Duration kMostOnTheWay = std::chrono::milliseconds(1);

constexpr uint32_t kMaxStrange = 1000;  // wakes without a result, between two results

}  // namespace

void WorkerProcess::start(const Job& job, Duration timeout, Done done) {
    thread_.check();
    MIMIC_CHECK(ready() && !busy());
    MIMIC_CHECK(job.request.size() <= VGPU_MAX_MESSAGE);
    Running running;
    running.done = std::move(done);
    running.begin = loop_.now();
    running.deadline = running.begin + timeout;
    running.room = std::min<size_t>(job.room, VGPU_MAX_MESSAGE);
    running.owner = job.owner;
    MailedJob mailed;
    mailed.vm = job.owner.vm;
    mailed.session = job.owner.session;
    mailed.request_id = job.request_id;
    mailed.again = job.again ? 1 : 0;
    mailed.request_length = static_cast<uint32_t>(job.request.size());
    mailed.room = running.room;
    mailed.memory_limit = job.memory_limit;
    mailed.timeout_ns = static_cast<uint64_t>(std::max<int64_t>(timeout.count(), 0));
    mailed.weight = job.weight;
    mailed.priority = job.priority;
    mailed.queue_depth = job.queue_depth;
    mailed.after = release_before(job.owner.vm);
    mailed.said = releases_;
    job_ = std::move(running);
    Mailbox& box = box_.head();
    box.job = mailed;
    if (!job.request.empty()) {
        std::memcpy(box_.request(), job.request.data(), job.request.size());
    }
    if (++sequence_ == 0) ++sequence_;  // 0 is no job
    box.submitted.store(sequence_);
    box.doorbell.fetch_add(1);
    if (box.sleeping.load() != 0) futex_wake(box.doorbell);
    watch_deadline();
    foresee(job.owner);
}

// What a VM had is gone before its next job begins: the job must not see it, nor have less room.
uint32_t WorkerProcess::release_before(VmId vm) {
    const uint32_t carried_out = box_.head().released.load();
    if (carried_out == releases_) releasing_.clear();
    const auto last = releasing_.find(vm);
    return last == releasing_.end() ? carried_out : last->second;
}

// False: more than can be on their way are not carried out.
bool WorkerProcess::note_release(VmId vm) {
    releasing_[vm] = ++releases_;
    if (releasing_.size() < kMaxReleasing) return true;
    const uint32_t carried_out = box_ ? box_.head().released.load() : 0;
    std::erase_if(releasing_, [carried_out](const auto& one) {
        return static_cast<int32_t>(carried_out - one.second) >= 0;
    });
    return releasing_.size() < kMaxReleasing;
}

// Waking the loop's thread is most of what a job of 1 ms costs more than itself. Jobs of a VM are
// alike more often than not, so the loop is woken shortly before the next one should end, and looks
// for its end between its other work.
void WorkerProcess::foresee(const Owner& owner) {
    const auto known = owners_.find(owner);
    if (known == owners_.end()) return;
    const Duration expected = known->second.expected;
    if (expected < kLookAround || expected > kLongestForeseen) return;
    if (look_skip_ > 0) {
        --look_skip_;
        return;
    }
    look_end_ = loop_.now() + expected + kLookAround;
    look_timer_.start(loop_, expected - kLookAround, [this] { look(); });
}

void WorkerProcess::look() {
    if (!job_ || !box_) return;
    Mailbox& box = box_.head();
    box.looking.store(1);
    if (box.completed.load() == sequence_) {
        looked_in_vain_ = 0;
        take_completion();  // nothing of this object after it
        return;
    }
    if (loop_.now() < look_end_) return look_timer_.post(loop_, [this] { look(); });
    box.looking.store(0);
    if (take_completion()) return;
    // The less it pays, the less often it is tried.
    look_skip_ = std::min(1u << std::min(looked_in_vain_++, 6u), kMostSkipped);
}

void WorkerProcess::on_event() {
    thread_.check();
    if (take_completion()) return;
    if (++strange_ > kMaxStrange) broke("it wakes us again and again for nothing");
}

// True: the job that runs has ended, and `done` has run; nothing of this object after it.
bool WorkerProcess::take_completion() {
    if (!job_ || job_->killed || !box_) return false;
    const Mailbox& box = box_.head();
    if (box.completed.load(std::memory_order_acquire) != sequence_) return false;
    const MailedOutcome outcome = box.outcome;  // once: it can change while we look
    strange_ = 0;
    box_.head().looking.store(0);
    if (outcome.response_length > job_->room || outcome.error > VGPU_ERROR_CANCELLED ||
        (outcome.error != VGPU_OK && outcome.response_length != 0)) {
        // Not its own business any more: the job gets an error, and the process goes.
        MIMIC_LOG("backend", kWarn, "Backend {} (process {}) is killed: {}", config_.name, pid_,
                  "its answer makes no sense");
        job_->killed = true;
        kill();
        return false;
    }
    const Duration wall = loop_.now() - job_->begin;
    auto took = Duration(static_cast<int64_t>(
        std::min<uint64_t>(outcome.took_ns, static_cast<uint64_t>(wall.count()))));
    // Code of the VM itself may have written that.
    if (!is_shared()) took = std::max(took, wall - kMostOnTheWay);
    if (!job_->released) {
        Known& known = owners_[job_->owner];
        known.bytes = outcome.owner_bytes;
        known.expected = took;
    }
    look_timer_.cancel();
    memory_used_ = outcome.used_bytes;
    ++jobs_;
    if (outcome.ends != 0) {
        // Not before the others hear of it: the next job is another process's.
        state_ = Phase::kEnding;
        kill();
    }
    finish(settle(outcome.error), {box_.response(), outcome.response_length}, took);
    return true;
}

// Who ended a job that was ended says why.
vgpu_error WorkerProcess::settle(uint32_t error) const {
    if (error != VGPU_ERROR_CANCELLED) return static_cast<vgpu_error>(error);
    if (job_->timed_out) return VGPU_ERROR_TIMEOUT;
    return VGPU_ERROR_CANCELLED;
}

void WorkerProcess::finish(vgpu_error error, std::span<const std::byte> response, Duration took) {
    const Done done = std::move(job_->done);
    job_.reset();
    Outcome outcome;
    outcome.error = error;
    if (error == VGPU_OK) outcome.response = response;
    outcome.took = took;
    done(outcome);  // nothing of this object after it
}

void WorkerProcess::cancel() {
    thread_.check();
    if (!job_ || job_->cancelled || job_->timed_out) return;
    job_->cancelled = true;
    if (is_shared()) {
        // Others have memory there, and nobody has broken a rule: it has the rest of its time to
        // listen.
        box_.head().stop.store(sequence_);
    } else {
        end_soon();
    }
}

// Tells it, and gives it some time to listen.
void WorkerProcess::end_soon() {
    box_.head().stop.store(sequence_);
    job_->deadline = loop_.now() + kGrace;
    watch_deadline();
}

// One timer for many jobs: most end long before their deadline, and the timer that one has started
// is early enough for the next.
void WorkerProcess::watch_deadline() {
    if (deadline_timer_.is_pending() && deadline_set_ <= job_->deadline) return;
    deadline_set_ = job_->deadline;
    deadline_timer_.start(loop_, std::max(job_->deadline - loop_.now(), Duration{}),
                          [this] { check_deadline(); });
}

void WorkerProcess::check_deadline() {
    if (!job_ || job_->killed) return;
    if (loop_.now() < job_->deadline) return watch_deadline();
    if (take_completion()) return;
    if (!job_->timed_out && (!job_->cancelled || is_shared())) {
        job_->timed_out = true;
        return end_soon();
    }
    // Its end is heard on the socket; only then nothing of the job goes on.
    MIMIC_LOG("backend", kWarn, "Backend {} (process {}) is killed: its job does not end",
              config_.name, pid_);
    job_->killed = true;
    kill();
}

void WorkerProcess::acknowledge(const Owner& owner, uint64_t request_id) {
    if (!ready()) return;
    uint64_t& last = acknowledged_[owner];
    last = std::max(last, request_id);
    if (!flush_timer_.is_pending()) flush_timer_.start(loop_, kFlushEvery, [this] { flush(); });
}

void WorkerProcess::release(const Owner& owner) {
    const auto found = owners_.find(owner);
    if (found != owners_.end()) {
        memory_used_ -= std::min(memory_used_, found->second.bytes);
        owners_.erase(found);
    }
    acknowledged_.erase(owner);
    if (job_ && job_->owner == owner) job_->released = true;
    if (socket_ && !note_release(owner.vm)) return broke("it does not free what it is told to");
    Message message;
    message.kind = MessageKind::kRelease;
    message.set_owner(owner);
    send(message);
}

void WorkerProcess::send(const Message& message) {
    // A new process has nothing of anybody.
    if (!socket_ || state_ == Phase::kEnding) return;
    waiting_.push_back(message);
    if (waiting_.size() > kMaxWaiting) return broke("it does not read what it is told");
    if (ready()) flush();
}

void WorkerProcess::flush() {
    for (const auto& [owner, request_id] : acknowledged_) {
        Message message;
        message.kind = MessageKind::kAcknowledge;
        message.set_owner(owner);
        message.value = request_id;
        waiting_.push_back(message);
    }
    acknowledged_.clear();
    size_t sent = 0;
    while (sent < waiting_.size() && send_message(socket_.get(), waiting_[sent])) ++sent;
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(sent));
    // What did not go will; if the process has ended, its socket says so.
    if (!waiting_.empty()) flush_timer_.start(loop_, kFlushEvery, [this] { flush(); });
}

}  // namespace mimic::mediator::backend
