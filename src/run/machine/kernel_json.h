// SPDX-License-Identifier: Apache-2.0
// Runs the script of `mimic kernel` for those who want to hear of it as JSON.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace mimic::machine {

struct ScriptRun {
    std::string machine;
    UniqueFd script;            // a file that /bin/sh reads
    std::string module;         // as in KernelOptions
    std::string driver_module;  // the same
};

/// Runs `action` ("up", "down" or "status") and prints the document "mimic-kernel" with the state
/// of each bus. Errors are reported, with what the script said. Returns the exit status of the
/// script, 128 + signal after a signal, which the script gets, too. Catch signals before.
int run_script_for_json(const ScriptRun& run, const std::string& action);

}  // namespace mimic::machine
