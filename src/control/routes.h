// SPDX-License-Identifier: Apache-2.0
// The groups of routes of a device host, a file each. What they take and give is
// docs/openapi/control-v1.json.
#pragma once

#include "control/router.h"
#include "control/targets.h"

namespace mimic::control {

/// GET /v1/version and /v1/openapi.json: of every process.
void add_process_routes(Router& router);

// Those of a device host. `targets` is borrowed and outlives the router.
void add_device_routes(Router& router, Targets& targets);
void add_fault_routes(Router& router, Targets& targets);
void add_register_routes(Router& router, Targets& targets);

}  // namespace mimic::control
