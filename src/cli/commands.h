// SPDX-License-Identifier: Apache-2.0
// The commands of `mimic`: each adds a subcommand to the parser and remembers what to call.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace mimic::cli {

/// What the chosen subcommand does; its result is the exit status. Empty until the command line was
/// parsed.
using Action = std::function<int()>;

/// Adds all commands. `action` is set by the parser and must outlive it.
void add_commands(CLI::App& app, Action& action);

}  // namespace mimic::cli
