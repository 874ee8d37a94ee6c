// SPDX-License-Identifier: Apache-2.0
#include "topology/placement.h"

#include <set>
#include <vector>

#include <fmt/format.h>

#include "base/text_table.h"
#include "topology/arch.h"
#include "topology/fabric_placement.h"
#include "topology/yaml.h"

namespace mimic::topology {
namespace {

/// A root bus and what goes below it: endpoints, as indexes into Machine::devices, and then a
/// fabric, as one into Machine::fabrics.
struct Group {
    HostBus bus;
    std::vector<size_t> devices;
    std::optional<size_t> fabric;

    size_t ports() const { return devices.size() + (fabric ? 1 : 0); }
};

std::vector<Group> make_groups(const Machine& machine) {
    std::vector<Group> by_node(machine.nodes.size() + 1);  // first: no node
    const auto group_of = [&](std::optional<unsigned> node) -> Group& {
        return by_node[node ? *node + 1 : 0];
    };
    for (size_t i = 0; i < machine.devices.size(); ++i) {
        if (machine.devices[i].on_fabric) continue;
        group_of(machine.devices[i].numa_node).devices.push_back(i);
    }
    for (size_t i = 0; i < machine.fabrics.size(); ++i) {
        group_of(machine.fabrics[i].numa_node).fabric = i;
    }
    by_node[0].bus.id = "pcie.0";
    std::vector<Group> groups = {by_node[0]};
    for (unsigned node = 0; node < machine.nodes.size(); ++node) {
        Group& group = by_node[node + 1];
        if (group.ports() == 0) continue;
        group.bus.id = fmt::format("numa{}", node);
        group.bus.numa_node = node;
        group.bus.pxb_slot = static_cast<uint8_t>(kFirstPxbSlot + node);
        groups.push_back(std::move(group));
    }
    return groups;
}

/// Gives each root bus its number: 0x10 * (node + 1) where that is free (`spread`), else the next
/// free one.
bool number_buses(std::vector<Group>& groups, bool spread) {
    unsigned next = 0;
    for (Group& group : groups) {
        unsigned number = next;
        if (group.bus.numa_node && spread) {
            number = std::max((next + 0xfu) & ~0xfu, 0x10u * (*group.bus.numa_node + 1));
        }
        const size_t last = number + group.ports();
        if (last > 0xff) return false;
        group.bus.number = static_cast<uint8_t>(number);
        group.bus.last_bus = static_cast<uint8_t>(last);
        next = group.bus.last_bus + 1u;
    }
    return true;
}

/// Address of port `index` of `count` on the bus: a slot each while they last, else eight functions
/// a slot.
std::optional<Bdf> port_address(const HostBus& bus, size_t index, size_t count) {
    const size_t slots = bus.numa_node ? 32 : kPcie0PortSlots;
    const size_t first = bus.numa_node ? 0 : kFirstPortSlot;
    const bool packed = count > slots;
    if (count > slots * 8) return std::nullopt;
    const size_t device = first + (packed ? index / 8 : index);
    return Bdf{.domain = 0,
               .bus = bus.number,
               .device = static_cast<uint8_t>(device),
               .function = static_cast<uint8_t>(packed ? index % 8 : 0)};
}

/// `name`, or with letters behind it if a file took that name.
std::string port_id(std::string name, const std::set<std::string>& taken) {
    while (taken.contains(name)) name += 'x';
    return name;
}

/// Hands out physical slot numbers, ascending, around those that the file gives.
class SlotNumbers {
public:
    explicit SlotNumbers(const Machine& machine) {
        for (const DeviceSpec& device : machine.devices) taken_.insert(device.slot);
    }

