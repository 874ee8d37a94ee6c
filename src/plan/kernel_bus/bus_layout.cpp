// SPDX-License-Identifier: Apache-2.0
#include "kernel_bus/bus_layout.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "kernel_bus/addresses.h"

namespace mimic::kernel_bus {
namespace {

using topology::Bdf;
using topology::DeviceSpec;
using topology::FabricSpec;
using topology::FunctionSpec;
using topology::Machine;
using topology::PortSpec;

class LayoutMaker {
public:
    LayoutMaker(const Machine& machine, unsigned vfs) : machine_(machine), vfs_(vfs) {
        layout_.machine = &machine;
    }

    BusLayout make() {
        for (const DeviceSpec& device : machine_.devices) {
            if (!device.fabric) add_endpoint(device);
        }
        for (const FabricSpec& fabric : machine_.fabrics) add_fabric(fabric);
        mark_multifunction();
        return std::move(layout_);
    }

private:
    size_t add(Node node) {
        layout_.nodes.push_back(std::move(node));
        return layout_.nodes.size() - 1;
    }

    size_t add_root_port(const DeviceSpec::RootPort& port, const topology::Link& link,
                         std::optional<unsigned> numa_node) {
        Node node;
        node.kind = NodeKind::kPort;
        node.bdf = port.bdf;
        node.name = port.id;
        node.root_bus = machine_.host_buses.at(port.host_bus).number;
        node.numa_node = numa_node;
        node.link = link;
        node.acs = true;  // as QEMU's pcie-root-port
        node.slot = port.slot;
        node.secondary = node.subordinate = port.secondary_bus;
        return add(std::move(node));
    }

    Node node_of(const DeviceSpec& device, const FunctionSpec& function, size_t parent) const {
        Node node;
        node.kind = function.is_vf() ? NodeKind::kVf : NodeKind::kPf;
        node.bdf = function.bdf;
        node.name = function.name;
        node.parent = parent;
        node.root_bus = layout_.nodes[parent].root_bus;
        node.numa_node = device.numa_node;
        node.link = device.link;
        node.device = &device;
        node.function = &function;
        if (!function.is_vf()) {
            node.enabled_vfs = std::min<unsigned>(vfs_, function.total_vfs);
        }
        return node;
    }

    void add_endpoint(const DeviceSpec& device) {
        const size_t port = add_root_port(device.port, device.link, device.numa_node);
        for (const FunctionSpec& function : device.functions) add(node_of(device, function, port));
    }

    void add_fabric(const FabricSpec& fabric) {
        const topology::Link link;  // what the endpoint of a fabric has
        const size_t port = add_root_port(fabric.port, link, fabric.numa_node);
        Node vmd;
        vmd.kind = NodeKind::kVmd;
        vmd.bdf = fabric.bdf;
        vmd.name = fabric.name;
        vmd.parent = port;
        vmd.root_bus = layout_.nodes[port].root_bus;
        vmd.numa_node = fabric.numa_node;
        vmd.link = link;
        vmd.fabric = &fabric;
        add(std::move(vmd));
        std::vector<size_t> ports;
        for (const PortSpec& each : fabric.ports) {
            const auto above = each.parent ? std::optional(ports.at(*each.parent)) : std::nullopt;
            ports.push_back(add_fabric_port(fabric, each, above));
        }
    }

    size_t add_fabric_port(const FabricSpec& fabric, const PortSpec& port,
                           std::optional<size_t> above) {
        const DeviceSpec* const device = port.device ? &machine_.devices.at(*port.device) : nullptr;
        Node node;
        node.kind = NodeKind::kPort;
        node.bdf = port.bdf;
        node.name = port.name;
        node.parent = above;
        node.numa_node = fabric.numa_node;
        node.link = port.link;
        node.link_up = device == nullptr || device->plugged;
        node.acs = port.acs;
        node.upstream = port.kind == PortSpec::Kind::kSwitchUpstream;
        node.slot = port.slot;
        node.hotplug = port.hotplug;
        node.secondary = port.secondary_bus;
        node.subordinate = port.subordinate_bus;
        node.fabric = &fabric;
        node.port = &port;
        const size_t index = add(std::move(node));
        if (device != nullptr && device->plugged) add_fabric_device(fabric, *device, index);
        return index;
    }

