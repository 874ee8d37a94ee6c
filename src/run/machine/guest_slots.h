// SPDX-License-Identifier: Apache-2.0
// A guest's vfio-user devices, out of it and back, by Linux' own hot-plug of PCI functions in sysfs
// (Documentation/ABI/testing/sysfs-bus-pci: remove, rescan). A guest without them can be saved,
// because what QEMU does not save (migration.h) is then nothing that the guest still counts on.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "guest_agent/guest_agent.h"
#include "topology/model.h"

namespace mimic::machine {

/// Addresses "0000:01:00.0" of what vfio-user serves in the guest: functions of endpoints and the
/// endpoints of fabrics, whose whole domain goes with them. Pure.
std::vector<std::string> served_addresses(const topology::Machine& machine);

/// Unmounts shared folders, notes how many VFs each function has, and removes the functions:
/// drivers let go of them as for a surprise, open files of theirs fail from then on. Errors: those
/// of GuestAgent; device_or_resource_busy if one is still there afterwards. What was removed stays
/// out after an error: put_devices_back() brings it back.
Status take_devices_out(guest_agent::GuestAgent& agent, const topology::Machine& machine);

/// Looks for PCI functions again, waits until all are there, enables the VFs that were noted, and
/// mounts what was unmounted. Errors: those of GuestAgent; no_such_device for a function that does
/// not come back.
Status put_devices_back(guest_agent::GuestAgent& agent, const topology::Machine& machine);

/// Sets the guest's clock to the host's. Errors: those of GuestAgent; io_error.
Status set_guest_clock(guest_agent::GuestAgent& agent);

}  // namespace mimic::machine
