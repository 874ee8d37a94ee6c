// SPDX-License-Identifier: Apache-2.0
// EngineRig: an engine in simulated time with fake backends, and connections to it.
#pragma once

#include <unistd.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/virtual_time.h"
#include "compute/request.h"
#include "mediator/engine/engine.h"
#include "mediator/engine/testing/fake_backend.h"

namespace mimic::mediator {

/// A configuration with pool A of so many backends (A0, A1, ...), for all VMs of this user.
inline Config rig_config(size_t backends = 1) {
    Config config;
    PoolConfig pool;
    for (size_t i = 0; i < backends; ++i) {
        BackendConfig backend;
        backend.name = "A" + std::to_string(i);
        pool.backends.push_back(backend);
    }
    config.pools.push_back(pool);
    config.others = VmConfig{};
    return config;
}

/// A request that the fake backends take so many microseconds for.
inline std::vector<std::byte> rig_job(uint32_t us, uint32_t opcode = VGPU_OP_LAUNCH) {
    return compute::make_request(opcode, std::vector<uint32_t>{us});
}

/// A connection, and what it was answered.
class RigClient final : public ClientSink {
public:
    struct Got {
        uint64_t id;
        vgpu_error error;
        std::vector<std::byte> response;
        TimePoint when;
    };

    RigClient(Engine& engine, TaskRunner& runner, Client client)
        : engine_(engine), runner_(runner), who(client) {
        admission = engine.admit(client, *this);
    }

    void ask(uint64_t id, const std::vector<std::byte>& bytes, bool again = false,
             size_t room = 4096) {
        Request request;
        request.id = id;
        request.again = again;
        request.room = room;
        request.bytes = bytes;
        engine_.submit(admission.key, std::move(request));
    }
    void leave(bool may_come_back) { engine_.left(admission.key, may_come_back); }

    void on_answer(uint64_t id, const Answer& answer) override {
        got.push_back(
            {id, answer.error, {answer.response.begin(), answer.response.end()}, runner_.now()});
        if (answered) answered(id, answer);
    }
    void on_replaced() override { replaced = true; }

    /// The error with which a request was answered; UINT32_MAX: not yet.
    uint32_t error_of(uint64_t id) const {
        for (const Got& answer : got) {
            if (answer.id == id) return answer.error;
        }
        return UINT32_MAX;
    }

private:
    Engine& engine_;
    TaskRunner& runner_;

public:
    const Client who;
    Admission admission;
    std::vector<Got> got;
    bool replaced = false;
    std::function<void(uint64_t, const Answer&)> answered;
};

struct EngineRig {
    explicit EngineRig(Config config = rig_config(), FakeBackends prepared = {})
        : backends(std::move(prepared)) {
        Engine::Hooks hooks;
        hooks.audit = [this](const AuditEvent& event) { audit.push_back(event); };
        auto made = make_engine(
            std::move(config),
            [this](const BackendConfig& wanted) -> Result<std::unique_ptr<backend::Backend>> {
                if (wanted.name == broken) return fail(std::errc::io_error, "broken");
                return std::make_unique<FakeBackend>(wanted, backends, time);
            },
            time, std::move(hooks));
        engine = std::move(*made);
    }

    RigClient& connect(VmId vm, uint64_t session = 1, char pool = 'A',
                       Priority priority = Priority::kMedium) {
        return connect(Client{vm, session, pool, priority, ::geteuid()});
    }
    RigClient& connect(const Client& client) {
        clients.push_back(std::make_unique<RigClient>(*engine, time, client));
        return *clients.back();
    }
    VmStatus vm(VmId id) const {
        for (const VmStatus& status : engine->status().vms) {
            if (status.id == id) return status;
        }
        return {};
    }
    size_t audited(const std::string& what) const {
        return static_cast<size_t>(std::count_if(audit.begin(), audit.end(),
                                                 [&](const auto& e) { return e.what == what; }));
    }

    VirtualTime time;
    FakeBackends backends;
    std::string broken;
    std::vector<AuditEvent> audit;
    std::deque<std::unique_ptr<RigClient>> clients;
    std::unique_ptr<Engine> engine;
};

}  // namespace mimic::mediator
