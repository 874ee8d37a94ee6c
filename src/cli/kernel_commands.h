// SPDX-License-Identifier: Apache-2.0
// The commands of `mimic` that need no VM: tree, kernel.
#pragma once

#include <string>

#include "cli/commands.h"

namespace mimic::cli {

/// Adds them; see add_commands().
void add_kernel_commands(CLI::App& app, Action& action);

/// Adds --numvfs, N or "all"; and what that text means.
CLI::Option* add_vfs_option(CLI::App& command, std::string& text);
unsigned parse_vfs(const std::string& text);

}  // namespace mimic::cli
