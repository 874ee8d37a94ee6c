// SPDX-License-Identifier: Apache-2.0
// GET /v1/events: server-sent events (HTML Standard, 9.2).
#include "control/routes.h"

namespace mimic::control {

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

}  // namespace mimic::control
