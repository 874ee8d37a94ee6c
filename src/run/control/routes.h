// SPDX-License-Identifier: Apache-2.0
// The groups of routes of a device host, a file each. What they take and give is
// docs/openapi/control-v1.json.
#pragma once

#include "control/targets.h"
#include "service/process_context.h"
#include "service/router.h"

namespace mimic::control {

/// GET /v1/faults: what can be injected.
void add_fault_name_routes(service::Router& router);

// Those of a device host. `targets` is borrowed and outlives the router.
void add_device_routes(service::Router& router, Targets& targets);
void add_fault_routes(service::Router& router, Targets& targets);
void add_register_routes(service::Router& router, Targets& targets);
void add_trace_routes(service::Router& router, Targets& targets);
void add_metric_routes(service::Router& router, Targets& targets, service::ProcessContext& process);

}  // namespace mimic::control
