// SPDX-License-Identifier: Apache-2.0
// Properties that hold for every placement, over many shapes; and the addresses of mock-device.
#include "topology/placement.h"

#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "topology/topology.h"

namespace mimic::topology {
namespace {

// A model with a driver, whose class devices are numbered.
constexpr model::DeviceModel kModel{.facts = {.name = "gpu"},
                                    .driver = {.name = "gpu", .node_prefix = "gpu"}};

/// A machine with `loose` devices on pcie.0 and `on_node[k]` devices on node k.
Machine make_machine(unsigned loose, const std::vector<unsigned>& on_node) {
    Machine machine;
    machine.name = "m";
    machine.has_numa = !on_node.empty();
    machine.nodes.resize(std::max<size_t>(1, on_node.size()));
    const auto add = [&](std::optional<unsigned> node) {
        DeviceSpec device;
        device.model = &kModel;
        device.name = "d" + std::to_string(machine.devices.size());
        device.numa_node = node;
        device.functions.resize(1 + machine.devices.size() % 8);
        for (FunctionSpec& function : device.functions) function.model = &kModel;
        machine.devices.push_back(std::move(device));
    };
    for (unsigned i = 0; i < loose; ++i) add(std::nullopt);
    for (unsigned node = 0; node < on_node.size(); ++node) {
        for (unsigned i = 0; i < on_node[node]; ++i) add(node);
    }
    return machine;
}

/// Everything that QEMU and firmware demand of a placement.
void expect_valid(const Machine& machine) {
    std::set<Bdf> addresses;
    std::set<std::string> ids;
    std::set<unsigned> buses;
    unsigned last = 0;
    for (const HostBus& bus : machine.host_buses) {
        if (bus.numa_node) {
            EXPECT_GT(bus.number, last);
            EXPECT_TRUE(addresses.insert({0, 0, bus.pxb_slot, 0}).second);
        }
        EXPECT_GE(bus.last_bus, bus.number);
        last = bus.last_bus;
        EXPECT_TRUE(ids.insert(bus.id).second);
    }
    for (const DeviceSpec& device : machine.devices) {
        const HostBus& bus = machine.host_buses.at(device.port.host_bus);
        EXPECT_EQ(bus.numa_node, device.numa_node);
        EXPECT_EQ(device.port.bdf.bus, bus.number);
        EXPECT_GT(device.port.secondary_bus, bus.number);
        EXPECT_LE(device.port.secondary_bus, bus.last_bus);
        EXPECT_TRUE(buses.insert(device.port.secondary_bus).second);
        EXPECT_TRUE(addresses.insert(device.port.bdf).second);
        EXPECT_TRUE(ids.insert(device.port.id).second);
        EXPECT_GE(device.port.chassis, 1u);
        EXPECT_LE(device.port.chassis, 255u);
        EXPECT_LT(device.port.bdf.device, 32);
        if (!device.numa_node) {  // 0x1f is the chipset's, 1..4 are Mimic's own
            EXPECT_GE(device.port.bdf.device, 8);
            EXPECT_LT(device.port.bdf.device, 0x10);
        }
        for (const FunctionSpec& function : device.functions) {
            EXPECT_TRUE(addresses.insert(function.bdf).second);
            EXPECT_EQ(function.bdf.bus, device.port.secondary_bus);
        }
    }
}

/// Firmware numbers buses by visiting root buses in order, and ports by (device, function): the
/// same as ours.
void expect_firmware_order(const Machine& machine) {
    for (size_t host = 0; host < machine.host_buses.size(); ++host) {
        std::map<Bdf, unsigned> ports;
        for (const DeviceSpec& device : machine.devices) {
            if (device.port.host_bus == host) {
                ports[device.port.bdf] = device.port.secondary_bus;
            }
        }
        unsigned next = machine.host_buses[host].number;
        for (const auto& [port, bus] : ports) EXPECT_EQ(bus, ++next);
    }
}

TEST(Placement, NodesStartAtMultiplesOfSixteen) {
    Machine machine = make_machine(0, {1, 1});
    ASSERT_EQ(place(machine), std::nullopt);
    EXPECT_EQ(machine.devices[0].functions[0].bdf.str(), "0000:11:00.0");
    EXPECT_EQ(machine.devices[1].functions[0].bdf.str(), "0000:21:00.0");
    EXPECT_EQ(machine.devices[1].functions[1].bdf.str(), "0000:21:00.1");
}

TEST(Placement, NodeWithoutDevicesHasNoBus) {
    Machine machine = make_machine(1, {0, 1});
    ASSERT_EQ(place(machine), std::nullopt);
    EXPECT_EQ(machine.host_buses.size(), 2u);
    EXPECT_EQ(machine.devices[0].functions[0].bdf.str(), "0000:01:00.0");
    EXPECT_EQ(machine.devices[1].functions[0].bdf.str(), "0000:21:00.0");
}

TEST(Placement, RandomShapesAreValidOrRefused) {
    std::mt19937 random(20261121);
    unsigned placed = 0;
    for (unsigned round = 0; round < 300; ++round) {
        std::vector<unsigned> on_node(random() % (kMaxNumaNodes + 1));
        const auto most = static_cast<unsigned>(1 + random() % 40);
        for (unsigned& count : on_node) count = static_cast<unsigned>(random() % (most + 1));
        Machine machine = make_machine(static_cast<unsigned>(random() % 40), on_node);
        if (place(machine)) continue;
        ++placed;
        expect_valid(machine);
        expect_firmware_order(machine);
        if (HasFailure()) FAIL() << "round " << round;
    }
    EXPECT_GT(placed, 100u);
}

TEST(Placement, FullestShapes) {
    for (const auto& on_node : {std::vector<unsigned>{254}, {100, 100, 50}, {16, 16, 16}}) {
        Machine machine = make_machine(0, on_node);
        ASSERT_EQ(place(machine), std::nullopt);
        expect_valid(machine);
        expect_firmware_order(machine);
    }
    Machine loose = make_machine(64, {});
    ASSERT_EQ(place(loose), std::nullopt);
    expect_valid(loose);
    Machine too_many = make_machine(0, {255});
    EXPECT_NE(place(too_many), std::nullopt);
}

TEST(Placement, SysfsNumbersFollowAddresses) {
    Machine machine = make_machine(1, {1, 1});
    std::swap(machine.devices[1], machine.devices[2]);  // file order is not address order
    ASSERT_EQ(place(machine), std::nullopt);
    machine.devices[2].functions[1].vf_index = 0;
    EXPECT_EQ(sysfs_name(machine, machine.devices[0].functions[0]), "gpu0");
    EXPECT_EQ(sysfs_name(machine, machine.devices[2].functions[0]), "gpu1");
    EXPECT_EQ(sysfs_name(machine, machine.devices[2].functions[1]), "gpu1_vf0");
    EXPECT_EQ(sysfs_name(machine, machine.devices[1].functions[0]), "gpu2");
}

}  // namespace
}  // namespace mimic::topology
