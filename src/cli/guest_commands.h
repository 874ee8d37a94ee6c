// SPDX-License-Identifier: Apache-2.0
// The commands of `mimic` that talk to a guest: exec, cp, verify.
#pragma once

#include "cli/commands.h"

namespace mimic::cli {

/// Adds them; see add_commands().
void add_guest_commands(CLI::App& app, Action& action);

}  // namespace mimic::cli
