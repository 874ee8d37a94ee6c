// SPDX-License-Identifier: Apache-2.0
// Rule: which job of a pool runs next. A pure function of what it is told: no clock, no random
// source, no threads, so a recorded load plays the same way again. The mediator, the simulation of
// recorded loads and the tests drive the same code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "mediator/config/config.h"

namespace mimic::mediator::schedule {

using JobId = uint64_t;
using BackendIndex = uint32_t;

/// Nanoseconds since any start, the same for all calls on a rule; never goes back.
using Time = int64_t;

struct Share {
    uint32_t weight = 50;  // >= 1
    Priority priority = Priority::kMedium;
    uint32_t parallel = 1;  // jobs at the same time
};

struct Arrival {
    JobId job = 0;  // unique among those known
    VmId vm = 0;    // known by set_vm()
};

struct RuleOptions {
    bool strict_classes = false;
    Time first_estimate = 1'000'000;  // of a VM of which nothing is known
};

/// All jobs of a VM in the order of their arrival. Not thread-safe. No call costs more than O(log
/// VMs), but remove_vm().
class Rule {
public:
    virtual ~Rule() = default;

    /// A VM and its share; again: a new share, from now on.
    virtual void set_vm(VmId vm, const Share& share, Time now) = 0;
    /// Its memory is on that backend: its jobs run there only. nullopt: anywhere.
    virtual void set_home(VmId vm, std::optional<BackendIndex> home) = 0;
    /// Its waiting jobs are forgotten; those that run are finished() as usual.
    virtual void remove_vm(VmId vm) = 0;

    virtual void submit(const Arrival& arrival, Time now) = 0;
    /// Takes back a job that waits. False: it does not wait.
    virtual bool cancel(JobId job) = 0;

    /// The job to start on `backend` now; it counts as running and is charged by estimate.
    virtual std::optional<JobId> next(BackendIndex backend, Time now) = 0;
    /// It ended (or was killed) after `took` ns on the backend: its VM is charged what it really
    /// cost.
    virtual void finished(JobId job, Time took, Time now) = 0;
    /// It did not run after all (its backend died before): waits again as the first of its VM, and
    /// costs nothing.
    virtual void put_back(JobId job, Time now) = 0;

    virtual size_t waiting() const = 0;
    virtual size_t waiting(VmId vm) const = 0;
    virtual size_t running(VmId vm) const = 0;
    /// Service that a VM has had, in ns, corrected by what jobs really took.
    virtual Time service(VmId vm) const = 0;
};

std::unique_ptr<Rule> make_rule(RuleName name, const RuleOptions& options);

}  // namespace mimic::mediator::schedule
