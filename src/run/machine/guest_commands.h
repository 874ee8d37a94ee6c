// SPDX-License-Identifier: Apache-2.0
// The commands of `mimic` that talk to a running guest, as functions that return the process's exit
// status. They print results to stdout and what went wrong to stderr.
#pragma once

#include <string>
#include <vector>

#include "topology/model.h"
#include "verify/junit.h"

namespace mimic::machine {

/// Exit status when Mimic itself fails, as env(1) and docker have it; the guest's command may use
/// it as well.
inline constexpr int kExecFailed = 125;
/// Exit status when the guest cannot run the command (no permission) and when it does not have it.
inline constexpr int kExecNotExecutable = 126;
inline constexpr int kExecNotFound = 127;

/// Compares the guest of machine `machine_name` with the model: what came of it is in `report`, its
/// error included.
verify::JunitMachine ask_verify(const topology::Model& model, const std::string& machine_name,
                                const std::string& run_dir);

/// `mimic verify`: compares the guest of machine `machine_name` with the model. 0: all agrees; 1:
/// something differs (each difference is printed with what was expected and what is there); 2: the
/// guest could not be asked. `report` gets what came of it.
int run_verify(const topology::Model& model, const std::string& machine_name,
               const std::string& run_dir, bool json, verify::JunitMachine& report);

}  // namespace mimic::machine
