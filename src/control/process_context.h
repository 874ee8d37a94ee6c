// SPDX-License-Identifier: Apache-2.0
// ProcessContext: what each process that serves the control API has beside its own routes.
#pragma once

#include <atomic>
#include <string>

#include "control/event_hub.h"
#include "control/http_server.h"

namespace mimic::control {

/// Thread-safe but for its making. Outlives the server and all who publish.
struct ProcessContext {
    explicit ProcessContext(const std::string& a_machine) : machine(a_machine), events(a_machine) {}

    const std::string machine;  // may be empty: devices that belong to none
    EventHub events;
    HttpCounters requests;

    // Readers of streams that merge those of other processes, beside those of `events`.
    std::atomic<uint64_t> merged_readers{0};
    std::atomic<uint64_t> merged_readers_dropped{0};
};

}  // namespace mimic::control
