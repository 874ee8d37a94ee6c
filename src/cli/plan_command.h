// SPDX-License-Identifier: Apache-2.0
// `mimic plan`.
#pragma once

#include "cli/commands.h"

namespace mimic::cli {

/// Adds the command; as add_commands().
void add_plan_command(CLI::App& app, Action& action);

}  // namespace mimic::cli
