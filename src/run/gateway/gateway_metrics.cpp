// SPDX-License-Identifier: Apache-2.0
// GET /metrics of the gateway: those of all processes of all machines and of mediators, merged by
// family.
#include "gateway/gateway_routes.h"
#include "machine/machine_api.h"
#include "mediator/control/run_folder.h"
#include "service/client.h"
#include "service/process_routes.h"

namespace mimic::gateway {

void add_metric_routes(service::Router& router, Gateway& gateway) {
    router.add(
        {"GET", "/metrics"}, [&gateway](const service::HttpRequest&, const service::PathNames&) {
            service::Metrics metrics;
            service::add_control_metrics(metrics, gateway.process());
            std::vector<std::string> machines;
            std::vector<service::ClientRequest> requests;
            for (const auto& name : gateway.root().names()) {
                const auto machine = gateway.find(name);
                if (!machine) continue;
                auto sockets = machine->hosts;
                if (!machine->supervisor.empty()) sockets.push_back(machine->supervisor);
                for (const auto& socket : sockets) {
                    requests.push_back({socket, "GET", "/metrics", "", gateway.patience()});
                    machines.push_back(name);
                }
            }
            const size_t of_machines = requests.size();
            for (const auto& mediator : mediator::find_mediators(gateway.mediators())) {
                requests.push_back(
                    {mediator.control_socket, "GET", "/metrics", "", gateway.patience()});
                machines.push_back(mediator.name);
            }
            uint64_t unreachable = 0;
            const auto answers = service::send_requests(requests);
            for (size_t i = 0; i < answers.size(); ++i) {
                if (!answers[i] || answers[i]->status != 200) {
                    ++unreachable;
                    continue;
                }
                if (i >= of_machines) {
                    metrics.merge(answers[i]->body, {{"mediator", machines[i]}}, {});
                    continue;
                }
                const std::string name = machine::socket_name(requests[i].socket_path);
                metrics.merge(answers[i]->body, {{"machine", machines[i]}}, {{"process", name}});
            }
            metrics.add("mimic_gateway_unreachable_processes", {}, unreachable);
            return service::metrics_answer(metrics);
        });
}

}  // namespace mimic::gateway
