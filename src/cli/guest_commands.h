// SPDX-License-Identifier: Apache-2.0
// The commands of `mimic` that talk to a guest: exec, cp, verify.
#pragma once

#include "cli/commands.h"
#include "machine/exec_command.h"

namespace mimic::cli {

/// CMD and what is said of it: its input, terminal, environment, folder. `options` outlives the
/// parser.
void add_command_options(CLI::App& command, machine::ExecOptions& options);

/// Adds them; see add_commands().
void add_guest_commands(CLI::App& app, Action& action);

}  // namespace mimic::cli
