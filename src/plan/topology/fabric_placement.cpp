// SPDX-License-Identifier: Apache-2.0
#include "topology/fabric_placement.h"

#include <algorithm>
#include <bit>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "topology/yaml.h"

namespace mimic::topology {
namespace {

constexpr uint64_t kMiB = 1ull << 20;
constexpr unsigned kMinConfigBuses = 32;  // arbitrary: room for a guest that numbers anew
constexpr uint64_t kMinMemory32Bar = 32 * kMiB;
constexpr uint64_t kMinMemory64Bar = 64 * kMiB;
// What may be plugged into an empty slot; Linux reserves 2 MiB by itself (pci=hpmemsize).
constexpr uint64_t kHotplug32 = 4 * kMiB;
constexpr uint64_t kHotplug64 = 2 * kMiB;
constexpr unsigned kDevicesOfBus = 32;
constexpr unsigned kFunctionsOfDevice = 8;

/// The parts of one fabric, as indexes into Machine::switches and Machine::devices.
struct Contents {
    std::vector<size_t> switches;
    std::vector<size_t> devices;
};

/// What hangs below a root complex (nullopt) or a switch: switches first, then devices.
using Children = std::map<std::optional<size_t>, Contents>;

/// Makes the ports of one fabric, parents first. Recursion is as deep as switches are nested, which
/// check_buses() has limited.
class PortMaker {
public:
    PortMaker(Machine& machine, size_t fabric, const Children& children)
        : machine_(machine), fabric_(fabric), children_(children) {}

    /// Ports for everything below `above`, a switch whose upstream port is `parent`, or the root
    /// complex.
    void make(std::optional<size_t> above, std::optional<size_t> parent) {
        const auto found = children_.find(above);
        if (found == children_.end()) return;
        const PortSpec::Kind kind = above ? PortSpec::Kind::kSwitchDownstream
                                          : PortSpec::Kind::kRootPort;
        for (const size_t index : found->second.switches) make_switch(index, kind, parent);
        for (const size_t index : found->second.devices) make_leaf(index, kind, parent);
    }

private:
    void make_switch(size_t index, PortSpec::Kind kind, std::optional<size_t> parent) {
        const SwitchSpec& one = machine_.switches[index];
        PortSpec port;
        port.name = one.name + ".port";
        port.kind = kind;
        port.parent = parent;
        port.link = one.link;
        port.acs = !one.parent || machine_.switches[*one.parent].acs;
        port.ari = true;
        port.config = one.port_config;
        ports().push_back(port);
        PortSpec upstream;
        upstream.name = one.name + ".up";
        upstream.kind = PortSpec::Kind::kSwitchUpstream;
        upstream.parent = ports().size() - 1;
        upstream.link = one.link;
        upstream.config = one.config;
        ports().push_back(std::move(upstream));
        make(index, ports().size() - 1);
    }

    void make_leaf(size_t index, PortSpec::Kind kind, std::optional<size_t> parent) {
        DeviceSpec& device = machine_.devices[index];
        PortSpec port;
        port.name = device.name + ".port";
        port.kind = kind;
        port.parent = parent;
        port.link = device.link;
        port.slot = device.slot;
        port.hotplug = device.hotplug;
        port.acs = device.acs;
        port.ari = device.ari;
        port.device = index;
        port.config = device.port_config;
        device.fabric = fabric_;
        device.fabric_port = ports().size();
        ports().push_back(std::move(port));
    }

    std::vector<PortSpec>& ports() { return machine_.fabrics[fabric_].ports; }

