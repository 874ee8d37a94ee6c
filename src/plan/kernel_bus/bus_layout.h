// SPDX-License-Identifier: Apache-2.0
// BusLayout: a machine as Linux's PCI core sees it once it has enumerated: every function and port
// with what is above it, and the addresses, IOMMU groups and virtual functions that the kernel
// would give. Derived from topology::Machine alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "topology/model.h"

namespace mimic::kernel_bus {

/// struct resource of include/linux/ioport.h: an unused one is all zeros. Addresses are inclusive.
struct Resource {
    uint64_t start = 0;
    uint64_t end = 0;
    uint64_t flags = 0;

    uint64_t size() const { return flags == 0 ? 0 : end - start + 1; }
};

// Indices of a device's resources, as a kernel with CONFIG_PCI_IOV has them (include/linux/pci.h).
inline constexpr size_t kRom = 6;
inline constexpr size_t kFirstVfBar = 7;          // those of all VFs of a PF together
inline constexpr size_t kMemoryWindow = 14;       // of a bridge; 13 is the I/O window
inline constexpr size_t kPrefetchWindow = 15;     // of a bridge
inline constexpr size_t kEndpointResources = 13;  // lines of "resource" of what is no bridge
inline constexpr size_t kBridgeResources = 17;

// Flags of resources (include/linux/ioport.h, include/uapi/linux/pci_regs.h).
inline constexpr uint64_t kResourceMemory = 0x00000200;
inline constexpr uint64_t kResourcePrefetch = 0x00002000;
inline constexpr uint64_t kResourceReadOnly = 0x00004000;
inline constexpr uint64_t kResourceSizeAlign = 0x00040000;
inline constexpr uint64_t kResourceMemory64 = 0x00100000;
inline constexpr uint64_t kBar64 = 0x4;  // the type bits of the BAR itself
inline constexpr uint64_t kBarPrefetch = 0x8;
inline constexpr uint64_t kWindow64 = 0x1;  // type bits of a prefetchable window

enum class NodeKind : uint8_t {
    kPort,  // a PCI-PCI bridge: of QEMU, or of a fabric
    kVmd,   // the endpoint behind which a fabric lies
    kPf,
    kVf,
};

/// A PCI function. Borrows from the machine.
struct Node {
    NodeKind kind = NodeKind::kPf;
    topology::Bdf bdf;
    std::string name;              // as the topology calls it
    std::optional<size_t> parent;  // index of the port above; none: on a root bus
    uint8_t root_bus = 0;          // number of the root bus of its domain that it is below
    std::optional<unsigned> numa_node;
    topology::Link link;
    bool link_up = true;         // of a port: what is below it is there
    bool acs = false;            // of a port: it isolates what is below it
    bool upstream = false;       // of a port: it is the upstream port of a switch
    bool multifunction = false;  // its device has functions besides number 0
    unsigned slot = 0;           // of a port: physical slot number, 0: none
    bool hotplug = false;
    uint8_t secondary = 0;  // of a port
    uint8_t subordinate = 0;
    const topology::DeviceSpec* device = nullptr;      // of a PF or VF
    const topology::FunctionSpec* function = nullptr;  // of a PF or VF
    const topology::FabricSpec* fabric = nullptr;      // of a VMD endpoint and all in its domain
    const topology::PortSpec* port = nullptr;          // of a port of a fabric
    unsigned enabled_vfs = 0;                          // of a PF
    unsigned iommu_group = 0;
    std::array<Resource, kBridgeResources> resources{};

    bool is_bridge() const { return kind == NodeKind::kPort; }
    bool is_clone() const { return function != nullptr && function->clone.has_value(); }
    bool is_virtual() const { return kind == NodeKind::kVf && device->native_sriov; }
};

/// Everything, parents before children.
struct BusLayout {
    const topology::Machine* machine = nullptr;  // borrowed
    std::vector<Node> nodes;

    /// Index of the function at `bdf`, or nothing.
    std::optional<size_t> find(const topology::Bdf& bdf) const;

    /// Index of the VMD endpoint that makes the domain of `node`, or nothing for domain 0.
    std::optional<size_t> vmd_of(const Node& node) const;
};

/// Lays out what `machine` shows at boot, after `vfs` virtual functions of each PF, or as many as
/// it has, were enabled; those of clones stay disabled, and I/O BARs get no address, as on a
/// fabric. Devices whose hot-plug slot is empty are left out. `machine` must outlive
/// the result. Errors: no_space_on_device if the BARs do not fit below 4 GiB; those of
/// refuse_external(). Pure.
Result<BusLayout> make_layout(const topology::Machine& machine, unsigned vfs);

/// The same without IOMMU groups and addresses, which is all that can fail, and with what external
/// devices say in the file. Pure.
BusLayout enumerate(const topology::Machine& machine, unsigned vfs);

/// Errors: not_supported if a device of `machine` is external: nothing here knows what it shows.
/// Pure.
Status refuse_external(const topology::Machine& machine);

}  // namespace mimic::kernel_bus
