// SPDX-License-Identifier: Apache-2.0
// Machines that ended: what is known of each, by its folder below the state root. A folder stays
// until a machine of its name boots again, `mimic rm`, or kMaxEnded newer ones have ended.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "machine/machine_state.h"
#include "machine/run_dir.h"

namespace mimic::machine {

/// Folders of ended machines that are kept; each has logs of at most 64 MiB. Arbitrary.
inline constexpr size_t kMaxEnded = 50;

/// What the files of one say. A file that is missing, or was damaged, leaves its members empty.
struct EndedMachine {
    std::string name;
    std::string file;  // the topology file, absolute
    std::string accel;
    std::string kernel;
    std::string started;  // UTC, "2026-01-31T12:00:00Z"
    std::string ended;    // the same
    std::string reason;   // one line
    bool asked = false;   // a person ended it, which is no error
    unsigned functions = 0;
    std::string state_dir;  // where its logs are
};

/// Leaves `reason` (a line, then lines of a log that explain it) and what `state` says in
/// `state_dir`, for those who ask later. Errors: those of write_file_atomically().
Status note_end(const std::string& state_dir, const MachineState& state, const std::string& reason,
                const std::vector<std::string>& log, bool asked);

/// All that ended and do not run now, the newest first. Leftovers of a killed supervisor are not
/// among them. Errors: those of state_root_path().
Result<std::vector<EndedMachine>> ended_machines(const RunRoot& root);

/// Why the machine ended; empty: none of that name did.
std::string end_of(const std::string& name);

/// Removes the oldest so that `keep` are left; what cannot be removed stays.
void prune_ended(const RunRoot& root, size_t keep);

/// `mimic rm`: removes the logs and ends of `names`, or with `all` of every machine that ended.
/// Returns an exit status: 1 if one of them runs or never was, unless `ignore_missing`.
int run_rm(const std::vector<std::string>& names, bool all, bool ignore_missing, bool json);

}  // namespace mimic::machine
