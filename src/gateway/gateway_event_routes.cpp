// SPDX-License-Identifier: Apache-2.0
// GET /v1/events and /v1/machines/{machine}/events of the gateway.
#include "control/event_hub.h"
#include "control/routes.h"
#include "gateway/gateway_events.h"
#include "gateway/gateway_routes.h"

namespace mimic::gateway {
namespace {

using control::HttpRequest;
using control::HttpResponse;
using control::PathNames;

HttpResponse stream(const HttpRequest& request, GatewayEvents::Sockets sockets,
                    control::ProcessContext& process) {
    if (request.method == "HEAD") return control::event_stream(nullptr);
    return control::event_stream(std::make_shared<GatewayEvents>(
        std::move(sockets), control::event_id(request.last_event_id), process));
}

std::vector<std::string> sockets_of(const Gateway& gateway, const std::string& name) {
    const auto machine = gateway.find(name);
    if (!machine) return {};
    auto sockets = machine->hosts;
    if (!machine->supervisor.empty()) sockets.push_back(machine->supervisor);
    return sockets;
}

}  // namespace

void add_event_routes(control::Router& router, Gateway& gateway) {
    router.add({"GET", "/v1/events"}, [&gateway](const HttpRequest& request, const PathNames&) {
        return stream(
            request,
            [&gateway] {
                std::vector<std::string> all;
                for (const auto& name : gateway.root().names())
                    for (auto& socket : sockets_of(gateway, name)) all.push_back(std::move(socket));
                return all;
            },
            gateway.process());
    });
    router.add({"GET", "/v1/machines/{machine}/events"}, [&gateway](const HttpRequest& request,
                                                                    const PathNames& names) {
        const auto machine = gateway.find(names[0]);
        if (!machine) return control::refuse(machine.error());
        return stream(
            request, [&gateway, name = machine->name] { return sockets_of(gateway, name); },
            gateway.process());
    });
}

}  // namespace mimic::gateway
