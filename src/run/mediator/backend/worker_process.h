// SPDX-License-Identifier: Apache-2.0
// WorkerProcess: the mediator's side of one backend process. What the process says is not trusted:
// lengths and numbers are checked, and a process that breaks the rules is killed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/event_loop.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "base/unique_fd.h"
#include "mediator/backend/backend.h"
#include "mediator/backend/channel.h"

namespace mimic::mediator::backend {

/// One process, found or started, and started again when it dies. Thread-bound to the loop.
class WorkerProcess final : public Backend {
public:
    /// `loop` is borrowed. Begins in a later turn of the loop.
    WorkerProcess(const BackendConfig& config, const BackendPlace& place, EventLoop& loop);
    ~WorkerProcess() override;

    bool ready() const override { return state_ == Phase::kAttached; }
    bool busy() const override { return job_.has_value(); }
    bool attaching() const override { return state_ == Phase::kAttaching; }
    void start(const Job& job, Duration timeout, Done done) override;
    void cancel() override;
    void acknowledge(const Owner& owner, uint64_t request_id) override;
    void release(const Owner& owner) override;
    std::vector<Owner> owners() const override;
    uint64_t memory_used(VmId vm) const override;
    State state() const override;
    void stop() override;
    void on_change(std::function<void()> changed) override { changed_ = std::move(changed); }

    /// A VM of which the process knows something, be it only a kept result, or will when its job
    /// has ended.
    std::optional<VmId> first_vm() const {
        if (!owners_.empty()) return owners_.begin()->first.vm;
        if (job_ && !job_->released) return job_->owner.vm;
        return std::nullopt;
    }

private:
    enum class Phase : uint8_t {
        kAway,       // nothing is there; `again_` tries
        kStarting,   // started, its socket is not there yet
        kGreeting,   // connected, waits for its first word
        kAttaching,  // it has the mailbox, and ends the job of an earlier mediator
        kAttached,
        kEnding,  // it has said that it takes no other job
        kStopped,
    };

    class Watch final : public FdHandler {
    public:
        Watch(WorkerProcess& of, void (WorkerProcess::*call)()) : of_(of), call_(call) {}
        void on_fd_ready(uint32_t) override { (of_.*call_)(); }

    private:
        WorkerProcess& of_;
        void (WorkerProcess::*const call_)();
    };

    struct Running {
        Done done;
        TimePoint begin{};
        TimePoint deadline{};
        size_t room = 0;
        Owner owner;
        bool timed_out = false;
        bool cancelled = false;
        bool killed = false;
        bool released = false;  // its owner has gone
    };

    // Life of the process.
    void seek();
    void spawn();
    void connected(UniqueFd socket);
    Status identify();
    Status attach();
    void on_socket();
    void on_event();
    bool take(const Message& message);
    void broke(const std::string& how);
    void gone(const std::string& why);
    void kill();
    void kill_children();
    void reap();
    void try_again(const std::string& why);
    void changed();

    // VMs share it; not so that of cuda (per_vm_backend.h).
    bool is_shared() const { return !std::holds_alternative<CudaBackend>(config_.kind); }

    // Jobs.
    uint32_t release_before(VmId vm);
    bool note_release(VmId vm);
    bool take_completion();
    vgpu_error settle(uint32_t error) const;
    void finish(vgpu_error error, std::span<const std::byte> response, Duration took);
    void watch_deadline();
    void check_deadline();
    void end_soon();

    // To be awake when a job ends.
    void foresee(const Owner& owner);
    void look();

    // Messages to it.
    void send(const Message& message);
    void flush();

    const BackendConfig config_;
    const BackendPlace place_;
    const std::string path_;
    EventLoop& loop_;

    Phase state_ = Phase::kAway;
    std::string what_;  // its executor's name
    std::string why_;   // it is not there
    UniqueFd socket_;
    UniqueFd event_;
    UniqueFd process_;  // pidfd
    pid_t pid_ = 0;
    std::vector<pid_t> children_;  // that were not waited for yet
    MailboxMapping box_;
    MessageReader reader_;
    TimePoint phase_end_{};  // kStarting, kGreeting: then it has failed
    uint64_t generations_ = 0;
    uint32_t failures_ = 0;  // since it was attached last
    uint64_t jobs_ = 0;
    uint64_t memory_used_ = 0;
    struct Known {
        uint64_t bytes = 0;
        Duration expected{};  // of a job: what the last one took
        bool found = false;   // something of an earlier mediator's time is there
    };
    std::map<Owner, Known> owners_;
    std::function<void()> changed_;

    std::optional<Running> job_;
    TimePoint look_end_{};
    uint32_t looked_in_vain_ = 0;  // in a row
    uint32_t look_skip_ = 0;       // jobs for which nobody looks
    uint32_t sequence_ = 0;
    uint32_t strange_ = 0;  // wakes without a reason

    std::map<Owner, uint64_t> acknowledged_;  // not sent yet
    uint32_t releases_ = 0;                   // that were said to this process
    std::map<VmId, uint32_t> releasing_;      // the last of a VM, while it may be under way
    std::vector<Message> waiting_;            // for the socket
    Watch socket_watch_{*this, &WorkerProcess::on_socket};
    Watch event_watch_{*this, &WorkerProcess::on_event};
    Timer again_, deadline_timer_, flush_timer_, reap_timer_, look_timer_;
    TimePoint deadline_set_{};  // when deadline_timer_ fires
    ThreadBound thread_;
    WeakOwner<WorkerProcess> weak_{this};
};

}  // namespace mimic::mediator::backend
