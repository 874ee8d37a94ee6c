// SPDX-License-Identifier: Apache-2.0
// EngineCore: engine.h's engine. Private to this folder.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "mediator/engine/engine.h"
#include "mediator/engine/parts.h"
#include "mediator/engine/pool.h"
#include "mediator/engine/slab.h"

namespace mimic::mediator {

class EngineCore final : public Engine {
public:
    EngineCore(Config config, MakeBackend make_backend, TaskRunner& runner, Hooks hooks);
    ~EngineCore() override;

    Admission admit(const Client& client, ClientSink& sink) override;
    void left(ClientKey client, bool may_come_back) override;
    void submit(ClientKey client, Request request) override;
    void cancel(ClientKey client, uint64_t request_id) override;
    void acknowledge(ClientKey client, uint64_t request_id) override;
    void forget(ClientKey client) override;
    void fault(VmId vm, const std::string& reason) override;

    Result<void> set_weight(VmId vm, uint32_t weight) override;
    Result<void> set_limits(VmId vm, const Limits& limits) override;
    Result<void> quarantine(VmId vm, const std::string& reason, Duration release) override;
    Result<void> release(VmId vm) override;
    Result<void> reload(const Config& config) override;
    void drain(bool on, std::function<void()> drained) override;
    EngineStatus status() const override;
    std::optional<VmStatus> vm_status(VmId vm) const override;
    const Config& config() const override { return config_; }

private:
    // clients.cpp: who may be which VM, sessions.
    std::optional<VmConfig> config_of(VmId vm) const;
    bool may_be(const VmConfig& vm, uint32_t uid) const;
    Vm* find_vm(VmId id);
    Vm* find_or_make_vm(const VmConfig& config, char pool, Priority priority);
    bool make_place_for_vm();
    void forget_vm(Vm& vm);
    void place(Vm& vm, char pool);
    bool may_move(const Vm& vm) const;
    void hold(Vm& vm);
    Session* find_or_make_session(Vm& vm, uint64_t id);
    void rejoin(Session& session);
    void drop_unanswered(Session& session, ClientKey client);
    void begin_patience(Session& session);
    void end_session(Vm& vm, uint64_t id);
    void release_owner(Session& session);

    // requests.cpp: from arrival to the rule, or an answer at once.
    vgpu_error refusal(ClientState& client, bool again);
    void refuse(ClientState& client, uint64_t request_id, vgpu_error error);
    void answer_now(ClientState& client, const Request& request);
    bool attach_again(ClientState& client, ClientKey key, const Request& request);
    void enqueue(ClientState& client, ClientKey key, Request request, uint32_t opcode);
    static bool is_for_engine(const EngineJob& job);
    void to_rule(JobKey key, EngineJob& job, schedule::Time now);
    void append(Vm& vm, JobKey key, EngineJob& job);
    void unlink(EngineJob& job);
    void end_job(JobKey key, const Answer& answer);
    void settle(Vm& vm);
    void abandon(JobKey key, vgpu_error error);
    void abandon_waiting(Vm& vm, vgpu_error error);
    std::vector<JobKey> jobs_of(const Vm& vm);

    // dispatch.cpp: from the rule to backends and back.
    schedule::Time rule_time(TimePoint now) const { return (now - start_).count(); }
    void choose_home(Vm& vm);
    void set_home(Vm& vm, std::optional<uint32_t> home);
    void dispatch(Pool& pool);
    void dispatch(Pool& pool, uint32_t backend);
    void start(uint32_t backend, JobKey key, EngineJob& job, TimePoint now);
    void finished(Pool& pool, uint32_t backend, JobKey key, const backend::Outcome& outcome);
    void answer_outcome(JobKey key, EngineJob& job, const backend::Outcome& outcome);
    void note_use(EngineJob& job);

    // backends.cpp: backends that come and go.
    void add_backend(Pool& pool, const BackendConfig& config);
    void backend_changed(Pool& pool, uint32_t index);
    void adopt_owners(Pool& pool, uint32_t index);
    void patience_is_over(Pool& pool, uint32_t index);
    Duration longest_job() const;
    void give_up(Pool& pool, uint32_t index);
    void settle_pool(Pool& pool);
    void retire(Pool& pool, uint32_t index);
    void bury(Pool& pool, uint32_t index);

    // discipline.cpp
    void note_fault(Vm& vm, const std::string& reason);
    void quarantine_vm(Vm& vm, const std::string& reason, Duration release);
    void release_vm(Vm& vm, std::string_view how);
    Result<Vm*> vm_by_hand(VmId id);

    // reload.cpp
    Pool* find_pool(char id);
    std::unique_ptr<schedule::Rule> make_pool_rule() const;
    schedule::Share share_of(const Vm& vm) const;
    void apply(Vm& vm);
    void reload_pool(Pool& pool, const PoolConfig& config);
    void renew_rule(Pool& pool);
    void reload_vm(Vm& vm);
    void move_waiting(Vm& vm, Pool* to);
    void reload_clients();
    double fairness_of(const Pool& pool, TimePoint now) const;
    void drop_pools();
    void check_drained();

    void audit_some(log::RateLimit& limit, std::string what, const Vm& vm, std::string detail);
    void audit(std::string what, std::optional<VmId> vm, std::string detail);

    Config config_;
    const MakeBackend make_backend_;
    TaskRunner& runner_;
    const Hooks hooks_;
    const TimePoint start_;
    ThreadBound thread_;

    std::map<VmId, std::unique_ptr<Vm>> vms_;
    std::unordered_map<VmId, Vm*> vm_by_id_;
    Slab<ClientState> clients_;
    Slab<EngineJob> jobs_;
    std::vector<std::unique_ptr<Pool>> pools_;
    std::vector<std::unique_ptr<backend::Backend>> graves_;  // may be on the stack still
    Timer burial_;
    Timer pools_timer_;
    bool draining_ = false;
    std::function<void()> drained_;
    Timer drained_timer_;
    log::RateLimit refused_log_{20};
    log::RateLimit others_log_{1000};  // of VMs that are not listed: a peer may name any number
};

}  // namespace mimic::mediator
