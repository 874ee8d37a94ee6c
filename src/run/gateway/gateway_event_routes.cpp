// SPDX-License-Identifier: Apache-2.0
// GET /v1/events and /v1/machines/{machine}/events of the gateway.
#include "gateway/gateway_routes.h"
#include "service/event_hub.h"
#include "service/process_routes.h"

namespace mimic::gateway {
namespace {

using service::HttpRequest;
using service::HttpResponse;
using service::PathNames;

// `machine` empty: of all.
HttpResponse stream(Gateway& gateway, const HttpRequest& request, const std::string& machine) {
    if (request.method == "HEAD") return service::event_stream(nullptr);
    return service::event_stream(
        gateway.events().subscribe(service::event_id(request.last_event_id), machine));
}

}  // namespace

void add_event_routes(service::Router& router, Gateway& gateway) {
    router.add({"GET", "/v1/events"}, [&gateway](const HttpRequest& request, const PathNames&) {
        return stream(gateway, request, "");
    });
    router.add({"GET", "/v1/machines/{machine}/events"},
               [&gateway](const HttpRequest& request, const PathNames& names) {
                   const auto machine = gateway.find(names[0]);
                   if (!machine) return service::refuse(machine.error());
                   return stream(gateway, request, machine->name);
               });
}

}  // namespace mimic::gateway
