// SPDX-License-Identifier: Apache-2.0
// The mediator's samples for Prometheus. docs/metrics.md has their table.
#pragma once

#include "mediator/control/state_json.h"
#include "service/metrics.h"

namespace mimic::mediator {

void add_mediator_metrics(service::Metrics& metrics, const Snapshot& snapshot);

}  // namespace mimic::mediator
