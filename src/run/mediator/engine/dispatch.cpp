// SPDX-License-Identifier: Apache-2.0
// Jobs from the rule to backends, and back with their outcome.
#include <algorithm>
#include <utility>

#include "mediator/engine/engine_core.h"

namespace mimic::mediator {
void EngineCore::set_home(Vm& vm, std::optional<uint32_t> home) {
    vm.home = home;
    if (vm.pool != nullptr) vm.pool->rule->set_home(vm.id(), home);
}

// Before the job that may get the VM its first memory is in the rule.
void EngineCore::choose_home(Vm& vm) {
    if (vm.home) return;
    std::vector<size_t> homes(vm.pool->slots.size());
    for (const auto& [id, other] : vms_) {
        if (other->pool == vm.pool && other->home) ++homes[*other->home];
    }
    if (const auto best = vm.pool->roomiest(homes)) set_home(vm, best);
}

void EngineCore::dispatch(Pool& pool) {
    const size_t count = pool.slots.size();
    for (size_t i = 0; i < count && pool.rule->waiting() != 0; ++i) {
        const size_t index = (pool.next_slot + i) % count;
        if (pool.slots[index]->is_idle()) dispatch(pool, static_cast<uint32_t>(index));
    }
    if (count != 0) pool.next_slot = (pool.next_slot + 1) % count;
}

// The next job for an idle backend. NOPs that waited are done when their turn has come.
void EngineCore::dispatch(Pool& pool, uint32_t backend) {
    const TimePoint now = runner_.now();
    while (const auto key = pool.rule->next(backend, rule_time(now))) {
        EngineJob& job = *jobs_.find(*key);
        if (!is_for_engine(job)) return start(backend, *key, job, now);
        pool.rule->finished(*key, 0, rule_time(now));
        Vm& vm = *job.vm;
        end_job(*key, done_answer(job.room));
        settle(vm);
    }
    check_drained();
}

void EngineCore::start(uint32_t backend, JobKey key, EngineJob& job, TimePoint now) {
    Vm& vm = *job.vm;
    Pool& pool = *job.pool;
    BackendSlot& slot = *pool.slots[backend];
    job.state = JobState::kRunning;
    job.started = now;
    job.backend = backend;
    --vm.waiting;
    ++vm.running;
    slot.running = key;
    if (pool.last_vm && *pool.last_vm != vm.id()) ++pool.switches;
    pool.last_vm = vm.id();
    note_use(job);
    backend::Job asked;
    asked.id = key;
    asked.owner = job.owner;
    asked.request_id = job.kept_as;
    asked.again = job.again;
    asked.request = job.bytes;
    asked.room = job.room;
    asked.memory_limit = vm.config.limits.memory_bytes;
    asked.weight = vm.config.weight;
    asked.priority = static_cast<uint32_t>(vm.priority);
    asked.queue_depth = vm.config.limits.queue_depth;
    slot.backend->start(asked, vm.config.limits.job_timeout,
                        [this, &pool, backend, key](const backend::Outcome& outcome) {
                            finished(pool, backend, key, outcome);
                        });
    job.bytes = {};
    job.storage = {};
}

// Where memory and kept results of a session may be.
void EngineCore::note_use(EngineJob& job) {
    if (job.session == nullptr) return;
    auto& used = job.session->backends;
    if (std::find(used.begin(), used.end(), job.backend) == used.end()) used.push_back(job.backend);
}

void EngineCore::finished(Pool& pool, uint32_t backend, JobKey key,
                          const backend::Outcome& outcome) {
    thread_.check();
    EngineJob& job = *jobs_.find(key);
    Vm& vm = *job.vm;
    BackendSlot& slot = *pool.slots[backend];
    const TimePoint now = runner_.now();
    const Duration took = std::max(Duration{}, outcome.took);
    slot.running = 0;
    pool.busy_ns += static_cast<uint64_t>((now - job.started).count());
    pool.rule->finished(key, took.count(), rule_time(now));
    vm.counters.service_ns += static_cast<uint64_t>(took.count());
    vm.share.add_service(took, now);
    vm.execution.add(took);
    // Of one that came again BACKEND may only say that its result is not there any more.
    const bool is_fault = outcome.error == VGPU_ERROR_TIMEOUT ||
                          (outcome.error == VGPU_ERROR_BACKEND && !job.again);
    if (outcome.error == VGPU_ERROR_TIMEOUT) ++vm.counters.timeouts;
    const backend::Owner owner = job.owner;
    const uint64_t kept_as = job.kept_as;
    const bool release = job.release_after;
    answer_outcome(key, job, outcome);
    settle(vm);
    if (release) slot.backend->release(owner);
    if (is_fault) {
        audit(outcome.error == VGPU_ERROR_TIMEOUT ? "timeout" : "backend-died", vm.id(),
              fmt::format("job {} on {}", kept_as, slot.config.name));
        note_fault(vm, outcome.error == VGPU_ERROR_TIMEOUT ? "job timeout" : "backend died");
    }
    if (slot.retired) {
        bury(pool, backend);
    } else if (!slot.backend->ready()) {
        backend_changed(pool, backend);
    }
    // The pool's others, too: a job that had to wait for this one (parallel) may suit them.
    dispatch(pool);
    check_drained();
}

void EngineCore::answer_outcome(JobKey key, EngineJob& job, const backend::Outcome& outcome) {
    if (outcome.error != VGPU_OK) return end_job(key, {outcome.error, {}});
    if (outcome.response.size() > job.room) return end_job(key, {VGPU_ERROR_INVALID_LENGTH, {}});
    end_job(key, {VGPU_OK, outcome.response});
}

}  // namespace mimic::mediator
