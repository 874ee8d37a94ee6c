// SPDX-License-Identifier: Apache-2.0
// What the device models of a machine show after firmware and Linux programmed them: configuration
// space and registers of every function, without a VM. For `mimic tree` and `mimic kernel`.
#pragma once

#include "base/result.h"
#include "kernel_bus/bus_layout.h"
#include "kernel_bus/machine_tree.h"

namespace mimic::machine {

/// Makes the functions and fabrics of the layout's machine, writes BARs, windows, COMMAND, SR-IOV
/// and NUM_VFS as a guest would, and reads them as it would. Root ports of QEMU's are ours with
/// QEMU's ids: their configuration space is a port's, not byte for byte QEMU's. Errors: those of
/// make_function() and make_fabric().
Result<kernel_bus::Images> make_images(const kernel_bus::BusLayout& layout);

}  // namespace mimic::machine
