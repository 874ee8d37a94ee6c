// SPDX-License-Identifier: Apache-2.0
// The folder that `mimic snapshot` writes and `mimic restore`, `up` and `run` take in place of a
// topology file:
//
//   DIR/manifest.json    what it is and who can restore it; written last
//   DIR/topology.yaml    the machine's file as it was booted
//   DIR/guest.mem        memory and QEMU's devices, written by QEMU; a sparse file
//
// Whoever restores it runs what is in it: it is read only if nobody else could have changed it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "machine/boot_choices.h"

namespace mimic::machine {

/// What manifest.json says. Texts are UTF-8.
struct SnapshotManifest {
    std::string mimic;         // version of the mimic that took it; another does not restore it
    std::string qemu;          // version of its QEMU; another does not restore it
    std::string machine;       // name in topology.yaml
    std::string accel;         // "tcg" or "kvm"
    BootChoices choices;       // of the boot; a restore is allowed commands by its own user only
    std::string created;       // UTC, "2026-01-31T12:00:00Z"
    uint64_t guest_bytes = 0;  // size of guest.mem

    bool operator==(const SnapshotManifest&) const = default;
};

std::string to_json(const SnapshotManifest& manifest);

/// Errors: invalid_argument for anything that to_json() does not print, with what was expected;
/// not_supported for another version of the format.
Result<SnapshotManifest> parse_snapshot_manifest(std::string_view text);

/// Paths of the three files.
std::string snapshot_manifest_path(const std::string& folder);
std::string snapshot_topology_path(const std::string& folder);
std::string snapshot_guest_path(const std::string& folder);

/// Whether `path` is a folder: what `mimic up` takes for a snapshot.
bool is_snapshot_folder(const std::string& path);

/// Reads the manifest of a whole snapshot. Errors name the file and what mends it:
/// no_such_file_or_directory (no snapshot, or one that was not finished), permission_denied (others
/// could have written it), invalid_argument (guest.mem is not as it was written), those of
/// parse_snapshot_manifest(). Versions are the caller's to compare.
Result<SnapshotManifest> read_snapshot(const std::string& folder);

/// Refuses a snapshot of another mimic or QEMU: not_supported with both versions and what to do.
Status check_snapshot_versions(const std::string& folder, const SnapshotManifest& manifest,
                               std::string_view mimic, std::string_view qemu);

}  // namespace mimic::machine