    unsigned next() {
        while (taken_.contains(next_)) ++next_;
        return next_++;
    }

private:
    std::set<unsigned> taken_;
    unsigned next_ = 1;
};

/// Ids and slot numbers of QEMU's root ports and of the slots on fabrics. QEMU's are below 256, as
/// there are so many buses, and all together at most kMaxFunctions.
void number_slots(Machine& machine) {
    std::set<std::string> taken;
    for (const DeviceSpec& device : machine.devices) taken.insert(device.port.id);
    SlotNumbers slots(machine);
    unsigned chassis = 0;
    for (size_t i = 0; i < machine.devices.size(); ++i) {
        DeviceSpec& device = machine.devices[i];
        if (device.on_fabric) continue;
        if (device.port.id.empty()) device.port.id = port_id(fmt::format("rp{}", i), taken);
        device.port.chassis = ++chassis;
        device.port.slot = slots.next();
        device.slot = device.port.slot;
    }
    for (size_t i = 0; i < machine.fabrics.size(); ++i) {
        DeviceSpec::RootPort& port = machine.fabrics[i].port;
        port.id = port_id(fmt::format("rpf{}", i), taken);
        port.chassis = ++chassis;
        port.slot = slots.next();
    }
    for (DeviceSpec& device : machine.devices) {
        if (device.on_fabric && device.slot == 0) device.slot = slots.next();
    }
}

/// Address and bus of root port `index` of a group that is placed on host bus `host_bus`.
std::optional<std::string> place_port(const Group& group, size_t index, size_t host_bus,
                                      DeviceSpec::RootPort& port) {
    const auto address = port_address(group.bus, index, group.ports());
    if (!address) {
        return fmt::format("{}{} without a NUMA node; expected at most {}, or 'numa_node' on some",
                           counted(group.devices.size(), "device"),
                           group.fabric ? " and a fabric" : "", kPcie0PortSlots * 8);
    }
    port.bdf = *address;
    port.secondary_bus = static_cast<uint8_t>(group.bus.number + 1 + index);
    port.host_bus = host_bus;
    return std::nullopt;
}

void set_addresses(DeviceSpec& device) {
    for (size_t f = 0; f < device.functions.size(); ++f) {
        const bool is_clone = device.functions[f].clone.has_value();
        device.functions[f].bdf = {
            .domain = 0,
            .bus = device.port.secondary_bus,
            .device = 0,
            .function = is_clone ? device.functions[f].number : static_cast<uint8_t>(f)};
    }
}

/// BARs of the whole machine, which QEMU's firmware places in one window below 4 GiB and one above.
std::optional<std::string> check_addresses(const Machine& machine) {
    uint64_t low = 0;
    uint64_t high = 0;
    for (const FabricSpec& fabric : machine.fabrics) {
        low += fabric.memory32_bar_size;
        high += fabric.memory64_bar_size;
    }
    for (const DeviceSpec& device : machine.devices) {
        if (device.on_fabric) continue;
        for (const FunctionSpec& function : device.functions) {
            high += function.memory_bar();
            if (!function.clone) continue;
            for (const BarSpec& bar : function.bars) (bar.is_64bit ? high : low) += bar.size;
            low += function.clone->rom_size;
        }
    }
    if (low > kMaxLowAddresses && machine.fabrics.empty()) {
        return fmt::format(
            "the devices need {} of addresses below 4 GiB for 32-bit BARs; expected "
            "at most {}",
            format_size(low), format_size(kMaxLowAddresses));
    }
    if (low > kMaxLowAddresses) {
        return fmt::format(
            "the {} fabrics need {} of addresses below 4 GiB for 32-bit BARs; expected at most "
            "{}: fewer devices, or fewer nodes with a fabric",
            machine.fabrics.size(), format_size(low), format_size(kMaxLowAddresses));
    }
    const uint64_t most = facts_of(machine.arch).max_memory_bars;
    if (high <= most) return std::nullopt;
    return fmt::format("the machine needs {} of addresses for 'memory_bar'; expected at most {}",
                       format_size(high), format_size(most));
}

}  // namespace

std::optional<std::string> place(Machine& machine) {
    if (auto problem = make_fabrics(machine)) return problem;
    std::vector<Group> groups = make_groups(machine);
    if (!number_buses(groups, true) && !number_buses(groups, false)) {
        return fmt::format("{} devices need more than the 256 buses of a PCI domain",
                           machine.devices.size());
    }
    number_slots(machine);
    for (FabricSpec& fabric : machine.fabrics) {
        for (PortSpec& port : fabric.ports) {
            if (port.device) port.slot = machine.devices[*port.device].slot;
        }
    }
    machine.host_buses.clear();
    uint32_t domain = kFirstFabricDomain;
    for (const Group& group : groups) {
        const size_t host_bus = machine.host_buses.size();
        for (size_t i = 0; i < group.devices.size(); ++i) {
            DeviceSpec& device = machine.devices[group.devices[i]];
            if (auto problem = place_port(group, i, host_bus, device.port)) return problem;
            set_addresses(device);
        }
        if (group.fabric) {
            FabricSpec& fabric = machine.fabrics[*group.fabric];
            auto problem = place_port(group, group.devices.size(), host_bus, fabric.port);
            if (problem) return problem;
            fabric.bdf = {
                .domain = 0, .bus = fabric.port.secondary_bus, .device = 0, .function = 0};
            fabric.domain = domain++;
            problem = number_fabric(machine, fabric);
            if (problem) return problem;
        }
        machine.host_buses.push_back(group.bus);
    }
    return check_addresses(machine);
}

}  // namespace mimic::topology
