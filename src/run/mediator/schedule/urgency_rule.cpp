// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/urgency_rule.h"

#include <algorithm>
#include <utility>

namespace mimic::mediator::schedule {

UrgencyRule::Depth* UrgencyRule::depth_of(uint32_t vm) {
    for (Depth& depth : depths_)
        if (depth.vm == vm) return &depth;
    return nullptr;
}

void UrgencyRule::appeared(Vm& vm) {
    if (depth_of(vm.slot) == nullptr && depths_.size() < kMostVms) depths_.push_back({vm.slot, 0});
}

void UrgencyRule::queued(Vm& vm, uint32_t job) {
    if (Depth* depth = depth_of(vm.slot)) ++depth->jobs;
    entries_.push_back({job, vm.slot, job_at(job).since, vm.share.priority, vm.share.weight});
}

void UrgencyRule::unqueued(Vm& vm, uint32_t job) {
    if (Depth* depth = depth_of(vm.slot)) --depth->jobs;
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [job](const Entry& entry) { return entry.job == job; });
    *found = entries_.back();
    entries_.pop_back();
}

// The formula, in the doubles and the order of multiplication of the original: sums and products of
// IEEE doubles, the same on every machine.
double UrgencyRule::urgency(const Entry& entry, Time now) {
    const double base = entry.priority == Priority::kHigh     ? 4.0
                        : entry.priority == Priority::kMedium ? 2.0
                                                              : 1.0;
    const Depth* depth = depth_of(entry.vm);
    const double pressure = (depth ? depth->jobs : 0) / 10.0;
    const double waited = static_cast<double>(now - entry.since) / 1e9 / 10.0;
    return base * (entry.weight / 50.0) * (1.0 + pressure) * (1.0 + waited);
}

KeyedRule::Choice UrgencyRule::choose(BackendIndex backend, Time now) {
    Entry* best = nullptr;
    double most = -1.0;
    for (Entry& entry : entries_) {
        const Vm& vm = vm_at(entry.vm);
        if (vm.running >= vm.share.parallel) continue;
        if (vm.domain != 0 && vm.domain != backend + 1) continue;
        const double its = urgency(entry, now);
        if (its > most) {
            most = its;
            best = &entry;
        }
    }
    if (best == nullptr) return {};
    // The VM's oldest job takes the entry that was chosen, so that this place in the array is the
    // one that becomes free.
    Vm& vm = vm_at(best->vm);
    for (Entry& entry : entries_)
        if (entry.job == vm.head) {
            std::swap(entry.job, best->job);
            std::swap(entry.since, best->since);
            break;
        }
    return {&vm, vm.domain != 0};
}

}  // namespace mimic::mediator::schedule
