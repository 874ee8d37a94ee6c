// SPDX-License-Identifier: Apache-2.0
// The commands of `mimic` that boot machines or make what they boot: up, run, prepare.
#pragma once

#include <string>
#include <vector>

#include "cli/commands.h"
#include "topology/parameters.h"

namespace mimic::cli {

/// Adds them; see add_commands().
void add_up_commands(CLI::App& app, Action& action);

/// Adds --set KEY=VALUE, which may be repeated.
void add_set_option(CLI::App& command, std::vector<std::string>& pairs);

/// Adds --kernel RELEASE, which may be repeated, of kernels that can be made ready beforehand.
CLI::Option* add_prepared_kernels(CLI::App& command, std::vector<std::string>& kernels,
                                  const std::string& what);

/// What --set said. A word that is no parameter is wrong usage: throws CLI::ValidationError, for a
/// command's callback.
topology::Parameters read_set_option(const std::vector<std::string>& pairs);

}  // namespace mimic::cli
