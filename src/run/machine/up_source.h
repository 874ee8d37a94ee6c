// SPDX-License-Identifier: Apache-2.0
// UpSource: the topology file of a `mimic up`, read once, so that what was checked is what runs.
#pragma once

#include <optional>
#include <string>

#include "base/nearest.h"
#include "base/result.h"
#include "machine/snapshot_folder.h"
#include "machine/up.h"
#include "topology/model.h"

namespace mimic::machine {

struct UpSource {
    topology::Model model;  // only the machines that are asked for, with the overrides of the
                            // command line
    std::string text;       // the file's bytes
    std::string path;       // absolute; "<stdin>"
    std::string folder;     // where relative paths in it start
    BootChoices choices{};  // now, or when the snapshot was taken
    std::optional<SnapshotManifest> snapshot{};  // that `path` is the topology file of

    /// `path` as the file means it, absolute.
    std::string resolve(const std::string& path) const;
};

/// Errors: those of topology::parse(), as a report of several lines; invalid_argument for options
/// that do not fit the file, with the nearest name; those of read_snapshot().
Result<UpSource> load_up_source(const UpOptions& options);

}  // namespace mimic::machine
