// SPDX-License-Identifier: Apache-2.0
// `mimic top`: what all machines and their devices do right now, over the control API.
#pragma once

#include <string>
#include <vector>

#include "base/task_runner.h"

namespace mimic::commands {

struct TopOptions {
    std::vector<std::string> machines;  // empty: all that there are
    Duration interval = std::chrono::seconds(1);
    bool once = false;  // one table of two samples, as without a terminal
    bool json = false;  // that table as JSON
};

/// Draws until q or ^C, or prints one table. Returns the exit status: 0, or 1 with the reason, and
/// the nearest name where one is unknown, on stderr.
int run_top(const TopOptions& options);

}  // namespace mimic::commands
