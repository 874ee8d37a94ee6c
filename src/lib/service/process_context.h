// SPDX-License-Identifier: Apache-2.0
// ProcessContext: what each process that serves the control API has beside its own routes.
#pragma once

#include <atomic>
#include <string>

#include "service/event_hub.h"
#include "service/http_server.h"

namespace mimic::service {

/// Thread-safe but for its making. Outlives the server and all who publish.
struct ProcessContext {
    explicit ProcessContext(const std::string& a_machine) : machine(a_machine), events(a_machine) {}

    const std::string machine;  // may be empty: devices that belong to none
    EventHub events;
    HttpCounters requests;
    std::atomic<uint64_t> trace_dumps{0};  // files that were written
};

}  // namespace mimic::service
