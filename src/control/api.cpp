// SPDX-License-Identifier: Apache-2.0
#include "control/api.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "control/routes.h"

namespace mimic::control {

void add_process_routes(Router& router) {
    router.add({"GET", "/v1/version"}, [](const HttpRequest&, const PathNames&) {
        return answer({{"api", 1}, {"mimic", MIMIC_VERSION}, {"pid", ::getpid()}});
    });
    router.add({"GET", "/v1/openapi.json"}, [](const HttpRequest&, const PathNames&) {
        HttpResponse response;
        response.body = openapi_document();
        return response;
    });
}

ControlApi::ControlApi(std::vector<TargetGroup*> groups, Duration deadline, ProcessContext* process)
    : own_process_(process == nullptr ? std::make_unique<ProcessContext>("") : nullptr),
      targets_(std::move(groups), deadline) {
    ProcessContext& context = process == nullptr ? *own_process_ : *process;
    add_process_routes(router_);
    add_fault_name_routes(router_);
    add_event_routes(router_, context);
    add_metric_routes(router_, targets_, context);
    add_device_routes(router_, targets_);
    add_fault_routes(router_, targets_);
    add_register_routes(router_, targets_);
    add_trace_routes(router_, targets_);
}

Result<std::unique_ptr<ControlServer>> ControlServer::create(const Options& options,
                                                             std::vector<TargetGroup*> groups) {
    std::unique_ptr<ControlServer> server(
        new ControlServer(std::move(groups), options.deadline, options.process));
    MIMIC_ASSIGN_OR_RETURN(
        server->http_,
        HttpServer::create(
            options.socket_path,
            {.handler =
                 [api = &server->api_](const HttpRequest& request) { return api->handle(request); },
             .refuse =
                 [](int status, const char* code, const char* sentence) {
                     return refuse({status, code, sentence});
                 },
             .counters = options.process != nullptr ? &options.process->requests : nullptr}));
    return server;
}

}  // namespace mimic::control