    Machine& machine_;
    size_t fabric_;
    const Children& children_;
};

std::optional<std::string> check_buses(const Machine& machine, const FabricSpec& fabric,
                                       const Contents& all) {
    size_t spare = 0;
    for (const size_t i : all.devices) spare += machine.devices[i].vf_buses();
    const size_t buses = 1 + 2 * all.switches.size() + all.devices.size() + spare;
    if (buses <= kBusesPerDomain) return std::nullopt;
    return fmt::format(
        "'{}' needs {} buses (1, {} for {} devices, {} for VFs, {} for {} switches), "
        "but a PCI domain has {}; expected fewer, or some on another NUMA node",
        fabric.name, buses, all.devices.size(), all.devices.size(), spare, 2 * all.switches.size(),
        all.switches.size(), kBusesPerDomain);
}

/// All devices of a fabric are in one process, because they share a socket.
std::optional<std::string> set_isolation(const Machine& machine, FabricSpec& fabric,
                                         const std::vector<size_t>& devices) {
    const auto apart = std::count_if(devices.begin(), devices.end(), [&](size_t i) {
        return machine.devices[i].isolation == Isolation::kProcess;
    });
    if (apart == 0) return std::nullopt;
    fabric.isolation = Isolation::kProcess;
    if (static_cast<size_t>(apart) == devices.size()) return std::nullopt;
    return fmt::format(
        "isolation: process of {} of the {} devices of '{}'; a fabric is served as a whole: "
        "expected it of all of them, or of none",
        apart, devices.size(), fabric.name);
}

/// Gives ports the buses below them, depth first.
class BusNumberer {
public:
    BusNumberer(const Machine& machine, FabricSpec& fabric) : machine_(machine), fabric_(fabric) {
        for (size_t i = 0; i < fabric.ports.size(); ++i)
            below_[fabric.ports[i].parent].push_back(i);
    }

    /// Numbers what is below `parent`, whose secondary bus is `bus`. Returns the highest bus number
    /// so far.
    unsigned number(std::optional<size_t> parent, unsigned bus, unsigned last) {
        const auto found = below_.find(parent);
        if (found == below_.end()) return last;
        const std::vector<size_t>& ports = found->second;
        const bool packed = ports.size() > kDevicesOfBus;
        for (size_t i = 0; i < ports.size(); ++i) {
            PortSpec& port = fabric_.ports[ports[i]];
            const size_t device = packed ? i / kFunctionsOfDevice : i;
            const size_t function = packed ? i % kFunctionsOfDevice : 0;
            port.bdf = {.domain = fabric_.domain,
                        .bus = static_cast<uint8_t>(bus),
                        .device = static_cast<uint8_t>(device),
                        .function = static_cast<uint8_t>(function)};
            const unsigned secondary = last + 1;
            last = number(ports[i], secondary, secondary + spare_of(port));
            port.secondary_bus = static_cast<uint8_t>(secondary);
            port.subordinate_bus = static_cast<uint8_t>(last);
        }
        return last;
    }

private:
    unsigned spare_of(const PortSpec& port) const {
        return port.device ? machine_.devices[*port.device].vf_buses() : 0;
    }

