// SPDX-License-Identifier: Apache-2.0
// `mimic --context NAME COMMAND ..`: commands for machines in pods of Kubernetes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace mimic::cli {

/// Adds the options of `mimic` itself, for its help, and the command results.
void add_remote_commands(CLI::App& app, Action& action);

/// Takes the options of `mimic` itself from the front of `words`. What is done in place of a
/// command's own action, if they name a context: gets the parsed command line and its words. Empty
/// without.
using RemoteRun = std::function<int(const CLI::App& app, const std::vector<std::string>& words)>;
RemoteRun take_remote_options(std::vector<std::string>& words);

}  // namespace mimic::cli
