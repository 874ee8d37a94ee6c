// SPDX-License-Identifier: Apache-2.0
// The commands of `mimic` that record and replay: trace, replay.
#pragma once

#include "cli/commands.h"

namespace mimic::cli {

/// Adds them; see add_commands().
void add_trace_commands(CLI::App& app, Action& action);

}  // namespace mimic::cli
