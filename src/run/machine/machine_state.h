// SPDX-License-Identifier: Apache-2.0
// MachineState: what a running machine's folder says about it (state.json). Written by the
// supervisor alone.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace mimic::machine {

/// A process that may be gone and whose number may have been given to another. Immutable value.
struct ProcessId {
    pid_t pid = 0;
    uint64_t start_time = 0;  // clock ticks since boot, see process_start_time()

    /// The process that has number `pid` now. {0, 0} if there is none.
    static ProcessId of(pid_t pid);
    bool is_running() const;
};

struct MachineState {
    std::string name;
    std::string phase = "starting";  // "starting", "running", "stopping"; "degraded": runs without
                                     // a device host that died by an injected fault
    std::string file;                // the topology file, absolute
    std::string accel;               // "tcg" or "kvm"
    std::string kernel;              // "6.1", or the image's path
    std::string started;             // UTC, "2026-01-31T12:00:00Z"
    unsigned functions = 0;
    uint16_t ssh_port = 0;  // 0: none
    ProcessId supervisor;
    ProcessId qemu;
    std::vector<ProcessId> device_hosts;
};

std::string to_json(const MachineState& state);

/// Errors: invalid_argument for anything that to_json() does not print.
Result<MachineState> parse_machine_state(const std::string& text);

/// Reads <run_dir>/state.json. Errors: those of open(2); invalid_argument.
Result<MachineState> read_machine_state(const std::string& run_dir);
Status write_machine_state(const std::string& run_dir, const MachineState& state);

}  // namespace mimic::machine
