// SPDX-License-Identifier: Apache-2.0
// Configurations that come while requests wait.
#include <algorithm>
#include <utility>

#include "mediator/engine/engine_core.h"

namespace mimic::mediator {

Pool* EngineCore::find_pool(char id) {
    for (const auto& pool : pools_) {
        if (pool->id == id && !pool->gone) return pool.get();
    }
    return nullptr;
}

std::unique_ptr<schedule::Rule> EngineCore::make_pool_rule() const {
    schedule::RuleOptions options;
    options.strict_classes = config_.strict_classes;
    return schedule::make_rule(config_.rule, options);
}

schedule::Share EngineCore::share_of(const Vm& vm) const {
    return {std::max(1U, vm.config.weight), vm.priority, std::max(1U, vm.config.limits.parallel)};
}

// What of a VM's configuration others have to know.
void EngineCore::apply(Vm& vm) {
    const TimePoint now = runner_.now();
    vm.bucket.configure(vm.config.limits.rate, vm.config.limits.burst, now);
    if (vm.pool != nullptr) vm.pool->rule->set_vm(vm.id(), share_of(vm), rule_time(now));
}

Result<void> EngineCore::reload(const Config& config) {
    thread_.check();
    const bool new_rule = config.rule != config_.rule ||
                          config.strict_classes != config_.strict_classes;
    config_ = config;
    for (const auto& pool : pools_) {
        const bool stays = std::any_of(
            config.pools.begin(), config.pools.end(),
            [&](const PoolConfig& wanted) { return wanted.id == pool->id; });
        if (!stays) pool->gone = true;
    }
    for (const PoolConfig& wanted : config.pools) {
        Pool* pool = find_pool(wanted.id);
        if (pool == nullptr) {
            pools_.push_back(std::make_unique<Pool>());
            pool = pools_.back().get();
            pool->id = wanted.id;
            pool->rule = make_pool_rule();
        } else if (new_rule) {
            renew_rule(*pool);
        }
        reload_pool(*pool, wanted);
    }
    for (const VmConfig& listed : config_.vms) {
        find_or_make_vm(listed, kFirstPool, listed.priority.value_or(Priority::kMedium));
    }
    for (const auto& [id, vm] : vms_) reload_vm(*vm);
    reload_clients();
    for (const auto& pool : pools_) {
        if (!pool->gone) {
            dispatch(*pool);
            continue;
        }
        for (uint32_t i = 0; i < pool->slots.size(); ++i) retire(*pool, i);
    }
    check_drained();
    pools_timer_.post(runner_, [this] { drop_pools(); });
    audit("reloaded", std::nullopt,
          fmt::format("{} pools, {} VMs", config_.pools.size(), config_.vms.size()));
    return {};
}

// Backends that are as they were go on; the rest ends and begins.
void EngineCore::reload_pool(Pool& pool, const PoolConfig& config) {
    const auto is_wanted = [&](const BackendSlot& slot) {
        return std::find(config.backends.begin(), config.backends.end(), slot.config) !=
               config.backends.end();
    };
    const auto is_there = [&](const BackendConfig& wanted) {
        return std::any_of(pool.slots.begin(), pool.slots.end(), [&](const auto& slot) {
            return slot->backend && !slot->retired && slot->config == wanted;
        });
    };
    pool.adding = true;
    for (uint32_t i = 0; i < pool.slots.size(); ++i) {
        BackendSlot& slot = *pool.slots[i];
        if (!slot.backend || !is_wanted(slot)) retire(pool, i);
    }
    for (const BackendConfig& wanted : config.backends) {
        if (!is_there(wanted)) add_backend(pool, wanted);
    }
    pool.adding = false;
    settle_pool(pool);
}

// What runs is known to the new rule as running, what waits comes in the order of its arrival.
void EngineCore::renew_rule(Pool& pool) {
    const schedule::Time now = rule_time(runner_.now());
    auto rule = make_pool_rule();
    for (uint32_t i = 0; i < pool.slots.size(); ++i) {
        EngineJob* const job = jobs_.find(pool.slots[i]->running);
        if (job == nullptr) continue;
        schedule::Share share = share_of(*job->vm);
        share.parallel = UINT32_MAX;  // however many of it run
        rule->set_vm(job->vm->id(), share, now);
        rule->submit({pool.slots[i]->running, job->vm->id()}, now);
        const auto started = rule->next(i, now);
        MIMIC_CHECK(started == pool.slots[i]->running);
        if (job->vm->pool != &pool) rule->remove_vm(job->vm->id());
    }
    std::vector<std::pair<TimePoint, JobKey>> waiting;
    for (const auto& [id, vm] : vms_) {
        if (vm->pool != &pool) continue;
        rule->set_vm(id, share_of(*vm), now);
        rule->set_home(id, vm->home);
        for (const JobKey key : jobs_of(*vm)) {
            const EngineJob& job = *jobs_.find(key);
            if (job.state == JobState::kWaiting) waiting.emplace_back(job.arrived, key);
        }
    }
    std::stable_sort(waiting.begin(), waiting.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [arrived, key] : waiting) {
        rule->submit({key, jobs_.find(key)->vm->id()}, now);
    }
    pool.rule = std::move(rule);
}

void EngineCore::reload_vm(Vm& vm) {
    const auto config = config_of(vm.id());
    vm.listed = std::any_of(config_.vms.begin(), config_.vms.end(),
                            [&](const VmConfig& listed) { return listed.id == vm.id(); });
    if (config) {
        vm.config = *config;
        vm.priority = config->priority.value_or(vm.priority);
    }
    const char wanted = vm.config.pool.value_or(vm.pool_id);
    Pool* const to = find_pool(wanted);
    vm.pool_id = wanted;
    if (to != vm.pool) move_waiting(vm, to);
    apply(vm);
}

// Its memory stays behind, and is freed.
void EngineCore::move_waiting(Vm& vm, Pool* to) {
    std::vector<JobKey> moved;
    for (const JobKey key : jobs_of(vm)) {
        const JobState state = jobs_.find(key)->state;
        if (state == JobState::kWaiting || state == JobState::kHeld) moved.push_back(key);
    }
    if (Pool* const from = vm.pool) {
        for (const JobKey key : moved) from->rule->cancel(key);
        for (const auto& [id, session] : vm.sessions) release_owner(*session);
        from->rule->remove_vm(vm.id());
    }
    vm.pool = to;
    vm.home.reset();
    vm.held = false;
    if (to == nullptr) {
        for (const JobKey key : moved) {
            end_job(key, {VGPU_ERROR_POOL, {}});
            settle(vm);
        }
        return;
    }
    apply(vm);
    set_home(vm, std::nullopt);
    const schedule::Time now = rule_time(runner_.now());
    for (const JobKey key : moved) {
        EngineJob& job = *jobs_.find(key);
        job.pool = to;
        to_rule(key, job, now);
    }
}

void EngineCore::reload_clients() {
    clients_.for_each([this](ClientKey, ClientState& client) {
        if (client.session == nullptr) return;
        const Vm& vm = *client.session->vm;
        const auto config = config_of(vm.id());
        client.denied = !config || !may_be(*config, client.client.uid);
        client.other_pool = !vm.config.pool && vm.pool_id != client.client.pool;
    });
}

// Those that are gone, once nothing of them is left.
void EngineCore::drop_pools() {
    std::erase_if(pools_, [](const std::unique_ptr<Pool>& pool) {
        return pool->gone && std::all_of(pool->slots.begin(), pool->slots.end(),
                                         [](const auto& slot) { return !slot->backend; });
    });
}

void EngineCore::drain(bool on, std::function<void()> drained) {
    thread_.check();
    draining_ = on;
    drained_ = on ? std::move(drained) : nullptr;
    drained_timer_.cancel();
    audit(on ? "draining" : "working", std::nullopt, fmt::format("{} in flight", jobs_.size()));
    check_drained();
}

void EngineCore::check_drained() {
    if (!drained_ || jobs_.size() != 0) return;
    drained_timer_.post(runner_, std::exchange(drained_, nullptr));
}

}  // namespace mimic::mediator
