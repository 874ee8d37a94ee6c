// SPDX-License-Identifier: Apache-2.0
// A machine as the control API shows it, and the sockets of its processes.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "machine/machine_state.h"

namespace mimic::machine {

/// The supervisor's control socket.
std::string supervisor_socket_path(const std::string& run_dir);

/// Control sockets of a machine's device hosts, sorted. A socket is there also after its process
/// was killed.
std::vector<std::string> device_host_sockets(const std::string& run_dir);

/// "control-0" of ".../control-0.sock", which is how answers name a process.
std::string socket_name(const std::string& socket_path);

/// What is known of a machine beside its state.json.
struct MachineFacts {
    std::string phase;   // that of the state, or "dead" if nobody looks after it any more
    std::string reason;  // why it ends; empty: it does not
    std::string run_dir;
};

/// How the API calls a phase: "starting", "running", "degraded" or "ended".
std::string machine_state_name(const std::string& phase);

/// The schema Machine, without its plan.
nlohmann::ordered_json machine_json(const MachineState& state, const MachineFacts& facts);

/// The expected tree, <run_dir>/plan.json; null if there is none.
nlohmann::ordered_json plan_json(const std::string& run_dir);

}  // namespace mimic::machine
