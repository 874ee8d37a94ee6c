// SPDX-License-Identifier: Apache-2.0
// LaunchPlan: what a supervisor has to start, written by `mimic up` into <run_dir>/launch.json.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "machine/boot_choices.h"
#include "machine/machine_state.h"

namespace mimic::machine {

/// One process that serves devices. One of ours gets "--ready-fd N" appended to `argv`; one of the
/// user's is ready when `socket` is there.
struct DeviceHostPlan {
    std::vector<std::string> argv;
    std::string name{};    // of the device that a server of the user's serves
    std::string socket{};  // empty: one of ours
};

struct LaunchPlan {
    MachineState state;     // as it is before anything runs
    std::string state_dir;  // logs and exit-reason go here
    std::string qmp_socket;
    std::string stream_socket;  // QEMU's end of the stream port; empty: none
    std::vector<DeviceHostPlan> device_hosts;
    std::vector<std::string> qemu;  // program and arguments

    /// The guest has a disk of its user's: ask it to shut down before QEMU is told to quit.
    bool shut_down_guest = false;
    /// Files outside the run directory that end with the machine (a disk overlay).
    std::vector<std::string> temporary_files;

    BootChoices choices;      // what `mimic up` was told
    std::string no_snapshot;  // why this machine cannot be saved; empty: it can
};

std::string to_json(const LaunchPlan& plan);

/// Errors: invalid_argument for anything that to_json() does not print.
Result<LaunchPlan> parse_launch_plan(const std::string& text);

}  // namespace mimic::machine