    const Machine& machine_;
    FabricSpec& fabric_;
    std::map<std::optional<size_t>, std::vector<size_t>> below_;
};

/// PF at device 0, function 0 of the secondary bus. VFs follow it: with ARI at once, else on the
/// next bus (SR-IOV 1.1, 3.3.9: First VF Offset 1 or 256, VF Stride 1).
void set_addresses(DeviceSpec& device, const PortSpec& port, uint32_t domain) {
    for (FunctionSpec& function : device.functions) {
        const unsigned first = device.ari ? 1 : 0;
        const unsigned devfn = function.is_vf() ? first + *function.vf_index : function.number;
        const unsigned bus = port.secondary_bus + (function.is_vf() && !device.ari ? 1u : 0u);
        function.bdf = {.domain = domain,
                        .bus = static_cast<uint8_t>(bus),
                        .device = static_cast<uint8_t>(devfn / kFunctionsOfDevice),
                        .function = static_cast<uint8_t>(devfn % kFunctionsOfDevice)};
    }
}

uint64_t rounded_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

/// Addresses that the BARs of a device need of one window, aligned to the largest of them. The
/// window for 64 bits is prefetchable, so BARs that are not go to the other.
uint64_t window_need(const DeviceSpec& device, bool is_64bit) {
    uint64_t sum = 0;
    uint64_t largest = kMiB;  // granularity of a bridge's window
    const auto add = [&](uint64_t size, uint64_t count) {
        constexpr uint64_t kFar = 1ull << 44;  // far above every limit, and far from overflow
        sum = std::min(sum + std::min(size, kFar) * count, kFar);
        largest = std::max(largest, size);
    };
    for (const FunctionSpec& function : device.functions) {
        for (const BarSpec& bar : function.bars) {
            if (!bar.is_io && (bar.is_64bit && bar.prefetchable) == is_64bit) add(bar.size, 1);
        }
        if (!function.clone) continue;
        for (const BarSpec& bar : function.clone->vf_bars) {
            if ((bar.is_64bit && bar.prefetchable) != is_64bit) continue;
            add(std::max<uint64_t>(bar.size, kMinMemoryBar), function.clone->total_vfs);
        }
        if (!is_64bit) add(function.clone->rom_size, 1);
    }
    return rounded_up(sum, largest);
}

/// Twice what the devices need, because BARs and windows are aligned to their sizes.
uint64_t window_size(const Machine& machine, const FabricSpec& fabric, bool is_64bit) {
    uint64_t sum = is_64bit ? kMiB : 0;  // BAR4 starts with the VMD endpoint's own MSI-X table
    for (const PortSpec& port : fabric.ports) {
        if (!port.device) continue;
        const uint64_t least = !port.hotplug ? 0 : is_64bit ? kHotplug64 : kHotplug32;
        sum += std::max(window_need(machine.devices[*port.device], is_64bit), least);
    }
    return std::max(std::bit_ceil(2 * sum), is_64bit ? kMinMemory64Bar : kMinMemory32Bar);
}

std::optional<std::string> set_sizes(const Machine& machine, FabricSpec& fabric) {
    fabric.config_bar_size = kMiB * std::bit_ceil(std::max(fabric.buses, kMinConfigBuses));
    fabric.memory32_bar_size = window_size(machine, fabric, false);
    fabric.memory64_bar_size = window_size(machine, fabric, true);
    const auto too_large = [&](const char* what, uint64_t size, uint64_t most) {
        return fmt::format(
            "the {} BARs of '{}' need a window of {}; expected at most {}: fewer devices, or some "
            "on another NUMA node",
            what, fabric.name, format_size(size), format_size(most));
    };
    if (fabric.memory32_bar_size > kMaxMemory32Bar) {
        return too_large("32-bit", fabric.memory32_bar_size, kMaxMemory32Bar);
    }
    if (fabric.memory64_bar_size > kMaxMemory64Bar) {
        return too_large("memory_bar", fabric.memory64_bar_size, kMaxMemory64Bar);
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> make_fabrics(Machine& machine) {
    std::map<std::optional<unsigned>, Children> children;  // by node; no node comes first
    std::map<std::optional<unsigned>, Contents> all;
    for (size_t i = 0; i < machine.switches.size(); ++i) {
        const SwitchSpec& one = machine.switches[i];
        children[one.numa_node][one.parent].switches.push_back(i);
        all[one.numa_node].switches.push_back(i);
    }
    for (size_t i = 0; i < machine.devices.size(); ++i) {
        const DeviceSpec& device = machine.devices[i];
        if (!device.on_fabric) continue;
        children[device.numa_node][device.parent_switch].devices.push_back(i);
        all[device.numa_node].devices.push_back(i);
    }
    machine.fabrics.clear();
    for (const auto& [node, contents] : all) {
        FabricSpec fabric;
        fabric.name = node ? fmt::format("fabric{}", *node) : "fabric";
        fabric.numa_node = node;
        if (auto problem = check_buses(machine, fabric, contents)) return problem;
        if (auto problem = set_isolation(machine, fabric, contents.devices)) return problem;
        machine.fabrics.push_back(std::move(fabric));
        PortMaker(machine, machine.fabrics.size() - 1, children[node])
            .make(std::nullopt, std::nullopt);
    }
    return std::nullopt;
}

std::optional<std::string> number_fabric(Machine& machine, FabricSpec& fabric) {
    fabric.buses = BusNumberer(machine, fabric).number(std::nullopt, 0, 0) + 1;
    for (const PortSpec& port : fabric.ports) {
        if (port.device) set_addresses(machine.devices[*port.device], port, fabric.domain);
    }
    return set_sizes(machine, fabric);
}

}  // namespace mimic::topology
