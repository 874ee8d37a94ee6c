// SPDX-License-Identifier: Apache-2.0
// The tables of exit_table.h where people look: at the end of each command's help, and as the page
// that is in docs/reference (`mimic reference`, which no list of commands names).
#pragma once

#include "cli/commands.h"

namespace mimic::cli {

/// Adds the hidden command.
void add_reference_command(CLI::App& app, Action& action);

/// Gives each command of `app`, and `app` itself, its exit statuses as the end of its help. After
/// all commands were added.
void add_exit_statuses(CLI::App& app);

}  // namespace mimic::cli
