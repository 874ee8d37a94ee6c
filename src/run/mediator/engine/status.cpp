// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "mediator/engine/engine_core.h"
#include "mediator/schedule/jain_index.h"

namespace mimic::mediator {
namespace {

// Who had nothing to do for half of the time got what it wanted.
bool was_backlogged(const ShareWindow::Sum& sum, Duration observed) {
    return sum.backlogged > Duration{} && sum.backlogged * 2 >= observed;
}

VmStatus status_of(const Vm& vm, TimePoint now) {
    VmStatus status;
    status.id = vm.id();
    status.pool = vm.pool_id;
    status.priority = vm.priority;
    status.weight = vm.config.weight;
    status.limits = vm.config.limits;
    status.connections = vm.connections;
    status.waiting = vm.waiting;
    status.running = vm.running;
    status.quarantined = vm.quarantined;
    status.quarantine_reason = vm.quarantine_reason;
    if (vm.quarantined && vm.quarantine_end != TimePoint{})
        status.quarantine_left = std::max(Duration{}, vm.quarantine_end - now);
    if (vm.pool != nullptr) {
        for (const auto& slot : vm.pool->slots) {
            if (slot->backend) status.memory_used += slot->backend->memory_used(vm.id());
        }
    }
    status.counters = vm.counters;
    status.latency = vm.latency;
    status.execution = vm.execution;
    return status;
}

}  // namespace

// Among VMs that compete: all of a pool, or with strict classes those of one class. The worst of
// the classes counts.
double EngineCore::fairness_of(const Pool& pool, TimePoint now) const {
    const Duration observed = std::min<Duration>(now - start_,
                                                 std::chrono::seconds(ShareWindow::kSlots));
    const bool by_class = config_.strict_classes || config_.rule == RuleName::kStrict;
    std::map<int, std::vector<double>> shares;
    for (const auto& [id, vm] : vms_) {
        if (vm->pool != &pool) continue;
        const ShareWindow::Sum sum = vm->share.sum(now);
        if (!was_backlogged(sum, observed)) continue;
        const double wanted = static_cast<double>(sum.backlogged.count()) *
                              std::max(1U, vm->config.weight);
        shares[by_class ? static_cast<int>(vm->priority) : 0].push_back(
            static_cast<double>(sum.service.count()) / wanted);
    }
    double worst = 1.0;
    for (const auto& [priority, of_class] : shares) {
        worst = std::min(worst, schedule::jain_index(of_class));
    }
    return worst;
}

std::optional<VmStatus> EngineCore::vm_status(VmId vm) const {
    thread_.check();
    const auto found = vm_by_id_.find(vm);
    if (found == vm_by_id_.end()) return std::nullopt;
    return status_of(*found->second, runner_.now());
}

EngineStatus EngineCore::status() const {
    thread_.check();
    const TimePoint now = runner_.now();
    EngineStatus status;
    status.draining = draining_;
    status.uptime_ns = static_cast<uint64_t>((now - start_).count());
    for (const auto& pool : pools_) {
        if (pool->gone) continue;
        PoolStatus& shown = status.pools.emplace_back();
        shown.id = pool->id;
        shown.waiting = pool->rule->waiting();
        for (const auto& slot : pool->slots) {
            if (slot->is_free()) continue;
            auto state = slot->backend ? slot->backend->state() : backend::Backend::State{};
            if (!slot->backend) state.what = slot->why_not;
            state.name = slot->config.name;
            shown.backends.push_back(std::move(state));
        }
        for (const auto& [id, vm] : vms_) {
            if (vm->pool == pool.get()) shown.vms.push_back(id);
        }
        shown.busy_ns = pool->busy_ns;
        shown.switches = pool->switches;
        shown.fairness = fairness_of(*pool, now);
    }
    for (const auto& [id, vm] : vms_) status.vms.push_back(status_of(*vm, now));
    return status;
}

}  // namespace mimic::mediator
