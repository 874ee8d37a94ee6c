// SPDX-License-Identifier: Apache-2.0
// PerVmBackend: a backend that runs code of VMs (cuda) has a process for each of them. Such code
// can read all memory of its process, and an error or a kernel that does not end takes the process
// with it: a VM's own, and nobody else's. One process that belongs to nobody yet waits ready, so
// that a new VM does not wait for a driver to start.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/timer.h"
#include "mediator/backend/worker_process.h"

namespace mimic::mediator::backend {

/// Most processes: arbitrary; each costs a GPU some hundred MiB. Jobs of more VMs are answered
/// MEMORY.
inline constexpr size_t kMaxVmProcesses = 64;

/// One job at a time, on all processes together. Thread-bound to the loop.
class PerVmBackend final : public Backend {
public:
    /// Finds the processes of an earlier mediator by their sockets. `loop` is borrowed.
    PerVmBackend(const BackendConfig& config, const BackendPlace& place, EventLoop& loop);

    bool ready() const override;
    bool busy() const override { return running_ || waiting_.has_value(); }
    bool attaching() const override;
    void start(const Job& job, Duration timeout, Done done) override;
    void cancel() override;
    void acknowledge(const Owner& owner, uint64_t request_id) override;
    void release(const Owner& owner) override;
    std::vector<Owner> owners() const override;
    uint64_t memory_used(VmId vm) const override;
    State state() const override;
    void stop() override;
    void on_change(std::function<void()> changed) override { changed_ = std::move(changed); }

private:
    struct Slot {
        std::unique_ptr<WorkerProcess> process;
        std::optional<VmId> vm;  // nullopt: nobody's yet
        bool found = false;      // of an earlier mediator
        bool known = false;      // it was attached, so that `vm` is true
        bool leaving = false;    // its VM has gone
    };

    // A job whose process is not ready.
    struct Waiting {
        Job job;
        std::vector<std::byte> request;
        Duration timeout{};  // of its own, once its process is there
        Done done;
        uint32_t slot = 0;
        bool over = false;  // it is about to be answered without a process
    };

    void find_processes();
    void add_slot(uint32_t number);
    std::optional<uint32_t> slot_of(VmId vm);
    void slot_changed(uint32_t number);
    void give(uint32_t number, Job job, Duration timeout, Done done);
    void end_waiting(vgpu_error error);
    void end_waiting_soon(vgpu_error error);
    void tidy();
    void tidy_soon() {
        tidy_timer_.post(loop_, [this] { tidy(); });
    }
    std::string slot_name(uint32_t number) const;

    const BackendConfig config_;
    const BackendPlace place_;
    EventLoop& loop_;
    std::map<uint32_t, Slot> slots_;
    std::function<void()> changed_;
    bool was_ready_ = false;
    bool running_ = false;
    uint32_t running_slot_ = 0;
    bool stopped_ = false;
    std::optional<Waiting> waiting_;
    uint64_t restarts_ = 0;  // of processes that are gone, and jobs
    uint64_t jobs_ = 0;
    Timer tidy_timer_, waiting_timer_;
};

}  // namespace mimic::mediator::backend
