// SPDX-License-Identifier: Apache-2.0
// Backends that come, go, and are found again.
#include <algorithm>
#include <utility>

#include "mediator/engine/engine_core.h"

namespace mimic::mediator {
namespace {

// A backend that is not ready for so long is given up on until it is: what waits for it runs
// elsewhere, or is answered, before a device has lost its patience (35 s). Its process starts again
// within this on a busy machine, whatever it had to load. One that was found again has the time of
// the job that it has to end first, too.
constexpr Duration kBackendPatience = std::chrono::seconds(30);

}  // namespace

void EngineCore::add_backend(Pool& pool, const BackendConfig& config) {
    auto free = std::find_if(pool.slots.begin(), pool.slots.end(),
                             [](const auto& slot) { return slot->is_free(); });
    if (free == pool.slots.end()) {
        pool.slots.push_back(std::make_unique<BackendSlot>());
        free = pool.slots.end() - 1;
    }
    const auto index = static_cast<uint32_t>(free - pool.slots.begin());
    BackendSlot& slot = **free;
    slot.config = config;
    slot.retired = slot.down = false;
    slot.why_not.clear();
    auto made = make_backend_(config);
    if (!made) {
        slot.why_not = made.error().message();
        slot.seen = true;
        audit("backend-failed", std::nullopt, fmt::format("{}: {}", config.name, slot.why_not));
        return;
    }
    slot.backend = std::move(*made);
    slot.backend->on_change([this, &pool, index] { backend_changed(pool, index); });
    backend_changed(pool, index);
}

void EngineCore::backend_changed(Pool& pool, uint32_t index) {
    thread_.check();
    BackendSlot& slot = *pool.slots[index];
    if (!slot.backend || slot.retired) return;
    if (!slot.backend->ready()) {
        if (!slot.down && !slot.patience.is_pending())
            slot.patience.start(runner_, kBackendPatience,
                                [this, &pool, index] { patience_is_over(pool, index); });
        return;
    }
    slot.patience.cancel();
    if (std::exchange(slot.down, false)) audit("backend-ready", std::nullopt, slot.config.name);
    adopt_owners(pool, index);
    slot.seen = true;
    settle_pool(pool);
    dispatch(pool);
}

// Those of an earlier mediator, whose devices may come back.
void EngineCore::adopt_owners(Pool& pool, uint32_t index) {
    backend::Backend& backend = *pool.slots[index]->backend;
    for (const backend::Owner& owner : backend.owners()) {
        const auto config = config_of(owner.vm);
        Vm* const vm = config ? find_or_make_vm(*config, pool.id,
                                                config->priority.value_or(Priority::kMedium))
                              : nullptr;
        if (vm != nullptr && vm->pool != &pool && may_move(*vm)) place(*vm, pool.id);
        Session* const session = vm != nullptr && vm->pool == &pool
                                     ? find_or_make_session(*vm, owner.session)
                                     : nullptr;
        if (session == nullptr) {
            backend.release(owner);
            continue;
        }
        auto& used = session->backends;
        if (std::find(used.begin(), used.end(), index) != used.end()) continue;
        used.push_back(index);
        if (session->clients.empty()) begin_patience(*session);
        if (!vm->home) set_home(*vm, index);
    }
}

void EngineCore::patience_is_over(Pool& pool, uint32_t index) {
    BackendSlot& slot = *pool.slots[index];
    if (!slot.backend->attaching()) return give_up(pool, index);
    slot.patience.start(runner_, longest_job(), [this, &pool, index] { give_up(pool, index); });
}

// That of an earlier mediator may have been any VM's.
Duration EngineCore::longest_job() const {
    Duration longest{};
    const auto look_at = [&](const VmConfig& vm) {
        longest = std::max(longest, vm.limits.job_timeout);
    };
    for (const VmConfig& listed : config_.vms) look_at(listed);
    if (config_.others) look_at(*config_.others);
    for (const auto& [id, vm] : vms_) look_at(vm->config);
    return longest;
}

void EngineCore::give_up(Pool& pool, uint32_t index) {
    BackendSlot& slot = *pool.slots[index];
    slot.down = slot.seen = true;
    settle_pool(pool);
    audit("backend-down", std::nullopt, slot.config.name);
    for (const auto& [id, vm] : vms_) {
        if (vm->pool == &pool && vm->home == index) set_home(*vm, std::nullopt);
    }
    if (!pool.has_hope()) {
        for (const auto& [id, vm] : vms_) {
            if (vm->pool == &pool) abandon_waiting(*vm, VGPU_ERROR_POOL);
        }
    }
    dispatch(pool);
}

// Once all that an earlier mediator left is known, VMs of which nothing was found run anywhere.
void EngineCore::settle_pool(Pool& pool) {
    if (pool.settled || pool.adding) return;
    pool.settled = std::all_of(pool.slots.begin(), pool.slots.end(),
                               [](const auto& slot) { return slot->seen || slot->retired; });
    if (!pool.settled) return;
    for (const auto& [id, vm] : vms_) {
        if (vm->pool != &pool || !vm->held) continue;
        vm->held = false;
        for (const JobKey key : jobs_of(*vm)) {
            EngineJob& job = *jobs_.find(key);
            if (job.state == JobState::kHeld) to_rule(key, job, rule_time(runner_.now()));
        }
    }
    dispatch(pool);
}

void EngineCore::retire(Pool& pool, uint32_t index) {
    BackendSlot& slot = *pool.slots[index];
    if (slot.is_free()) return;
    slot.retired = true;
    slot.patience.cancel();
    for (const auto& [id, vm] : vms_) {
        if (vm->pool == &pool && vm->home == index) set_home(*vm, std::nullopt);
    }
    if (slot.running == 0) bury(pool, index);
    settle_pool(pool);
}

// It may be on the stack: destroyed in a later turn.
void EngineCore::bury(Pool& pool, uint32_t index) {
    BackendSlot& slot = *pool.slots[index];
    for (const auto& [id, vm] : vms_) {
        if (vm->pool != &pool) continue;
        for (const auto& [session_id, session] : vm->sessions) std::erase(session->backends, index);
    }
    if (!slot.backend) return;
    slot.backend->on_change([] {});
    slot.backend->stop();
    graves_.push_back(std::move(slot.backend));
    burial_.post(runner_, [this] {
        graves_.clear();
        drop_pools();
    });
}

}  // namespace mimic::mediator
