// SPDX-License-Identifier: Apache-2.0
// `mimic snapshot`: a booted machine to a folder (snapshot_folder.h), from which it starts again in
// seconds. The guest keeps all but its devices: those are taken out of it for the moment of the
// snapshot, and are after a restore as after a hot-plug, found again and bound by their drivers
// (guest_slots.h says why).
#pragma once

#include <string>

#include "base/task_runner.h"

namespace mimic::machine {

struct SnapshotOptions {
    std::string machine;                          // that runs
    std::string folder;                           // to be made
    bool force = false;                           // replace an earlier snapshot there
    bool json = false;                            // print what was made as JSON
    Duration timeout = std::chrono::minutes(10);  // for writing the guest
};

/// Takes the snapshot; the machine goes on, with its devices found anew. Prints one line (or JSON)
/// to stdout, errors to stderr. Returns 0; 1: nothing was made; 128 + n: stopped by signal n. Main
/// thread only: it catches signals.
int run_snapshot(const SnapshotOptions& options);

}  // namespace mimic::machine
