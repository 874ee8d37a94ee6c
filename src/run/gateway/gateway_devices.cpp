// SPDX-License-Identifier: Apache-2.0
// The devices of a machine, merged from all of its device hosts, and what is asked of one.
#include <nlohmann/json.hpp>

#include "gateway/gateway_routes.h"

namespace mimic::gateway {
namespace {

using service::HttpRequest;
using service::HttpResponse;
using service::PathNames;
using Json = nlohmann::ordered_json;

HttpResponse list(const Gateway& gateway, const std::string& name) {
    const auto machine = gateway.find(name);
    if (!machine) return service::refuse(machine.error());
    Json devices = Json::array();
    Json unreachable = Json::array();
    uint64_t busy = 0;
    for (auto& answer : gateway.ask(machine->hosts, "GET", "/v1/devices")) {
        const auto some = answer.status == 200 ? answer.json.find("devices") : answer.json.end();
        if (answer.status != 200 || some == answer.json.end() || !some->is_array()) {
            unreachable.push_back(answer.host);
            continue;
        }
        for (auto& device : *some)
            if (device.is_object()) devices.push_back(std::move(device));
        const auto loops = answer.json.find("busy_loops");
        if (loops != answer.json.end() && loops->is_number_unsigned())
            busy += loops->get<uint64_t>();
    }
    return service::answer({{"devices", std::move(devices)},
                            {"busy_loops", busy},
                            {"unreachable", std::move(unreachable)}});
}

}  // namespace

void add_device_routes(service::Router& router, Gateway& gateway) {
    const auto forwarded = [&router, &gateway](const char* method, std::string_view path,
                                               const std::string& rest) {
        router.add({method, path},
                   [&gateway, rest](const HttpRequest& request, const PathNames& names) {
                       const auto machine = gateway.find(names[0]);
                       if (!machine) return service::refuse(machine.error());
                       return gateway.forward(*machine, names[1], rest, request);
                   });
    };
    router.add(
        {"GET", "/v1/machines/{machine}/devices"},
        [&gateway](const HttpRequest&, const PathNames& names) { return list(gateway, names[0]); });
    forwarded("GET", "/v1/machines/{machine}/devices/{name}", "");
    forwarded("GET", "/v1/machines/{machine}/devices/{name}/registers", "/registers");
    for (const char* method : {"GET", "POST", "DELETE"})
        forwarded(method, "/v1/machines/{machine}/devices/{name}/faults", "/faults");
}

}  // namespace mimic::gateway
