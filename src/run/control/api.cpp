// SPDX-License-Identifier: Apache-2.0
#include "control/api.h"

#include "control/routes.h"
#include "service/process_routes.h"

namespace mimic::control {

ControlApi::ControlApi(std::vector<TargetGroup*> groups, Duration deadline,
                       service::ProcessContext* process)
    : own_process_(process == nullptr ? std::make_unique<service::ProcessContext>("") : nullptr),
      targets_(std::move(groups), deadline) {
    service::ProcessContext& context = process == nullptr ? *own_process_ : *process;
    service::add_process_routes(router_, openapi_document());
    add_fault_name_routes(router_);
    service::add_event_routes(router_, context);
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
        service::HttpServer::create(
            options.socket_path,
            {.handler = [api = &server->api_](
                            const service::HttpRequest& request) { return api->handle(request); },
             .refuse =
                 [](int status, const char* code, const char* sentence) {
                     return service::refuse({status, code, sentence});
                 },
             .counters = options.process != nullptr ? &options.process->requests : nullptr}));
    return server;
}

}  // namespace mimic::control
