// SPDX-License-Identifier: Apache-2.0
// Routes that every process with a control socket has: version, API document, events, metrics.
#pragma once

#include <memory>
#include <string_view>

#include "service/metrics.h"
#include "service/process_context.h"
#include "service/router.h"

namespace mimic::service {

/// GET /v1/version and /v1/openapi.json. `openapi` is the document's text, which lives as long as
/// the process.
void add_process_routes(Router& router, std::string_view openapi);

/// GET /v1/events. `process` is borrowed and outlives the router.
void add_event_routes(Router& router, ProcessContext& process);

/// The answer that streams `stream`, an EventQueue or what merges several.
HttpResponse event_stream(std::shared_ptr<HttpStream> stream);

/// Adds what every process exports: itself, its requests, its events.
void add_control_metrics(Metrics& metrics, ProcessContext& process);

/// The answer of GET /metrics.
HttpResponse metrics_answer(const Metrics& metrics);

}  // namespace mimic::service
