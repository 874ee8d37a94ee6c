// SPDX-License-Identifier: Apache-2.0
// The commands of `mimic` that use the control API of a running machine: inject.
#pragma once

#include "cli/commands.h"

namespace mimic::cli {

/// Adds them; see add_commands().
void add_control_commands(CLI::App& app, Action& action);

}  // namespace mimic::cli
