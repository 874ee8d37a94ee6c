// SPDX-License-Identifier: Apache-2.0
// GET /v1/machines and /v1/machines/{machine}.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "gateway/gateway_routes.h"
#include "machine/machine_api.h"

namespace mimic::gateway {
namespace {

using service::HttpRequest;
using service::HttpResponse;
using service::PathNames;
using Json = nlohmann::ordered_json;

// From the machine's folder: also of one whose supervisor was killed, or that has none.
Json machine_of(const Gateway& gateway, const std::string& name) {
    const std::string dir = gateway.root().machine_dir(name);
    const bool alive = gateway.root().is_alive(name);
    machine::MachineState state;  // "starting", which is true between the claim and the first
                                  // state.json
    std::error_code error;
    if (auto read = machine::read_machine_state(dir)) {
        state = std::move(*read);
    } else if (!std::filesystem::exists(dir + "/launch.json", error) &&
               !machine::device_host_sockets(dir).empty()) {
        state.phase = "running";  // device hosts that somebody started without a supervisor
    }
    state.name = name;
    // The lock tells the truth; state.json is what was true when it was written.
    machine::MachineFacts facts{alive ? state.phase : "dead", "", dir};
    if (!alive) facts.reason = "the supervisor was killed";
    return machine::machine_json(state, facts);
}

// What the supervisors say, where there are any that answer; the folders tell the rest.
Json machines_of(const Gateway& gateway, const std::vector<std::string>& names, bool with_plan) {
    std::vector<std::string> sockets;
    std::vector<size_t> asked;
    Json machines = Json::array();
    for (size_t i = 0; i < names.size(); ++i) {
        machines.push_back(machine_of(gateway, names[i]));
        const auto machine = gateway.find(names[i]);
        if (with_plan)
            machines.back()["plan"] = machine::plan_json(gateway.root().machine_dir(names[i]));
        if (!machine || machine->supervisor.empty()) continue;
        sockets.push_back(machine->supervisor);
        asked.push_back(i);
    }
    auto answers = gateway.ask(sockets, "GET", "/v1/machine");
    for (size_t i = 0; i < answers.size(); ++i) {
        auto& said = answers[i].json;
        Json& machine = machines[asked[i]];
        if (answers[i].status != 200 || said.value("name", Json()) != machine["name"]) continue;
        if (!with_plan) said.erase("plan");
        machine.update(said);
    }
    return machines;
}

}  // namespace

void add_machine_routes(service::Router& router, Gateway& gateway) {
    router.add({"GET", "/v1/machines"}, [&gateway](const HttpRequest&, const PathNames&) {
        return service::answer({{"machines", machines_of(gateway, gateway.root().names(), false)}});
    });
    router.add({"GET", "/v1/machines/{machine}"},
               [&gateway](const HttpRequest&, const PathNames& names) {
                   const auto machine = gateway.find(names[0]);
                   if (!machine) return service::refuse(machine.error());
                   return service::answer(machines_of(gateway, {machine->name}, true)[0]);
               });
}

}  // namespace mimic::gateway
