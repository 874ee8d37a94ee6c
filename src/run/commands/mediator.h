// SPDX-License-Identifier: Apache-2.0
// mimic mediator: what people ask of a running mediator.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace mimic::commands {

/// Which mediator is meant, and how its answer is printed.
struct MediatorOptions {
    std::string name;    // empty: the only one that runs
    std::string socket;  // its control socket, in place of the name
    bool json = false;   // the API's answer as it is
};

// Each asks the control API and prints what it says. Exit status: 0; 1 with a reason on stderr.
int run_mediator_status(const MediatorOptions& options);
int run_mediator_vms(const MediatorOptions& options);
int run_mediator_pools(const MediatorOptions& options);
int run_mediator_metrics(const MediatorOptions& options);
int run_mediator_reload(const MediatorOptions& options);
/// `wait`: until nothing is in flight.
int run_mediator_drain(const MediatorOptions& options, bool on, bool wait);
int run_mediator_set_weight(const MediatorOptions& options, uint32_t vm, uint32_t weight);
/// `limits`: "rate=100", "burst=20", "queue_depth=8", "memory_bytes=64M", "parallel=2",
/// "job_timeout=1.5s". Exit status 2 for one that is none.
int run_mediator_set_limit(const MediatorOptions& options, uint32_t vm,
                           const std::vector<std::string>& limits);
int run_mediator_quarantine(const MediatorOptions& options, uint32_t vm, const std::string& reason,
                            uint64_t release_seconds);
int run_mediator_release(const MediatorOptions& options, uint32_t vm);

/// The body of a PATCH for words as of run_mediator_set_limit(). Errors: invalid_argument.
Result<std::string> limits_body(const std::vector<std::string>& limits);

}  // namespace mimic::commands
