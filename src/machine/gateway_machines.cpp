// SPDX-License-Identifier: Apache-2.0
// GET /v1/machines and /v1/machines/{machine}.
#include <nlohmann/json.hpp>

#include "machine/gateway_routes.h"
#include "machine/machine_api.h"

namespace mimic::machine {
namespace {

using control::HttpRequest;
using control::HttpResponse;
using control::PathNames;
using Json = nlohmann::ordered_json;

// From the machine's folder: also of one whose supervisor was killed, or that has none.
Json machine_of(const Gateway& gateway, const std::string& name) {
    const std::string dir = gateway.root().machine_dir(name);
    const bool alive = gateway.root().is_alive(name);
    MachineState state;
    state.phase = "running";  // devices without a supervisor
    if (auto read = read_machine_state(dir)) state = std::move(*read);
    state.name = name;
    // The lock tells the truth; state.json is what was true when it was written.
    MachineFacts facts{alive ? state.phase : "dead", "", dir};
    if (!alive) facts.reason = "the supervisor was killed";
    return machine_json(state, facts);
}

}  // namespace

void add_machine_routes(control::Router& router, Gateway& gateway) {
    router.add({"GET", "/v1/machines"}, [&gateway](const HttpRequest&, const PathNames&) {
        Json machines = Json::array();
        for (const auto& name : gateway.root().names())
            machines.push_back(machine_of(gateway, name));
        return control::answer({{"machines", std::move(machines)}});
    });
    router.add({"GET", "/v1/machines/{machine}"},
               [&gateway](const HttpRequest&, const PathNames& names) {
                   const auto machine = gateway.find(names[0]);
                   if (!machine) return control::refuse(machine.error());
                   Json json = machine_of(gateway, machine->name);
                   json["plan"] = plan_json(machine->run_dir);
                   return control::answer(json);
               });
}

}  // namespace mimic::machine
