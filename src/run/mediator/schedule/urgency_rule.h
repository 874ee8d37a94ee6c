// SPDX-License-Identifier: Apache-2.0
// UrgencyRule: the rule of the public mediator of the original vGPU's author (GPU_PROJECT, phase
// 3), to compare with. For each job that waits, and again for each choice,
//
//     urgency = class (1, 2, 4) x weight / 50 x (1 + own jobs waiting / 10) x (1 + seconds waited /
//     10)
//
// and the largest is next, of equal ones the first in the array; the last takes its place there.
// Its defects are kept: it is close to strict priority by weight and depth, does not look at what a
// job costs, a choice looks at every job and each of those at every VM, only the first 64 VMs count
// their jobs, and a job keeps the weight and class that its VM had when it came.
//
// Not kept: the limit of 1,024 jobs (the mediator has its own), and that equal urgencies may turn
// jobs of one VM around. The choice of the VM is the same; of its jobs the oldest starts.
#pragma once

#include <vector>

#include "mediator/schedule/keyed_rule.h"

namespace mimic::mediator::schedule {

class UrgencyRule final : public KeyedRule {
public:
    explicit UrgencyRule(const RuleOptions& options) : KeyedRule(options) {}

private:
    struct Entry {
        uint32_t job = 0;
        uint32_t vm = 0;
        Time since = 0;
        Priority priority = Priority::kMedium;
        uint32_t weight = 0;
    };
    struct Depth {
        uint32_t vm = 0;
        int jobs = 0;
    };
    static constexpr size_t kMostVms = 64;

    void appeared(Vm& vm) override;
    void queued(Vm& vm, uint32_t job) override;
    void unqueued(Vm& vm, uint32_t job) override;
    Choice choose(BackendIndex backend, Time now) override;
    Key key(const Vm& vm) const override { return {0, 0, job_at(vm.head).order}; }

    Depth* depth_of(uint32_t vm);
    double urgency(const Entry& entry, Time now);

    std::vector<Entry> entries_;
    std::vector<Depth> depths_;
};

}  // namespace mimic::mediator::schedule