    void add_fabric_device(const FabricSpec& fabric, const DeviceSpec& device, size_t port) {
        unsigned enabled = 0;
        for (const FunctionSpec& function : device.functions) {
            if (function.is_vf() && *function.vf_index >= enabled) break;
            Node node = node_of(device, function, port);
            node.fabric = &fabric;
            if (!function.is_vf()) enabled = node.enabled_vfs;
            add(std::move(node));
        }
    }

    /// Of native VFs the bit is not known: Linux does not look for functions beside them.
    void mark_multifunction() {
        std::map<std::tuple<uint32_t, uint8_t, uint8_t>, size_t> functions;
        const auto slot = [](const Bdf& bdf) {
            return std::tuple(bdf.domain, bdf.bus, bdf.device);
        };
        for (const Node& node : layout_.nodes) {
            if (!node.is_virtual()) ++functions[slot(node.bdf)];
        }
        for (Node& node : layout_.nodes) {
            node.multifunction = !node.is_virtual() && functions[slot(node.bdf)] > 1;
        }
    }

    const Machine& machine_;
    const unsigned vfs_;
    BusLayout layout_;
};

/// IOMMU groups as pci_device_group() of drivers/iommu/iommu.c makes them: a function joins the
/// group of the lowest port above it whose way up does not isolate; functions of a device without
/// Access Control Services share one.
class Grouper {
public:
    explicit Grouper(std::vector<Node>& nodes) : nodes_(nodes) {}

    void run() {
        for (Node& node : nodes_) node.iommu_group = group_of(node);
    }

private:
    bool isolates(const Node& port) const { return port.upstream || port.acs; }

    bool path_isolates(const Node& from) const {
        for (const Node* port = &from;; port = &nodes_[*port->parent]) {
            if (!isolates(*port)) return false;
            if (!port->parent) return true;
        }
    }

    unsigned group_of(const Node& node) {
        for (std::optional<size_t> above = node.parent; above; above = nodes_[*above].parent) {
            if (path_isolates(nodes_[*above])) break;
            return nodes_[*above].iommu_group;  // parents come first
        }
        // Our endpoints have no ACS; neither has a port that was described without.
        if (!node.multifunction || (node.is_bridge() && isolates(node))) return next_++;
        const auto [slot, is_new] = by_device_.try_emplace(
            {node.bdf.domain, node.bdf.bus, node.bdf.device}, next_);
        if (is_new) ++next_;
        return slot->second;
    }

    std::vector<Node>& nodes_;
    std::map<std::tuple<uint32_t, uint8_t, uint8_t>, unsigned> by_device_;
    unsigned next_ = 0;
};

}  // namespace

std::optional<size_t> BusLayout::find(const Bdf& bdf) const {
    const auto found = std::find_if(nodes.begin(), nodes.end(),
                                    [&](const Node& node) { return node.bdf == bdf; });
    if (found == nodes.end()) return std::nullopt;
    return static_cast<size_t>(found - nodes.begin());
}

std::optional<size_t> BusLayout::vmd_of(const Node& node) const {
    if (node.fabric == nullptr || node.kind == NodeKind::kVmd) return std::nullopt;
    return find(node.fabric->bdf);
}

Status refuse_external(const Machine& machine) {
    for (const DeviceSpec& device : machine.devices) {
        if (!device.is_external()) continue;
        return fail(std::errc::not_supported,
                    "{}: an external server serves a guest of mimic up only, nothing without a VM",
                    device.name);
    }
    return {};
}

BusLayout enumerate(const Machine& machine, unsigned vfs) {
    return LayoutMaker(machine, vfs).make();
}

Result<BusLayout> make_layout(const Machine& machine, unsigned vfs) {
    MIMIC_TRY(refuse_external(machine));
    BusLayout layout = enumerate(machine, vfs);
    Grouper(layout.nodes).run();
    MIMIC_TRY(assign_addresses(layout));
    return layout;
}

}  // namespace mimic::kernel_bus
