// SPDX-License-Identifier: Apache-2.0
// Faults, and what comes of them.
#include <utility>

#include "mediator/engine/engine_core.h"

namespace mimic::mediator {

void EngineCore::fault(VmId id, const std::string& reason) {
    thread_.check();
    if (Vm* const vm = find_vm(id)) note_fault(*vm, reason);
}

void EngineCore::note_fault(Vm& vm, const std::string& reason) {
    ++vm.counters.faults;
    if (config_.quarantine.faults == 0 || vm.quarantined) return;
    const TimePoint now = runner_.now();
    vm.faults.push_back(now);
    while (!vm.faults.empty() && now - vm.faults.front() > config_.quarantine.window) {
        vm.faults.pop_front();
    }
    if (vm.faults.size() >= config_.quarantine.faults)
        quarantine_vm(vm, fmt::format("{} faults, the last one: {}", vm.faults.size(), reason),
                      config_.quarantine.release);
}

void EngineCore::quarantine_vm(Vm& vm, const std::string& reason, Duration release) {
    vm.quarantined = true;
    vm.quarantine_reason = reason;
    vm.quarantine_timer.cancel();
    vm.quarantine_end = {};
    if (release > Duration{}) {
        vm.quarantine_end = runner_.now() + release;
        vm.quarantine_timer.start(runner_, release, [this, &vm] { release_vm(vm, "its time"); });
    }
    audit("quarantined", vm.id(), reason);
    abandon_waiting(vm, VGPU_ERROR_QUARANTINED);
}

void EngineCore::release_vm(Vm& vm, std::string_view how) {
    vm.quarantine_timer.cancel();
    vm.quarantined = false;
    vm.quarantine_reason.clear();
    vm.faults.clear();
    audit("released", vm.id(), std::string(how));
}

Result<void> EngineCore::quarantine(VmId id, const std::string& reason, Duration release) {
    thread_.check();
    MIMIC_ASSIGN_OR_RETURN(Vm* const vm, vm_by_hand(id));
    quarantine_vm(*vm, reason, release);
    return {};
}

Result<void> EngineCore::release(VmId id) {
    thread_.check();
    Vm* const vm = find_vm(id);
    if (vm == nullptr) return fail(std::errc::no_such_file_or_directory, "VM {} is not known", id);
    if (!vm->quarantined)
        return fail(std::errc::invalid_argument, "VM {} is not in quarantine", id);
    release_vm(*vm, "by hand");
    return {};
}

// A VM that a person names may not have been here yet.
Result<Vm*> EngineCore::vm_by_hand(VmId id) {
    if (Vm* const vm = find_vm(id)) return vm;
    const auto config = config_of(id);
    if (!config)
        return fail(std::errc::no_such_file_or_directory, "VM {} is not in the configuration", id);
    Vm* const vm = find_or_make_vm(*config, kFirstPool,
                                   config->priority.value_or(Priority::kMedium));
    if (vm == nullptr) return fail(std::errc::not_enough_memory, "too many VMs");
    return vm;
}

Result<void> EngineCore::set_weight(VmId id, uint32_t weight) {
    thread_.check();
    if (weight < 1 || weight > kMaxWeight)
        return fail(std::errc::invalid_argument, "weight {} is not 1 .. {}", weight, kMaxWeight);
    MIMIC_ASSIGN_OR_RETURN(Vm* const vm, vm_by_hand(id));
    vm->config.weight = weight;
    apply(*vm);
    audit("weight", id, fmt::format("{}", weight));
    return {};
}

Result<void> EngineCore::set_limits(VmId id, const Limits& limits) {
    thread_.check();
    if (limits.rate < 0 || limits.burst < 0 || limits.parallel < 1 ||
        limits.job_timeout <= Duration{})
        return fail(std::errc::invalid_argument,
                    "rate and burst are not negative, parallel and the timeout not 0");
    MIMIC_ASSIGN_OR_RETURN(Vm* const vm, vm_by_hand(id));
    vm->config.limits = limits;
    apply(*vm);
    if (vm->pool != nullptr) dispatch(*vm->pool);  // more of it may run at the same time now
    audit("limits", id,
          fmt::format("rate {}, burst {}, queue depth {}, memory {}, parallel {}", limits.rate,
                      limits.burst, limits.queue_depth, limits.memory_bytes, limits.parallel));
    return {};
}

}  // namespace mimic::mediator
