// SPDX-License-Identifier: Apache-2.0
#include "machine/supervisor_api.h"

#include <nlohmann/json.hpp>

#include "control/openapi.h"
#include "machine/machine_api.h"
#include "service/process_routes.h"

namespace mimic::machine {

using service::HttpRequest;
using service::HttpResponse;
using service::PathNames;
using Json = nlohmann::ordered_json;

SupervisorApi::SupervisorApi(std::string run_dir, const MachineState& state)
    : run_dir_(std::move(run_dir)), state_(state), process_(state.name) {
    service::add_process_routes(router_, control::openapi_document());
    router_.add({"GET", "/v1/machine"},
                [this](const HttpRequest&, const PathNames&) { return machine(); });
    service::add_event_routes(router_, process_);
    router_.add({"GET", "/metrics"},
                [this](const HttpRequest&, const PathNames&) { return metrics(); });
}

Result<std::unique_ptr<SupervisorApi>> SupervisorApi::create(const std::string& run_dir,
                                                             const MachineState& state) {
    auto api = std::make_unique<SupervisorApi>(run_dir, state);
    MIMIC_ASSIGN_OR_RETURN(
        api->http_,
        service::HttpServer::create(
            supervisor_socket_path(run_dir),
            {.handler =
                 [raw = api.get()](const HttpRequest& request) { return raw->handle(request); },
             .refuse =
                 [](int status, const char* code, const char* sentence) {
                     return service::refuse({status, code, sentence});
                 },
             .counters = &api->process_.requests}));
    return api;
}

void SupervisorApi::update(const MachineState& state, const std::string& reason) {
    std::string was;
    std::string now;
    {
        const std::lock_guard lock(mutex_);
        was = machine_state_name(state_.phase);
        now = machine_state_name(state.phase);
        state_ = state;
        reason_ = reason;
    }
    if (was != now) process_.events.publish("machine", "", {{"state", now}, {"reason", reason}});
}

HttpResponse SupervisorApi::machine() {
    MachineState state;
    std::string reason;
    {
        const std::lock_guard lock(mutex_);
        state = state_;
        reason = reason_;
    }
    Json json = machine_json(state, {state.phase, reason, run_dir_});
    json["plan"] = plan_json(run_dir_);
    return service::answer(json);
}

HttpResponse SupervisorApi::metrics() {
    service::Metrics metrics;
    service::add_control_metrics(metrics, process_);
    MachineState state;
    {
        const std::lock_guard lock(mutex_);
        state = state_;
    }
    const std::string& name = process_.machine;
    for (const char* each : {"starting", "running", "degraded", "ended"})
        metrics.add("mimic_machine_state", {{"machine", name}, {"state", each}},
                    machine_state_name(state.phase) == each ? 1 : 0);
    const auto processes = machine_json(state, {state.phase, "", run_dir_})["processes"];
    for (const auto& process : processes)
        metrics.add("mimic_machine_process_alive",
                    {{"machine", name},
                     {"kind", process["kind"].get<std::string>()},
                     {"pid", std::to_string(process["pid"].get<pid_t>())}},
                    process["alive"].get<bool>() ? 1 : 0);
    return service::metrics_answer(metrics);
}

}  // namespace mimic::machine
