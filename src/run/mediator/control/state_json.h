// SPDX-License-Identifier: Apache-2.0
// What the control API says of the engine, as JSON, and what it takes.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "mediator/control/audit_log.h"
#include "mediator/engine/engine.h"
#include "mediator/server/server.h"
#include "service/api_error.h"

namespace mimic::mediator {

/// What one visit to the loop brings back. A value.
struct Snapshot {
    EngineStatus status;
    Config config;
    ServerCounters sockets;
    AuditLog::Counters audit;
    bool drained = false;  // since the last drain nothing is in flight
};

nlohmann::ordered_json vm_json(const VmStatus& vm);
nlohmann::ordered_json pool_json(const PoolStatus& pool);
/// Without "name", "pid", "config_file", which the process adds.
nlohmann::ordered_json status_json(const Snapshot& snapshot);

/// `limits` with those members of `json` that are there. Errors: bad_request.
service::ApiResult<Limits> merge_limits(Limits limits, const nlohmann::ordered_json& json);

std::string_view word(Priority priority);
std::string_view word(RuleName rule);

}  // namespace mimic::mediator
