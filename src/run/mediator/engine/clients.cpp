// SPDX-License-Identifier: Apache-2.0
// Who may be which VM, and what a connection leaves behind.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "mediator/engine/engine_core.h"

namespace mimic::mediator {
namespace {

// VMs that are remembered, listed or not. A peer may name any of 2^32.
constexpr size_t kMostVms = 4096;
// Of a VM. Each may hold memory while its device is away.
constexpr size_t kMostSessions = 64;

}  // namespace

std::optional<VmConfig> EngineCore::config_of(VmId vm) const {
    for (const VmConfig& listed : config_.vms) {
        if (listed.id == vm) return listed;
    }
    if (!config_.others) return std::nullopt;
    VmConfig other = *config_.others;
    other.id = vm;
    return other;
}

bool EngineCore::may_be(const VmConfig& vm, uint32_t uid) const {
    const auto& uids = vm.uids.empty() ? config_.uids : vm.uids;
    if (uids.empty()) return uid == ::geteuid();
    return std::find(uids.begin(), uids.end(), uid) != uids.end();
}

Vm* EngineCore::find_vm(VmId id) {
    const auto found = vm_by_id_.find(id);
    return found == vm_by_id_.end() ? nullptr : found->second;
}

Vm* EngineCore::find_or_make_vm(const VmConfig& config, char pool, Priority priority) {
    if (Vm* const known = find_vm(config.id)) return known;
    if (vms_.size() >= kMostVms && !make_place_for_vm()) return nullptr;
    auto made = std::make_unique<Vm>();
    Vm& vm = *made;
    vm.config = config;
    vm.listed = std::any_of(config_.vms.begin(), config_.vms.end(),
                            [&](const VmConfig& listed) { return listed.id == config.id; });
    vm.priority = config.priority.value_or(priority);
    vm.last_kept_as = static_cast<uint64_t>(runner_.now().time_since_epoch().count());
    vm_by_id_[config.id] = &vm;
    vms_[config.id] = std::move(made);
    place(vm, config.pool.value_or(pool));
    apply(vm);
    return &vm;
}

bool EngineCore::make_place_for_vm() {
    for (const auto& [id, vm] : vms_) {
        if (vm->listed || !vm->is_idle()) continue;
        forget_vm(*vm);
        return true;
    }
    return false;
}

void EngineCore::forget_vm(Vm& vm) {
    if (vm.pool != nullptr) vm.pool->rule->remove_vm(vm.id());
    vm_by_id_.erase(vm.id());
    vms_.erase(vm.id());
}

// Into the pool of that name, or none if there is none.
void EngineCore::place(Vm& vm, char pool) {
    vm.pool_id = pool;
    Pool* const to = find_pool(pool);
    if (vm.pool == to) return;
    vm.held = false;
    if (vm.pool != nullptr) vm.pool->rule->remove_vm(vm.id());
    vm.pool = to;
    if (to != nullptr) {
        to->rule->set_vm(vm.id(), share_of(vm), rule_time(runner_.now()));
        set_home(vm, std::nullopt);
    }
}

bool EngineCore::may_move(const Vm& vm) const {
    if (vm.config.pool || vm.first != 0 || vm.connections != 0) return false;
    return std::all_of(vm.sessions.begin(), vm.sessions.end(),
                       [](const auto& entry) { return entry.second->backends.empty(); });
}

// What it asks may be about memory on a backend that is still to be found again, or may have been
// done there: it waits until all of its pool are.
void EngineCore::hold(Vm& vm) {
    if (vm.home || vm.pool == nullptr || vm.pool->settled) return;
    vm.held = true;
}

Session* EngineCore::find_or_make_session(Vm& vm, uint64_t id) {
    auto& place = vm.sessions[id];
    if (place) return place.get();
    if (vm.sessions.size() > kMostSessions) {
        vm.sessions.erase(id);
        return nullptr;
    }
    place = std::make_unique<Session>();
    place->vm = &vm;
    place->id = id;
    return place.get();
}

Admission EngineCore::admit(const Client& client, ClientSink& sink) {
    thread_.check();
    const auto config = config_of(client.vm);
    if (!config || !may_be(*config, client.uid)) {
        if (Vm* const vm = find_vm(client.vm)) ++vm->counters.rejected_denied;
        if (uint64_t more = 0; refused_log_.allow(runner_.now(), more))
            audit("refused", client.vm,
                  fmt::format("uid {} may not be this VM{}", client.uid, log::more_like_it(more)));
        return {VGPU_ERROR_DENIED, 0};
    }
    Vm* const vm = find_or_make_vm(*config, client.pool, client.priority);
    if (vm == nullptr) return {VGPU_ERROR_QUEUE_FULL, 0};
    if (vm->pool_id != client.pool && may_move(*vm)) place(*vm, client.pool);
    if (!vm->config.priority && vm->priority != client.priority) {
        vm->priority = client.priority;
        apply(*vm);
    }
    const bool known = vm->sessions.contains(client.session);
    if (!known && (client.returns || client.session == 0)) hold(*vm);
    Session* const session = find_or_make_session(*vm, client.session);
    if (session == nullptr) return {VGPU_ERROR_QUEUE_FULL, 0};
    if (client.session != 0) rejoin(*session);
    session->patience.cancel();
    const auto added = clients_.add();
    added.object = {client, session, &sink, false, false};
    added.object.other_pool = !vm->config.pool && vm->pool_id != client.pool;
    session->clients.push_back(added.key);
    ++vm->connections;
    if (!known)
        audit_some(
            vm->connected_log, "connected", *vm,
            fmt::format("uid {}, pool {}, session {:016x}", client.uid, vm->pool_id, session->id));
    return {VGPU_OK, added.key};
}

void EngineCore::audit_some(log::RateLimit& limit, std::string what, const Vm& vm,
                            std::string detail) {
    uint64_t more = 0;
    uint64_t of_others = 0;
    if (!limit.allow(runner_.now(), more)) return;
    if (!vm.listed && !others_log_.allow(runner_.now(), of_others)) return;
    audit(std::move(what), vm.id(), detail + log::more_like_it(more + of_others));
}

// A device that comes back before its old connection is known to have ended takes its session.
void EngineCore::rejoin(Session& session) {
    for (const ClientKey key : std::exchange(session.clients, {})) {
        ClientState& old = *clients_.find(key);
        drop_unanswered(session, key);
        old.session = nullptr;
        --session.vm->connections;
        old.sink->on_replaced();
    }
}

// They go on, for who sends them again.
void EngineCore::drop_unanswered(Session& session, ClientKey client) {
    for (const auto& [request_id, key] : session.jobs) {
        EngineJob& job = *jobs_.find(key);
        if (job.client == client) job.client = 0;
    }
}

void EngineCore::left(ClientKey client, bool may_come_back) {
    thread_.check();
    ClientState* const state = clients_.find(client);
    if (state == nullptr) return;
    Session* const session = state->session;
    if (session == nullptr) return clients_.remove(client);
    Vm& vm = *session->vm;
    --vm.connections;
    std::erase(session->clients, client);
    if (session->id == 0) {
        // Nobody can ask for their results again.
        for (const JobKey key : jobs_of(vm)) {
            EngineJob* const job = jobs_.find(key);
            if (job == nullptr || job->client != client) continue;
            job->client = 0;
            abandon(key, VGPU_ERROR_CANCELLED);
        }
    } else {
        drop_unanswered(*session, client);
    }
    clients_.remove(client);
    if (!session->clients.empty()) return;
    const bool holds = !session->jobs.empty() || !session->backends.empty();
    if (holds && (may_come_back || session->id == 0)) {
        begin_patience(*session);
    } else {
        end_session(vm, session->id);
    }
}

void EngineCore::begin_patience(Session& session) {
    session.patience.start(runner_, config_.session_patience,
                           [this, vm = session.vm, id = session.id] { end_session(*vm, id); });
}

void EngineCore::end_session(Vm& vm, uint64_t id) {
    auto node = vm.sessions.extract(id);
    if (node.empty()) return;
    Session& session = *node.mapped();
    for (const JobKey key : jobs_of(vm)) {
        EngineJob* const job = jobs_.find(key);
        if (job == nullptr || job->session != &session) continue;
        abandon(key, VGPU_ERROR_CANCELLED);
        // What runs outlives it.
        if (EngineJob* const left = jobs_.find(key)) left->session = nullptr;
    }
    release_owner(session);
    audit_some(vm.left_log, "left", vm, fmt::format("session {:016x}", id));
    if (vm.sessions.empty() && vm.home) set_home(vm, std::nullopt);
    check_drained();
}

// Its memory goes; where a job of it still runs, after that job.
void EngineCore::release_owner(Session& session) {
    Pool* const pool = session.vm->pool;
    const backend::Owner owner{session.vm->id(), session.id};
    for (const uint32_t index : std::exchange(session.backends, {})) {
        if (pool == nullptr) continue;
        BackendSlot& slot = *pool->slots[index];
        if (!slot.backend) continue;
        EngineJob* const job = jobs_.find(slot.running);
        if (job != nullptr && job->owner == owner) {
            job->release_after = true;
        } else {
            slot.backend->release(owner);
        }
    }
}

void EngineCore::forget(ClientKey client) {
    thread_.check();
    const ClientState* const state = clients_.find(client);
    if (state == nullptr || state->session == nullptr) return;
    Session& session = *state->session;
    for (const JobKey key : jobs_of(*session.vm)) {
        const EngineJob* const job = jobs_.find(key);
        if (job != nullptr && job->session == &session) abandon(key, VGPU_ERROR_CANCELLED);
    }
    release_owner(session);
}

void EngineCore::acknowledge(ClientKey client, uint64_t request_id) {
    thread_.check();
    const ClientState* const state = clients_.find(client);
    if (state == nullptr || state->session == nullptr || state->session->id == 0) return;
    const Session& session = *state->session;
    if (session.vm->pool == nullptr) return;
    for (const uint32_t index : session.backends) {
        BackendSlot& slot = *session.vm->pool->slots[index];
        if (slot.backend) slot.backend->acknowledge({session.vm->id(), session.id}, request_id);
    }
}

}  // namespace mimic::mediator
