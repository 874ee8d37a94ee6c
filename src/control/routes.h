// SPDX-License-Identifier: Apache-2.0
// The groups of routes of a device host, a file each. What they take and give is
// docs/openapi/control-v1.json.
#pragma once

#include "control/metrics.h"
#include "control/process_context.h"
#include "control/router.h"
#include "control/targets.h"

namespace mimic::control {

/// GET /v1/version and /v1/openapi.json: of every process.
void add_process_routes(Router& router);

/// GET /v1/faults: what can be injected.
void add_fault_name_routes(Router& router);

/// GET /v1/events. `process` is borrowed and outlives the router.
void add_event_routes(Router& router, ProcessContext& process);

/// The answer that streams `stream`, an EventQueue or what merges several.
HttpResponse event_stream(std::shared_ptr<HttpStream> stream);

/// Adds what every process exports, and turns all into the answer of GET /metrics.
void add_control_metrics(Metrics& metrics, ProcessContext& process);
HttpResponse metrics_answer(const Metrics& metrics);

// Those of a device host. `targets` is borrowed and outlives the router.
void add_device_routes(Router& router, Targets& targets);
void add_fault_routes(Router& router, Targets& targets);
void add_register_routes(Router& router, Targets& targets);
void add_trace_routes(Router& router, Targets& targets);
void add_metric_routes(Router& router, Targets& targets, ProcessContext& process);

}  // namespace mimic::control
