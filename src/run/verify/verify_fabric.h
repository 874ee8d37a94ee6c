// SPDX-License-Identifier: Apache-2.0
// The checks of verify that only fabrics need: VMD endpoint, ports, slots, native SR-IOV.
#pragma once

#include <cstdint>
#include <string>

#include "verify/verify_checks.h"

namespace mimic::verify {

/// Whether the guest has the function now. A device in a hot-plug slot may be there or not; native
/// VFs are there while `sriov_numvfs` of their PF's PCI folder covers them; everything else is.
enum class Presence : uint8_t { kPresent, kNoVf, kEmptySlot };
Presence presence_of(const PlannedDevice& planned, const topology::FunctionSpec& function,
                     const Probe& probe);

/// sriov_numvfs in the PCI folder of the PF, 0 if the guest says nothing sensible. Pure.
uint64_t native_vfs(const PlannedDevice& planned, const Probe& probe);

/// A function that must not be there: one check.
void check_absent(const topology::FunctionSpec& function, const Probe& probe, Checker& check);

/// sriov_totalvfs, sriov_numvfs and virtfn links of a native PF, physfn of a native VF. Nothing for
/// other functions.
void check_sriov(const PlannedDevice& planned, const topology::FunctionSpec& function,
                 const Probe& probe, Checker& check);

/// The VMD endpoint, every port and every hot-plug slot of a fabric. `devices` are the machine's.
void check_fabric(const topology::Machine& machine, const topology::FabricSpec& fabric,
                  const Probe& probe, Checker& check);

/// VMD endpoints and functions of their domains that no fabric of the plan has.
void check_extra_ports(const topology::Machine& machine, const Probe& probe, Checker& check);

}  // namespace mimic::verify
