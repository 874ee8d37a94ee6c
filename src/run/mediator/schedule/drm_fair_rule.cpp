// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/drm_fair_rule.h"

namespace mimic::mediator::schedule {

namespace {

/// High gets about 4 times the time of medium, medium 8 times that of low.
int runtime_shift(Priority priority) {
    switch (priority) {
        case Priority::kHigh:
            return 2;
        case Priority::kMedium:
            return 4;
        case Priority::kLow:
            break;
    }
    return 7;
}

}  // namespace

void DrmFairRule::Average::add(uint64_t microseconds) {
    const uint64_t scaled = microseconds << 6;
    value_ = value_ == 0 ? scaled : (value_ * 3 + scaled) >> 2;
}

void DrmFairRule::appeared(Vm& vm) {
    if (entities_.size() <= vm.slot) entities_.resize(vm.slot + 1);
    entities_[vm.slot] = Entity{};
}

void DrmFairRule::queued(Vm& vm, uint32_t /*job*/) {
    if (vm.waiting != 1) return;
    vm.tag = joins_at(vm);
    line_.emplace(vm.tag, vm.slot);
}

Virtual DrmFairRule::joins_at(const Vm& vm) {
    if (line_.empty()) return vm.tag;
    const auto [front, front_slot] = *line_.begin();
    if (vm.tag != 0) return front + vm.tag;
    const int its = static_cast<int>(vm.share.priority);
    const int first = static_cast<int>(vm_at(front_slot).share.priority);
    const uint64_t average = entities_[vm.slot].average.value();
    if (its > first) return front - (its - first);
    if (its == first) return average <= average_.value() ? front - 1 : front + 1;
    // Behind the middle of the line, so that it does not overtake by having been away.
    const uint64_t microseconds = 1 + average + average_.value();
    return front + (static_cast<Virtual>(microseconds * 1000) << runtime_shift(vm.share.priority));
}

void DrmFairRule::unqueued(Vm& vm, uint32_t /*job*/) {
    if (vm.waiting != 0) return;
    line_.erase({vm.tag, vm.slot});
    const Virtual front = line_.empty() ? 0 : line_.begin()->first;
    vm.tag = front != 0 && vm.tag > front ? vm.tag - front : 0;
}

void DrmFairRule::starts(Vm& vm, Job& /*job*/) {
    if (vm.waiting == 0) return;
    Entity& entity = entities_[vm.slot];
    line_.erase({vm.tag, vm.slot});
    vm.tag += static_cast<Virtual>(entity.uncounted) << runtime_shift(vm.share.priority);
    entity.uncounted = 0;
    line_.emplace(vm.tag, vm.slot);
}

void DrmFairRule::ends(Vm& vm, const Job& /*job*/, Time took) {
    Entity& entity = entities_[vm.slot];
    entity.uncounted += took;
    entity.average.add(static_cast<uint64_t>(took) / 1000);
    average_.add(static_cast<uint64_t>(took) / 1000);
}

}  // namespace mimic::mediator::schedule
