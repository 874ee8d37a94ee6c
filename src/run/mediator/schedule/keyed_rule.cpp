// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/keyed_rule.h"

#include "base/check.h"

namespace mimic::mediator::schedule {

KeyedRule::Vm& KeyedRule::known(VmId vm) {
    const auto found = slots_.find(vm);
    MIMIC_CHECK(found != slots_.end());
    return vms_[found->second];
}

const KeyedRule::Vm* KeyedRule::find(VmId vm) const {
    const auto found = slots_.find(vm);
    return found == slots_.end() ? nullptr : &vms_[found->second];
}

uint32_t KeyedRule::find_job(JobId job) const {
    const auto found = job_slots_.find(job);
    return found == job_slots_.end() ? kNone : found->second;
}

void KeyedRule::grow(Domain domain) {
    MIMIC_CHECK(domain <= kMaxBackends);
    if (domain < ready_.size()) return;
    ready_.resize(domain + 1);
    backends_grew();
}

void KeyedRule::set_vm(VmId vm, const Share& share, Time /*now*/) {
    MIMIC_CHECK(share.weight >= 1 && share.parallel >= 1);
    const auto [found, is_new] = slots_.try_emplace(vm, 0);
    if (is_new) {
        uint32_t slot = static_cast<uint32_t>(vms_.size());
        if (free_vms_.empty()) {
            vms_.emplace_back();
            positions_.push_back(VmHeap::kNowhere);
        } else {
            slot = free_vms_.back();
            free_vms_.pop_back();
            vms_[slot] = Vm{};
        }
        found->second = slot;
        Vm& made = vms_[slot];
        made.id = vm;
        made.slot = slot;
        made.share = share;
        made.estimate = clamp_job(options_.first_estimate);
        appeared(made);
        return;
    }
    Vm& old = vms_[found->second];
    if (old.gone) {
        old.gone = false;
        old.service = 0;
        --gone_;
    }
    share_changes(old, share);
    old.share = share;
    refresh(old);
}

void KeyedRule::set_home(VmId vm, std::optional<BackendIndex> home) {
    Vm& known_vm = known(vm);
    const Domain domain = home ? *home + 1 : 0;
    grow(domain);
    if (domain == known_vm.domain) return;
    if (positions_[known_vm.slot] != VmHeap::kNowhere)
        ready_[known_vm.domain].remove(known_vm.slot, positions_);
    domain_changes(known_vm, domain);
    known_vm.domain = domain;
    refresh(known_vm);
}

void KeyedRule::remove_vm(VmId vm) {
    Vm& known_vm = known(vm);
    const bool was_busy = known_vm.busy();
    while (known_vm.head != kNone) {
        const uint32_t index = known_vm.head;
        unlink(known_vm, index);
        forget_job(index);
    }
    if (!known_vm.gone) ++gone_;
    known_vm.gone = true;
    refresh(known_vm);
    if (was_busy) settle(known_vm);
    forget_removed();
}

void KeyedRule::forget_removed() {
    if (gone_ == 0) return;
    for (Vm& vm : vms_) {
        if (!vm.gone || vm.busy() || !forgettable(vm)) continue;
        slots_.erase(vm.id);
        vm.gone = false;
        free_vms_.push_back(vm.slot);
        --gone_;
    }
}

void KeyedRule::submit(const Arrival& arrival, Time now) {
    Vm& vm = known(arrival.vm);
    MIMIC_CHECK(!vm.gone);
    uint32_t index = static_cast<uint32_t>(jobs_.size());
    if (free_jobs_.empty()) {
        jobs_.emplace_back();
    } else {
        index = free_jobs_.back();
        free_jobs_.pop_back();
        jobs_[index] = Job{};
    }
    MIMIC_CHECK(job_slots_.try_emplace(arrival.job, index).second);
    Job& job = jobs_[index];
    job.id = arrival.job;
    job.vm = vm.slot;
    job.order = arrivals_++;
    job.since = now;
    const bool was_idle = !vm.busy();
    link(vm, index);
    if (was_idle) woke(vm);
    if (vm.waiting == 1) refresh(vm);
}

bool KeyedRule::cancel(JobId job) {
    const uint32_t index = find_job(job);
    if (index == kNone || jobs_[index].running) return false;
    Vm& vm = vms_[jobs_[index].vm];
    unlink(vm, index);
    forget_job(index);
    refresh(vm);
    settle(vm);
    return true;
}

KeyedRule::Choice KeyedRule::choose(BackendIndex backend, Time /*now*/) {
    const VmHeap& home = ready_[backend + 1];
    const VmHeap& anywhere = ready_[0];
    if (home.empty() && anywhere.empty()) return {};
    const bool through_home = !home.empty() &&
                              (anywhere.empty() || home_first(backend, home.top(), anywhere.top()));
    return {&vms_[(through_home ? home : anywhere).top().slot], through_home};
}

std::optional<JobId> KeyedRule::next(BackendIndex backend, Time now) {
    grow(backend + 1);
    const Choice choice = choose(backend, now);
    if (choice.vm == nullptr) return std::nullopt;
    Vm& vm = *choice.vm;
    const uint32_t index = vm.head;
    Job& job = jobs_[index];
    unlink(vm, index);
    job.backend = backend;
    job.through_home = choice.through_home;
    job.running = true;
    starts(vm, job);
    ++vm.running;
    refresh(vm);
    return job.id;
}

void KeyedRule::finished(JobId id, Time took, Time /*now*/) {
    const uint32_t index = find_job(id);
    MIMIC_CHECK(index != kNone && jobs_[index].running);
    Job& job = jobs_[index];
    Vm& vm = vms_[job.vm];
    took = clamp_job(took);
    --vm.running;
    vm.service += took;
    ends(vm, job, took);
    forget_job(index);
    refresh(vm);
    settle(vm);
}

void KeyedRule::put_back(JobId id, Time /*now*/) {
    const uint32_t index = find_job(id);
    MIMIC_CHECK(index != kNone && jobs_[index].running);
    Job& job = jobs_[index];
    Vm& vm = vms_[job.vm];
    --vm.running;
    undone(vm, job);
    job.running = false;
    if (vm.gone) {
        forget_job(index);
        settle(vm);
        return;
    }
    link(vm, index);
    refresh(vm);
}

// Into the queue by arrival. Only jobs that are put back are not the last, and those are older than
// all but others of their kind, so the walk from the front is short.
void KeyedRule::link(Vm& vm, uint32_t index) {
    Job& job = jobs_[index];
    uint32_t before = vm.tail;
    if (before != kNone && jobs_[before].order > job.order) {
        uint32_t behind = vm.head;
        while (jobs_[behind].order < job.order) behind = jobs_[behind].behind;
        before = jobs_[behind].before;
    }
    job.before = before;
    job.behind = before == kNone ? vm.head : jobs_[before].behind;
    (job.before == kNone ? vm.head : jobs_[job.before].behind) = index;
    (job.behind == kNone ? vm.tail : jobs_[job.behind].before) = index;
    ++vm.waiting;
    ++waiting_;
    queued(vm, index);
}

void KeyedRule::unlink(Vm& vm, uint32_t index) {
    Job& job = jobs_[index];
    (job.before == kNone ? vm.head : jobs_[job.before].behind) = job.behind;
    (job.behind == kNone ? vm.tail : jobs_[job.behind].before) = job.before;
    job.before = job.behind = kNone;
    --vm.waiting;
    --waiting_;
    unqueued(vm, index);
}

void KeyedRule::forget_job(uint32_t index) {
    job_slots_.erase(jobs_[index].id);
    free_jobs_.push_back(index);
}

// After its last job went.
void KeyedRule::settle(Vm& vm) {
    if (!vm.busy()) slept(vm);
}

void KeyedRule::refresh(Vm& vm) {
    VmHeap& heap = ready_[vm.domain];
    const bool inside = positions_[vm.slot] != VmHeap::kNowhere;
    if (vm.waiting > 0 && vm.running < vm.share.parallel) {
        if (!inside) enters(vm);
        heap.put(vm.slot, key(vm), positions_);
    } else if (inside) {
        heap.remove(vm.slot, positions_);
    }
}

size_t KeyedRule::waiting(VmId vm) const {
    const Vm* found = find(vm);
    return found ? found->waiting : 0;
}

size_t KeyedRule::running(VmId vm) const {
    const Vm* found = find(vm);
    return found ? found->running : 0;
}

Time KeyedRule::service(VmId vm) const {
    const Vm* found = find(vm);
    return found ? found->service : 0;
}

}  // namespace mimic::mediator::schedule
