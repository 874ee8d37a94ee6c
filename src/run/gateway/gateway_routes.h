// SPDX-License-Identifier: Apache-2.0
// The groups of routes of the gateway, a file each.
#pragma once

#include "gateway/gateway.h"

namespace mimic::gateway {

// `gateway` is borrowed and outlives the router.
void add_machine_routes(service::Router& router, Gateway& gateway);
void add_device_routes(service::Router& router, Gateway& gateway);
void add_event_routes(service::Router& router, Gateway& gateway);
void add_metric_routes(service::Router& router, Gateway& gateway);
void add_mediator_routes(service::Router& router, Gateway& gateway);
void add_trace_routes(service::Router& router, Gateway& gateway);
void add_pci_id_routes(service::Router& router, Gateway& gateway);

}  // namespace mimic::gateway
