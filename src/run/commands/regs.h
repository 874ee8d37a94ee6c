// SPDX-License-Identifier: Apache-2.0
// `mimic regs`: registers and configuration space of a device by name, live and without side
// effects, over the control API.
#pragma once

#include <optional>
#include <string>

#include "base/task_runner.h"

namespace mimic::commands {

struct RegsOptions {
    std::string machine;
    std::string device;           // empty: an error that names those of the machine
    bool config = false;          // only configuration space
    std::optional<unsigned> bar;  // only this BAR
    bool json = false;
    bool hex = false;               // configuration space as bytes
    bool docs = false;              // with sentences
    std::optional<Duration> watch;  // look again this often and tell what changes
};

/// Prints the registers, or watches them until ^C. Returns the exit status: 0, or 1 with the
/// reason, and the nearest name where one is unknown, on stderr.
int run_regs(const RegsOptions& options);

}  // namespace mimic::commands
