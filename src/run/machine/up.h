// SPDX-License-Identifier: Apache-2.0
// `mimic up`: from a topology file to running machines, all of them or none.
#pragma once

#include <string>
#include <vector>

#include "base/task_runner.h"

namespace mimic::machine {

struct UpOptions {
    std::string file;                            // "-": standard input
    std::string machine;                         // only this one; empty: all of the file
    Duration timeout = std::chrono::minutes(5);  // for one guest to boot
    std::string kernel;                  // overrides the file's kernel release; empty: does not
    std::string accel;                   // "tcg" or "kvm" override the file; empty: does not
    std::vector<std::string> qemu_args;  // appended to QEMU's command line, unchecked
    bool allow_commands = false;         // start servers that the file names (`command:`)
    bool foreground = false;             // stay until ^C, then take the machines down
};

/// Boots the machines and returns the exit status: 0 all are up, 1 failure (nothing is left
/// running), 128 + signal if a signal came (nothing is left running). One line a machine goes to
/// stdout, everything else to stderr. Main thread only: it catches signals.
int run_up(const UpOptions& options);

}  // namespace mimic::machine
