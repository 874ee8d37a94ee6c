// SPDX-License-Identifier: Apache-2.0
// DrmFairRule: a rule like the FAIR policy of Linux' GPU scheduler (drivers/gpu/drm/scheduler), to
// compare with. It follows the version that was merged for Linux 7.2 ("drm/sched: Add fair
// scheduling policy", 2fa4d8e2c109 of 2026-04-17) as its author describes it; the code is our own.
//
// A VM is an entity. Its virtual runtime grows by the time of its jobs times a power of two of its
// class (high 4, medium 16, low 128); the least is next. It has classes and no weights, so weights
// are not looked at. What a job took counts at the next start of a job of the same VM, and a VM
// whose queue ran empty keeps only its distance to the first in line: one that was first comes back
// as the first, before or behind it by class and by whether its jobs are shorter than the average.
//
// Unlike Linux, a backend gets one job at a time and not a ring full.
#pragma once

#include <set>
#include <utility>
#include <vector>

#include "mediator/schedule/keyed_rule.h"

namespace mimic::mediator::schedule {

class DrmFairRule final : public KeyedRule {
public:
    explicit DrmFairRule(const RuleOptions& options) : KeyedRule(options) {}

private:
    /// Moving average of whole microseconds with 6 bits behind the point, a quarter of it new.
    class Average {
    public:
        void add(uint64_t microseconds);
        uint64_t value() const { return value_ >> 6; }

    private:
        uint64_t value_ = 0;
    };

    struct Entity {
        Time uncounted = 0;  // of jobs that ended since runtime was last brought up to date
        Average average;
    };

    void appeared(Vm& vm) override;
    void queued(Vm& vm, uint32_t job) override;
    void unqueued(Vm& vm, uint32_t job) override;
    void starts(Vm& vm, Job& job) override;
    void ends(Vm& vm, const Job& job, Time took) override;
    Key key(const Vm& vm) const override { return {0, vm.tag, job_at(vm.head).order}; }

    /// Where a VM joins the line; vm.tag is what it kept.
    Virtual joins_at(const Vm& vm);

    std::vector<Entity> entities_;                 // by slot
    std::set<std::pair<Virtual, uint32_t>> line_;  // runtime and slot of VMs whose jobs wait
    Average average_;                              // of all jobs
};

}  // namespace mimic::mediator::schedule
