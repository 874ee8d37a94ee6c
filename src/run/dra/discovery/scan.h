// SPDX-License-Identifier: Apache-2.0
// scan(): the devices of one kind as sysfs shows them now. Believes nothing: counts, sizes and
// shapes are bounded here, and what a device says wrongly costs that device alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "dra/discovery/inventory.h"

namespace mimic::dra {

/// Most devices of one kind on a node; arbitrary, four times what a topology file may describe as
/// PFs of one domain.
inline constexpr size_t kMaxScannedDevices = 1024;

/// Errors that a device has reported (Documentation/ABI/testing/sysfs-bus-pci-devices-aer_stats).
struct AerCounters {
    uint64_t fatal = 0;
    uint64_t nonfatal = 0;

    bool operator==(const AerCounters&) const = default;
};

/// A device, and what may be wrong with it; `device.health` and the taints are not known yet.
struct Sighting {
    KnownDevice device;
    std::optional<uint32_t> status;
    int status_error = 0;  // errno of reading it
    std::optional<AerCounters> aer;
};

struct Scan {
    std::vector<Sighting> devices;      // in the order of slices::node_before()
    std::vector<std::string> problems;  // printable lines
};

/// Looks into <root>/sys/class/<class of facts>; a class that is not there has no devices. With
/// `vfs_on_demand`, VFs that each PF could have besides follow it, with exists = false. A device
/// that vanishes meanwhile is not in it. Errors: those of opening `root`; EACCES and the like for
/// the class folder.
Result<Scan> scan(const std::string& root, const slices::DraFacts& facts, bool vfs_on_demand);

/// Reads status and errors of `devices` again, which is what changes without an event.
void refresh(const std::string& root, const slices::DraFacts& facts,
             std::vector<Sighting>* devices);

}  // namespace mimic::dra
