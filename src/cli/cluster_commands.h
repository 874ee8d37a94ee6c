// SPDX-License-Identifier: Apache-2.0
// mimic cluster up, down: command lines of src/run/cluster.
#pragma once

#include "cli/commands.h"

namespace mimic::cli {

void add_cluster_commands(CLI::App& app, Action& action);

}  // namespace mimic::cli
