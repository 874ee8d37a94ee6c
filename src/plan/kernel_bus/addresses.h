// SPDX-License-Identifier: Apache-2.0
// Addresses of BARs and bridge windows, as firmware and Linux would give them.
#pragma once

#include "base/result.h"
#include "kernel_bus/bus_layout.h"

namespace mimic::kernel_bus {

/// Fills `resources` of every node. BARs lie in the windows of the ports above, windows in those of
/// the root: what is no 64-bit prefetchable BAR from 0x80000000 to the I/O APIC, the others above
/// all memory; in a fabric, in the endpoint's BARs 2 and 4. Errors: no_space_on_device. Pure.
Status assign_addresses(BusLayout& layout);

}  // namespace mimic::kernel_bus
