// SPDX-License-Identifier: Apache-2.0
// mimic mediator: a running mediator, and loads that are played against its rules.
#pragma once

#include "cli/commands.h"

namespace mimic::cli {

/// Adds `mediator` and its commands to `app`.
void add_mediator_commands(CLI::App& app, Action& action);

}  // namespace mimic::cli
