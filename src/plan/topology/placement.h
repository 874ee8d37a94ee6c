// SPDX-License-Identifier: Apache-2.0
// Placement: which root bus, root port and PCI address each device gets, and so the address that
// the guest will show.
//
//   pcie.0, bus 0                     numa<k>, a pxb-pcie at 00:(0x10+k).0
//   00:01..04  mimic's own virtio     root bus 0x10 * (k + 1)
//   00:08..0f  root ports of devices  <root>:00..1f  root ports of node k's devices
//              without a NUMA node    below them: one bus each, numbered in order of the ports
//   00:10..1e  pxb-pcie
//
// The VMD endpoint of a fabric is on a root port as a device is, behind the devices of that root
// bus; fabric_placement.h has what is behind it.
//
// SeaBIOS numbers bus 0 and what is below it first, then each extra root bus from its own bus_nr,
// ports in order of (device, function) (seabios src/fw/pciinit.c, pci_bios_init_bus). Measured with
// QEMU 11.1.3.
#pragma once

#include <optional>
#include <string>

#include "topology/model.h"

namespace mimic::topology {

inline constexpr unsigned kFirstPortSlot = 0x08;  // on pcie.0
inline constexpr unsigned kPcie0PortSlots = 8;
inline constexpr unsigned kFirstPxbSlot = 0x10;

/// Addresses for 64-bit BARs in one machine. Arbitrary: half of what QEMU's TCG has for everything.
inline constexpr uint64_t kMaxMemoryBars = 512ull << 30;

/// Addresses below 4 GiB for the 32-bit windows of all fabrics of a machine: of the 1004 MiB that
/// q35 has for all BARs, what leaves a little for other devices.
inline constexpr uint64_t kMaxLowAddresses = 896ull << 20;

/// Fills `host_buses`, `fabrics`, every device's port (ids and slots that are set are kept) and
/// every function's `bdf`. Returns what does not fit, or nullopt. Devices keep file order; on a bus
/// they are placed in that order.
std::optional<std::string> place(Machine& machine);

}  // namespace mimic::topology
