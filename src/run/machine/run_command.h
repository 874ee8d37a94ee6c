// SPDX-License-Identifier: Apache-2.0
// `mimic run`: machines for the time of one command: boot, run it in a guest, take all down.
#pragma once

#include <string>
#include <vector>

#include "machine/exec_command.h"
#include "machine/up.h"

namespace mimic::machine {

struct RunOptions {
    UpOptions up;         // of the machines
    std::string in;       // the machine that runs the command; empty: the only one
    ExecOptions exec;     // what it runs; by an agent (lock-step) with empty input
    Duration timeout{};   // of the command; zero: none
    bool verify = false;  // all machines before; the command is not run if one differs
    std::string junit{};  // file for a report of that; empty: none
    std::string record;  // file that gets a JSON text of what came of it; "-": as `json`; empty: no
    bool json = false;   // the same text as a line on standard output, in place of what the
                         // command printed

    bool prints_record() const { return json || record == "-"; }
};

/// Most of a command's output that a record holds of each stream, in bytes: programs that gather
/// records of many runs read them whole.
inline constexpr size_t kMaxRecordedOutput = 128u << 10;

/// Boots, runs, takes down, and returns the command's exit status, 128 + n if signal n ended it or
/// us, 124 if it took longer than its timeout, as timeout(1) has it, 125 for what went wrong before
/// (126, 127: as for `mimic exec`). What the command printed is printed as it is. A record is
/// written whatever happened. Main thread only.
int run_run(const RunOptions& options);

}  // namespace mimic::machine
