// SPDX-License-Identifier: Apache-2.0
#include "service/process_routes.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

namespace mimic::service {

void add_process_routes(Router& router, std::string_view openapi) {
    router.add({"GET", "/v1/version"}, [](const HttpRequest&, const PathNames&) {
        return answer({{"api", 1}, {"mimic", MIMIC_VERSION}, {"pid", ::getpid()}});
    });
    router.add({"GET", "/v1/openapi.json"}, [openapi](const HttpRequest&, const PathNames&) {
        HttpResponse response;
        response.body = openapi;
        return response;
    });
}

void add_control_metrics(Metrics& metrics, ProcessContext& process) {
    add_process_metrics(metrics);
    for (const auto& [status, count] : process.requests.by_status())
        metrics.add("mimic_control_requests_total", {{"code", std::to_string(status)}}, count);
    const auto events = process.events.counters();
    metrics.add("mimic_control_events_total", {}, events.published);
    metrics.add("mimic_control_event_readers", {}, events.readers);
    metrics.add("mimic_control_event_readers_dropped_total", {}, events.dropped_readers);
}

HttpResponse metrics_answer(const Metrics& metrics) {
    HttpResponse response;
    response.content_type = kMetricsContentType;
    response.body = metrics.text();
    return response;
}

HttpResponse event_stream(std::shared_ptr<HttpStream> stream) {
    HttpResponse response;
    response.content_type = "text/event-stream";
    response.body = "retry: 1000\n\n";  // the head travels with it, at once
    response.stream = std::move(stream);
    return response;
}

void add_event_routes(Router& router, ProcessContext& process) {
    router.add({"GET", "/v1/events"},
               [&process](const HttpRequest& request, const PathNames& /*names*/) {
                   if (request.method == "HEAD") return event_stream(nullptr);
                   return event_stream(process.events.subscribe(event_id(request.last_event_id)));
               });
}

}  // namespace mimic::service
