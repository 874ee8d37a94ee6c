// SPDX-License-Identifier: Apache-2.0
// Fabric placement: which ports a fabric has, the bus numbers that they start with, and so the
// addresses of the devices. Mimic plays firmware here: the domain is complete before Linux sees it,
// and Linux keeps bus numbers that are there.
//
//   bus 0        root ports, a device number each (with more than 32, eight functions a device)
//   root port    a device below it: its bus is the next one, with one more for VFs without ARI
//                a switch: the next bus holds its upstream port, the one after that its downstream
//                ports, then follow their buses, depth first
#pragma once

#include <optional>
#include <string>

#include "topology/model.h"

namespace mimic::topology {

/// Highest sizes of a fabric's windows. The first must fit between PCI configuration space and the
/// I/O APIC, 0xc0000000 to 0xfec00000 on QEMU's q35; the second is arbitrary, but QEMU's TCG has
/// 1 TiB of addresses for everything.
inline constexpr uint64_t kMaxMemory32Bar = 512ull << 20;
inline constexpr uint64_t kMaxMemory64Bar = 256ull << 30;

/// Makes `machine.fabrics`, ordered with the one without a NUMA node first and then by node, and
/// gives every device on a fabric its port. Ports have no addresses yet. Returns what is wrong, or
/// nullopt.
std::optional<std::string> make_fabrics(Machine& machine);

/// Numbers the ports of a fabric whose `domain` is set, sets its sizes, and the addresses of its
/// devices. Returns what does not fit, or nullopt.
std::optional<std::string> number_fabric(Machine& machine, FabricSpec& fabric);

}  // namespace mimic::topology
