// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/fair_rule.h"

#include <algorithm>

namespace mimic::mediator::schedule {

namespace {

/// The estimate moves by this part of what it was wrong by. Arbitrary: a few jobs make a habit, one
/// does not.
constexpr Time kEstimateParts = 8;

/// Starts of others, a backend, that a VM may miss and keep its tag. Arbitrary: a round trip of 100
/// us and jobs of 12 us.
constexpr uint64_t kMomentStarts = 8;

/// A VM that comes back after a moment is behind by no more than so many of its jobs. Arbitrary: a
/// job of 20 ms at weight 10 is worth 8 of 10 ms at weight 40, and a VM that one request in flight
/// keeps from its share must not gather a claim for hours.
constexpr Virtual kMostKept = 64;

}  // namespace

FairRule::FairRule(const RuleOptions& options) : KeyedRule(options), lines_(1) {}

void FairRule::appeared(Vm& vm) {
    if (away_.size() <= vm.slot) away_.resize(vm.slot + 1);
    away_[vm.slot] = Away{};
}

void FairRule::backends_grew() {
    lines_.resize(backends() + 1);
    gates_.resize(backends());
}

// 0 is first. One class where classes are not strict.
uint32_t FairRule::rank(const Share& share) const {
    return options().strict_classes ? 2 - static_cast<uint32_t>(share.priority) : 0;
}

Key FairRule::key(const Vm& vm) const {
    return {rank(vm.share), vm.tag, job_at(vm.head).order};
}

// What a VM has had too much, or lacks, stays the same in time: its distance to the line's virtual
// time is scaled. So the bound holds with the new weight from now on.
void FairRule::share_changes(Vm& vm, const Share& share) {
    Line& from = line(vm);
    Line& to = lines_[vm.domain][rank(share)];
    Away& away = away_[vm.slot];
    if (&from != &to) away = Away{};
    away.lift = away.lift * static_cast<Virtual>(vm.share.weight) /
                static_cast<Virtual>(share.weight);
    Virtual ahead = vm.tag - from.now;
    // Another class knows nothing of what it lacks, and who is idle lacks nothing.
    if (&from != &to || !vm.busy()) ahead = std::max<Virtual>(ahead, 0);
    vm.tag = to.now +
             ahead * static_cast<Virtual>(vm.share.weight) / static_cast<Virtual>(share.weight);
    if (!vm.busy()) return;
    from.weight -= vm.share.weight;
    to.weight += share.weight;
}

void FairRule::domain_changes(Vm& vm, Domain domain) {
    Line& from = line(vm);
    Line& to = lines_[domain][rank(vm.share)];
    vm.tag = to.now + std::max<Virtual>(vm.tag - from.now, 0);
    away_[vm.slot] = Away{};
    if (!vm.busy()) return;
    from.weight -= vm.share.weight;
    to.weight += vm.share.weight;
}

void FairRule::woke(Vm& vm) {
    Line& its = line(vm);
    its.weight += vm.share.weight;
    Away& away = away_[vm.slot];
    // Nothing started meanwhile, so it was not away.
    if (away.known && its.starts == away.starts) lift(vm);
    away.lift = 0;
    if (vm.tag >= its.now) return;
    const bool momentary = away.known && its.starts - away.starts <= kMomentStarts * backends();
    const Virtual most = virtual_cost(vm.estimate, vm.share.weight) * kMostKept;
    const Virtual kept = momentary ? std::max(vm.tag, its.now - most) : its.now;
    away.lift = its.now - kept;
    vm.tag = kept;
}

void FairRule::slept(Vm& vm) {
    Line& its = line(vm);
    its.weight -= vm.share.weight;
    away_[vm.slot].known = true;
    away_[vm.slot].starts = its.starts;
    // Nobody is left who could have been overtaken.
    if (its.weight == 0) its.now = std::max(its.now, vm.tag);
}

// It has a second job before it left again.
void FairRule::lift(Vm& vm) {
    vm.tag += away_[vm.slot].lift;
    away_[vm.slot].lift = 0;
}

void FairRule::queued(Vm& vm, uint32_t /*job*/) {
    if (vm.running > 0) lift(vm);
}

// A VM that could start jobs all the time is behind by no more than what its running jobs were
// estimated too high. One that was held back by its parallel limit is not owed more than that
// either, or it would later have backends for itself for as long as it was held back.
void FairRule::enters(Vm& vm) {
    const Virtual owed = virtual_cost(vm.estimate, vm.share.weight) *
                         static_cast<Virtual>(vm.share.parallel);
    vm.tag = std::max(vm.tag, line(vm).now - std::max(owed, away_[vm.slot].lift));
}

// Cost of a job for its group at a backend. VMs that run anywhere have their weight spread over all
// backends.
Virtual FairRule::group_cost(const Vm& vm, const Job& job, Time cost) const {
    const Domain domain = job.through_home ? job.backend + 1 : 0;
    const uint64_t weight = std::max<uint64_t>(lines_[domain][rank(vm.share)].weight,
                                               vm.share.weight);
    return virtual_cost(job.through_home ? cost : cost * static_cast<Time>(backends()), weight);
}

void FairRule::starts(Vm& vm, Job& job) {
    Line& its = line(vm);
    its.now = std::max(its.now, vm.tag);
    ++its.starts;
    job.charged = vm.estimate;
    vm.tag += virtual_cost(job.charged, vm.share.weight);
    if (vm.waiting > 0) lift(vm);

    Gate& gate = gates_[job.backend][rank(vm.share)];
    Virtual& tag = gate.tag[job.through_home];
    gate.now = std::max(gate.now, tag);
    job.gate_charged = group_cost(vm, job, job.charged);
    tag = gate.now + job.gate_charged;
}

void FairRule::ends(Vm& vm, const Job& job, Time took) {
    vm.tag += virtual_cost(took, vm.share.weight) - virtual_cost(job.charged, vm.share.weight);
    gates_[job.backend][rank(vm.share)].tag[job.through_home] += group_cost(vm, job, took) -
                                                                 job.gate_charged;
    vm.estimate += (took - vm.estimate) / kEstimateParts;
}

void FairRule::undone(Vm& vm, const Job& job) {
    vm.tag -= virtual_cost(job.charged, vm.share.weight);
    gates_[job.backend][rank(vm.share)].tag[job.through_home] -= job.gate_charged;
}

bool FairRule::forgettable(const Vm& vm) const {
    return vm.tag <= line(vm).now;
}

bool FairRule::home_first(BackendIndex backend, const VmHeap::Entry& home,
                          const VmHeap::Entry& anywhere) const {
    if (home.key.rank != anywhere.key.rank) return home.key.rank < anywhere.key.rank;
    const Gate& gate = gates_[backend][home.key.rank];
    const Virtual home_start = std::max(gate.tag[1], gate.now);
    const Virtual anywhere_start = std::max(gate.tag[0], gate.now);
    if (home_start != anywhere_start) return home_start < anywhere_start;
    return home.key.order < anywhere.key.order;
}

}  // namespace mimic::mediator::schedule
