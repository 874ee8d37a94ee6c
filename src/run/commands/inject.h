// SPDX-License-Identifier: Apache-2.0
// `mimic inject`: asks the device host of a running machine for a fault, over its control socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/task_runner.h"
#include "pci/faults/fault.h"

namespace mimic::commands {

struct InjectOptions {
    std::string machine;
    std::string device;  // a function of the topology, or what the fabric calls one
    std::string fault;   // of pci::fault_names()
    pci::FaultOptions options;
    std::optional<Duration> at;  // at most one of the two
    std::optional<uint64_t> after_accesses;
    uint64_t seed = 1;
    bool json = false;  // the document of docs/reference/json.md in place of lines
};

/// Injects and prints what became of it. Returns the exit status: 0, or 1 with the reason, and the
/// nearest name where one is unknown, on stderr.
int run_inject(const InjectOptions& options);

/// Prints the faults that wait or last at `options.device`, or at all devices of the machine if
/// that is empty, with `device` and what was asked for. Returns 0, or 1 with the reason on stderr.
int run_active_faults(const InjectOptions& options);

/// Prints all faults, a line each, with their options, or as a document. Returns 0, or 1 if they
/// cannot be printed.
int list_faults(bool json);

}  // namespace mimic::commands
