// SPDX-License-Identifier: Apache-2.0
// Checks of one function of the model "clone": it has no driver of ours and no registers that
// anybody knows, so only what the PCI core of the guest sees is compared.
#pragma once

#include "verify/verify_checks.h"

namespace mimic::verify {

/// The guest's record of the PCI function at `bdf`, on a fabric or not; nullptr: it is not there.
const ProbeRecord* find_pci_record(const Probe& probe, const std::string& bdf);

/// Ids, class, NUMA node, place, BARs and ROM, the largest link, and the number of VFs.
void check_clone(const PlannedDevice& planned, const topology::FunctionSpec& function,
                 const Probe& probe, Checker& check);

/// What the file states of an external device, and where it is.
void check_external(const PlannedDevice& planned, const topology::FunctionSpec& function,
                    const Probe& probe, Checker& check);

}  // namespace mimic::verify
