// SPDX-License-Identifier: Apache-2.0
#include "topology/placement.h"

#include <set>
#include <vector>

#include <fmt/format.h>

namespace mimic::topology {
namespace {

/// A root bus and the devices that go below it, as indexes into Machine::devices.
struct Group {
    HostBus bus;
    std::vector<size_t> devices;
};

std::vector<Group> make_groups(const Machine& machine) {
    std::vector<Group> groups(1);
    groups[0].bus.id = "pcie.0";
    std::vector<std::vector<size_t>> by_node(machine.nodes.size());
    for (size_t i = 0; i < machine.devices.size(); ++i) {
        const auto node = machine.devices[i].numa_node;
        (node ? by_node[*node] : groups[0].devices).push_back(i);
    }
    for (unsigned node = 0; node < by_node.size(); ++node) {
        if (by_node[node].empty()) continue;
        Group group;
        group.bus.id = fmt::format("numa{}", node);
        group.bus.numa_node = node;
        group.bus.pxb_slot = static_cast<uint8_t>(kFirstPxbSlot + node);
        group.devices = std::move(by_node[node]);
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
        const size_t last = number + group.devices.size();
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

/// "rp<index>", or with letters behind it if a file took that name.
std::string port_id(size_t index, const std::set<std::string>& taken) {
    std::string id = fmt::format("rp{}", index);
    while (taken.contains(id)) id += 'x';
    return id;
}

}  // namespace

std::optional<std::string> place(Machine& machine) {
    std::vector<Group> groups = make_groups(machine);
    if (!number_buses(groups, true) && !number_buses(groups, false)) {
        return fmt::format("{} devices need more than the 256 buses of a PCI domain",
                           machine.devices.size());
    }
    std::set<std::string> taken;
    for (const Device& device : machine.devices) taken.insert(device.port.id);
    machine.host_buses.clear();
    for (const Group& group : groups) {
        for (size_t i = 0; i < group.devices.size(); ++i) {
            const auto address = port_address(group.bus, i, group.devices.size());
            if (!address) {
                return fmt::format(
                    "{} devices without a NUMA node; expected at most {}, or "
                    "'numa_node' on some",
                    group.devices.size(), kPcie0PortSlots * 8);
            }
            Device& device = machine.devices[group.devices[i]];
            Device::RootPort& port = device.port;
            if (port.id.empty()) port.id = port_id(group.devices[i], taken);
            port.bdf = *address;
            port.chassis = static_cast<unsigned>(group.devices[i]) + 1;
            port.slot = port.chassis;
            port.secondary_bus = static_cast<uint8_t>(group.bus.number + 1 + i);
            port.host_bus = machine.host_buses.size();
            for (size_t f = 0; f < device.functions.size(); ++f) {
                device.functions[f].bdf = {.domain = 0,
                                           .bus = port.secondary_bus,
                                           .device = 0,
                                           .function = static_cast<uint8_t>(f)};
            }
        }
        machine.host_buses.push_back(group.bus);
    }
    return std::nullopt;
}

}  // namespace mimic::topology
