// SPDX-License-Identifier: Apache-2.0
// The body of a backend's process, `mimic-mediator backend ...`: listens for mediators, carries out
// their jobs, keeps memory and results while none is there, and ends by itself when none comes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "mediator/config/config.h"

namespace mimic::mediator::backend {

/// What the arguments say.
struct WorkerOptions {
    BackendConfig config;                          // --name, --kind, --threads, --memory, ...
    std::string socket;                            // --socket PATH, made 0600
    Duration patience = std::chrono::seconds(30);  // --patience-ms: without a mediator
    bool operator==(const WorkerOptions&) const = default;
};

/// The arguments (without the program's name and the word `backend`) that make parse_worker() say
/// the same again.
std::vector<std::string> worker_arguments(const WorkerOptions& options);

/// Errors: EINVAL with the argument.
Result<WorkerOptions> parse_worker(const std::vector<std::string>& arguments);

/// Runs until a mediator stops it or none comes in time. Takes over the process: closes its
/// descriptors but standard input, output and error, limits and confines it for good, so that
/// main() calls it first and returns what it returns. Exit status: 0, 1 the backend failed (the
/// reason is on standard error), 2 wrong arguments.
int run_worker(const std::vector<std::string>& arguments);

}  // namespace mimic::mediator::backend
