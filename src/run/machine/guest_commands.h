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

/// `mimic exec NODE -- CMD`: runs `argv` in the guest whose run directory is `run_dir`, prints its
/// output once it has ended and returns its exit status, 128 + n if signal n ended it. The output
/// is the command's, byte for byte, as with ssh(1): also what a terminal obeys. Its standard input
/// is ours as it comes, or empty without `pass_input` and where ours is a terminal.
int run_exec(const std::string& run_dir, const std::vector<std::string>& argv, bool pass_input);

/// `mimic cp`: copies one regular file between the host (an empty run directory) and a guest, or
/// between two guests, with its permission bits. A target that is a directory, or ends in '/', gets
/// the source's name. "-" on the host is standard input or output, whose content is of no name and
/// has mode 0644. Returns 0 or 1.
int run_cp(const std::string& from_run_dir, const std::string& from, const std::string& to_run_dir,
           const std::string& to);

/// `mimic verify`: compares the guest of machine `machine_name` with the model. 0: all agrees; 1:
/// something differs (each difference is printed with what was expected and what is there); 2: the
/// guest could not be asked. `report` gets what came of it.
int run_verify(const topology::Model& model, const std::string& machine_name,
               const std::string& run_dir, bool json, verify::JunitMachine& report);

}  // namespace mimic::machine
