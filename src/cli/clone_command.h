// SPDX-License-Identifier: Apache-2.0
// `mimic clone`.
#pragma once

#include "cli/commands.h"

namespace mimic::cli {

/// Adds the command; as add_commands().
void add_clone_command(CLI::App& app, Action& action);

}  // namespace mimic::cli
