// SPDX-License-Identifier: Apache-2.0
// KeyedRule: what all rules have in common that order VMs by a key: queues of the VMs, jobs that
// run, homes, the parallel limit. A rule says what the key is and how service changes it.
#pragma once

#include <deque>
#include <unordered_map>
#include <vector>

#include "mediator/schedule/rule.h"
#include "mediator/schedule/virtual_time.h"
#include "mediator/schedule/vm_heap.h"

namespace mimic::mediator::schedule {

/// More backends than a pool has; a larger index is a bug of the caller's.
inline constexpr BackendIndex kMaxBackends = 4096;

/// Thread-bound, as every rule.
class KeyedRule : public Rule {
public:
    void set_vm(VmId vm, const Share& share, Time now) final;
    void set_home(VmId vm, std::optional<BackendIndex> home) final;
    void remove_vm(VmId vm) final;
    void submit(const Arrival& arrival, Time now) final;
    bool cancel(JobId job) final;
    std::optional<JobId> next(BackendIndex backend, Time now) final;
    void finished(JobId job, Time took, Time now) final;
    void put_back(JobId job, Time now) final;
    size_t waiting() const final { return waiting_; }
    size_t waiting(VmId vm) const final;
    size_t running(VmId vm) const final;
    Time service(VmId vm) const final;

protected:
    static constexpr uint32_t kNone = UINT32_MAX;

    /// Where a VM's jobs may run: 0 anywhere, 1 + index on that backend only.
    using Domain = uint32_t;

    struct Job {
        JobId id = 0;
        uint32_t vm = kNone;                      // slot
        uint32_t before = kNone, behind = kNone;  // in the VM's queue
        uint64_t order = 0;                       // of its arrival
        Time since = 0;                           // when it arrived
        bool running = false;
        bool through_home = false;  // it was chosen as a job of its backend's own VMs
        BackendIndex backend = 0;
        Time charged = 0;          // by estimate, while it runs
        Virtual gate_charged = 0;  // the same for its group (fair)
    };

    struct Vm {
        VmId id = 0;
        uint32_t slot = 0;
        Share share;
        Domain domain = 0;
        uint32_t head = kNone, tail = kNone;
        size_t waiting = 0;
        size_t running = 0;
        Time service = 0;
        bool gone = false;
        Time estimate = 0;  // of its next job
        Virtual tag = 0;    // virtual time at which its next job starts
        bool busy() const { return waiting > 0 || running > 0; }
    };

    explicit KeyedRule(const RuleOptions& options) : options_(options) {}

    // What a rule adds. `vm.waiting`, `vm.running` and its place are up to date in each call,
    // unless it says something else.

    virtual void appeared(Vm& /*vm*/) {}
    /// Its share becomes `share`; vm.share is still the old one.
    virtual void share_changes(Vm& /*vm*/, const Share& /*share*/) {}
    /// Its domain becomes `domain`; vm.domain is still the old one.
    virtual void domain_changes(Vm& /*vm*/, Domain /*domain*/) {}
    /// A job came to a VM that had none, waiting or running.
    virtual void woke(Vm& /*vm*/) {}
    /// Nothing waits or runs any more.
    virtual void slept(Vm& /*vm*/) {}
    /// The job joined its VM's queue: it arrived, or was put back.
    virtual void queued(Vm& /*vm*/, uint32_t /*job*/) {}
    /// It left the queue: it starts, or is taken back.
    virtual void unqueued(Vm& /*vm*/, uint32_t /*job*/) {}
    /// It had no place among those that may start a job, and gets one.
    virtual void enters(Vm& /*vm*/) {}
    /// `job` starts; not counted as running yet.
    virtual void starts(Vm& /*vm*/, Job& /*job*/) {}
    /// `job` ended after `took`; not counted as running any more.
    virtual void ends(Vm& /*vm*/, const Job& /*job*/, Time /*took*/) {}
    /// `job` did not run.
    virtual void undone(Vm& /*vm*/, const Job& /*job*/) {}
    /// Whether a removed VM, which has no jobs, can be forgotten without it gaining by coming back.
    virtual bool forgettable(const Vm& /*vm*/) const { return true; }
    /// Before which others it comes; vm.head is its first job. No part of it may depend on `now`.
    virtual Key key(const Vm& vm) const = 0;
    /// Whether the first VM of the backend's own comes before the first of those that run anywhere.
    virtual bool home_first(BackendIndex /*backend*/, const VmHeap::Entry& home,
                            const VmHeap::Entry& anywhere) const {
        return home.key < anywhere.key;
    }
    /// A backend was seen for the first time, and all below it.
    virtual void backends_grew() {}

    struct Choice {
        Vm* vm = nullptr;  // nullptr: nothing may start
        bool through_home = false;
    };
    /// Whose first job starts on the backend: by key, unless a rule does not go by keys.
    virtual Choice choose(BackendIndex backend, Time now);

    Vm& vm_at(uint32_t slot) { return vms_[slot]; }
    const Job& job_at(uint32_t index) const { return jobs_[index]; }
    size_t backends() const { return ready_.size() - 1; }
    const RuleOptions& options() const { return options_; }
    /// Its key changed, or whether it may start a job.
    void refresh(Vm& vm);

private:
    Vm& known(VmId vm);
    const Vm* find(VmId vm) const;
    void grow(Domain domain);
    uint32_t find_job(JobId job) const;
    void link(Vm& vm, uint32_t index);
    void unlink(Vm& vm, uint32_t index);
    void forget_job(uint32_t index);
    void settle(Vm& vm);
    void forget_removed();

    RuleOptions options_;
    std::deque<Vm> vms_;  // by slot
    std::vector<uint32_t> free_vms_;
    std::vector<uint32_t> positions_;  // by slot, in the heap of the VM's domain
    std::unordered_map<VmId, uint32_t> slots_;
    std::vector<Job> jobs_;
    std::vector<uint32_t> free_jobs_;
    std::unordered_map<JobId, uint32_t> job_slots_;
    std::vector<VmHeap> ready_{1};  // by domain
    size_t waiting_ = 0;
    size_t gone_ = 0;
    uint64_t arrivals_ = 0;
};

}  // namespace mimic::mediator::schedule
