// SPDX-License-Identifier: Apache-2.0
// Fabrics: addresses of known shapes, and over many random trees what a PCI domain demands of its
// bus numbers, slots and windows.
#include "topology/fabric_placement.h"
#include "devices/all_models.h"

#include <bit>
#include <map>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/placement.h"
#include "topology/topology.h"

namespace mimic::topology {
namespace {

Machine parsed(const std::string& body) {
    auto model = parse("version: 1\nmachine:\n  name: m\n" + body, "test.yaml",
                       devices::all_models());
    EXPECT_TRUE(model) << model.error().str();
    return model ? std::move(model->machines[0]) : Machine{};
}

const DeviceSpec& device_of(const Machine& machine, std::string_view name) {
    for (const DeviceSpec& device : machine.devices) {
        if (device.name == name) return device;
    }
    ADD_FAILURE() << "no device " << name;
    return machine.devices.front();
}

std::string bdf_of(const Machine& machine, std::string_view function) {
    const FunctionSpec* found = machine.find_function(function);
    return found ? found->bdf.str() : "nothing";
}

/// What the PCI specifications and Linux demand of a domain.
void expect_valid(const Machine& machine, const FabricSpec& fabric) {
    std::set<Bdf> addresses;
    std::set<std::string> names;
    std::map<unsigned, size_t> owner;  // of a secondary bus
    for (size_t i = 0; i < fabric.ports.size(); ++i) {
        const PortSpec& port = fabric.ports[i];
        SCOPED_TRACE(port.name);
        EXPECT_TRUE(addresses.insert(port.bdf).second);
        EXPECT_TRUE(names.insert(port.name).second);
        EXPECT_TRUE(owner.emplace(port.secondary_bus, i).second);
        EXPECT_EQ(port.bdf.domain, fabric.domain);
        EXPECT_GT(port.secondary_bus, port.bdf.bus);
        EXPECT_GE(port.subordinate_bus, port.secondary_bus);
        EXPECT_LT(port.subordinate_bus, fabric.buses);
        EXPECT_EQ(port.kind == PortSpec::Kind::kRootPort, !port.parent.has_value());
        EXPECT_EQ(port.slot != 0, port.device.has_value());
        if (!port.parent) {
            EXPECT_EQ(port.bdf.bus, 0);
            continue;
        }
        ASSERT_LT(*port.parent, i);
        const PortSpec& above = fabric.ports[*port.parent];
        EXPECT_EQ(port.bdf.bus, above.secondary_bus);
        EXPECT_LE(port.subordinate_bus, above.subordinate_bus);
        const bool inside = port.kind == PortSpec::Kind::kSwitchDownstream;
        EXPECT_EQ(above.kind == PortSpec::Kind::kSwitchUpstream, inside);
    }
    for (const PortSpec& port : fabric.ports) {
        if (!port.device) continue;
        const DeviceSpec& device = machine.devices[*port.device];
        EXPECT_EQ(machine.port_above(device), port.bdf);
        for (const FunctionSpec& function : device.functions) {
            SCOPED_TRACE(function.name);
            EXPECT_TRUE(addresses.insert(function.bdf).second);
            EXPECT_GE(function.bdf.bus, port.secondary_bus);
            EXPECT_LE(function.bdf.bus, port.subordinate_bus);
            if (device.ari || !function.is_vf()) {
                EXPECT_EQ(function.bdf.bus, port.secondary_bus);
            }
            if (!function.is_vf()) {
                EXPECT_EQ(function.bdf.device * 8 + function.bdf.function, 0);
            }
        }
    }
    for (const uint64_t size :
         {fabric.config_bar_size, fabric.memory32_bar_size, fabric.memory64_bar_size}) {
        EXPECT_TRUE(std::has_single_bit(size));
    }
    EXPECT_GE(fabric.config_bar_size, uint64_t{fabric.buses} << 20);
    EXPECT_LE(fabric.buses, kBusesPerDomain);
}

TEST(FabricPlacement, VfsFollowThePfWithAriAndTakeABusWithout) {
    const Machine machine = parsed(
        "  devices:\n"
        "    - {name: a, model: mock-accel, sriov: native, vfs: {count: 64}}\n"
        "    - {name: b, model: mock-accel, sriov: native, ari: false, vfs: {count: 64}}\n"
        "    - {name: c, model: mock-accel, attach: fabric, ari: false}\n"
        "    - {name: d, model: mock-accel, attach: fabric}\n");
    EXPECT_EQ(bdf_of(machine, "a"), "10000:01:00.0");
    EXPECT_EQ(bdf_of(machine, "a-vf0"), "10000:01:00.1");
    EXPECT_EQ(bdf_of(machine, "a-vf7"), "10000:01:01.0");
    EXPECT_EQ(bdf_of(machine, "a-vf63"), "10000:01:08.0");
    EXPECT_EQ(bdf_of(machine, "b"), "10000:02:00.0");
    EXPECT_EQ(bdf_of(machine, "b-vf0"), "10000:03:00.0");
    EXPECT_EQ(bdf_of(machine, "b-vf63"), "10000:03:07.7");
    EXPECT_EQ(bdf_of(machine, "c"), "10000:04:00.0");
    EXPECT_EQ(bdf_of(machine, "d"), "10000:05:00.0");
    EXPECT_EQ(machine.fabrics.at(0).ports.at(1).subordinate_bus, 3);
    EXPECT_EQ(machine.find_function("a")->total_vfs, 64u);
}

TEST(FabricPlacement, SwitchesComeBeforeDevicesAndNumberDepthFirst) {
    const Machine machine = parsed(
        "  switches:\n"
        "    - {name: inner, parent: outer}\n"
        "    - {name: outer}\n"
        "  devices:\n"
        "    - {name: direct, model: mock-accel, attach: fabric}\n"
        "    - {name: middle, model: mock-accel, switch: outer}\n"
        "    - {name: deep, model: mock-accel, switch: inner}\n");
    // bus 1: outer.up; 2: its downstream ports; 3: inner.up; 4: its port; 5: deep; 6: middle.
    EXPECT_EQ(bdf_of(machine, "deep"), "10000:05:00.0");
    EXPECT_EQ(bdf_of(machine, "middle"), "10000:06:00.0");
    EXPECT_EQ(bdf_of(machine, "direct"), "10000:07:00.0");
    EXPECT_EQ(machine.port_above(device_of(machine, "deep")).str(), "10000:04:00.0");
    EXPECT_EQ(machine.port_above(device_of(machine, "middle")).str(), "10000:02:01.0");
    EXPECT_EQ(machine.port_above(device_of(machine, "direct")).str(), "10000:00:01.0");
    EXPECT_EQ(machine.fabrics.at(0).buses, 8u);
}

TEST(FabricPlacement, DomainsFollowTheAddressesOfTheEndpoints) {
    const Machine machine = parsed(
        "  numa: [{cpus: 1, memory: 128M}, {cpus: 1, memory: 128M}]\n"
        "  switches: [{name: sw, numa_node: 0}]\n"
        "  devices:\n"
        "    - {name: far, model: mock-accel, hotplug: true, numa_node: 1}\n"
        "    - {name: flat, model: mock-accel, numa_node: 1}\n"
        "    - {name: near, model: mock-accel, switch: sw}\n"
        "    - {name: loose, model: mock-accel, attach: fabric}\n");
    ASSERT_EQ(machine.fabrics.size(), 3u);
    EXPECT_EQ(machine.fabrics[0].name, "fabric");
    EXPECT_EQ(machine.fabrics[1].name, "fabric0");
    EXPECT_EQ(machine.fabrics[2].name, "fabric1");
    EXPECT_EQ(machine.fabrics[0].bdf.str(), "0000:01:00.0");
    EXPECT_EQ(machine.fabrics[1].bdf.str(), "0000:11:00.0");
    EXPECT_EQ(bdf_of(machine, "flat"), "0000:21:00.0") << "endpoints come before the fabric";
    EXPECT_EQ(machine.fabrics[2].bdf.str(), "0000:22:00.0");
    EXPECT_EQ(bdf_of(machine, "loose"), "10000:01:00.0");
    EXPECT_EQ(bdf_of(machine, "near"), "10001:03:00.0");
    EXPECT_EQ(bdf_of(machine, "far"), "10002:01:00.0");
    EXPECT_EQ(device_of(machine, "near").numa_node, 0u);
}

TEST(FabricPlacement, SlotNumbersAvoidThoseThatAreGiven) {
    const Machine machine = parsed(
        "  devices:\n"
        "    - {name: flat, model: mock-accel}\n"
        "    - {name: one, model: mock-accel, slot: 1}\n"
        "    - {name: any, model: mock-accel, attach: fabric}\n"
        "    - {name: three, model: mock-accel, slot: 3}\n");
    EXPECT_EQ(device_of(machine, "flat").port.slot, 2u);
    EXPECT_EQ(device_of(machine, "one").slot, 1u);
    EXPECT_EQ(device_of(machine, "three").slot, 3u);
    EXPECT_EQ(machine.fabrics.at(0).port.slot, 4u);
    EXPECT_EQ(device_of(machine, "any").slot, 5u);
    EXPECT_EQ(machine.fabrics[0].ports.at(1).slot, 5u);
}

TEST(FabricPlacement, AcsOfASwitchIsThatOfItsDownstreamPorts) {
    const Machine machine = parsed(
        "  switches: [{name: sw, acs: false}]\n"
        "  devices:\n"
        "    - {name: a, model: mock-accel, switch: sw}\n"
        "    - {name: b, model: mock-accel, switch: sw, acs: true}\n"
        "    - {name: c, model: mock-accel, attach: fabric, acs: false, ari: false}\n");
    std::map<std::string, const PortSpec*> ports;
    for (const PortSpec& port : machine.fabrics.at(0).ports) ports[port.name] = &port;
    EXPECT_TRUE(ports.at("sw.port")->acs);
    EXPECT_FALSE(ports.at("sw.up")->acs);
    EXPECT_FALSE(ports.at("sw.up")->ari);
    EXPECT_FALSE(ports.at("a.port")->acs);
    EXPECT_TRUE(ports.at("b.port")->acs);
    EXPECT_FALSE(ports.at("c.port")->acs);
    EXPECT_TRUE(ports.at("b.port")->ari);
    EXPECT_FALSE(ports.at("c.port")->ari);
}

TEST(FabricPlacement, WindowsGrowWithWhatIsBelow) {
    const auto sizes = [](const std::string& device) {
        const Machine machine = parsed(
            "  devices:\n    - {name: \"d{index}\", model: mock-accel, " + device + "}\n");
        const FabricSpec& fabric = machine.fabrics.at(0);
        return std::tuple(fabric.config_bar_size >> 20, fabric.memory32_bar_size >> 20,
                          fabric.memory64_bar_size >> 20);
    };
    EXPECT_EQ(sizes("attach: fabric"), std::tuple(32u, 32u, 64u));
    EXPECT_EQ(sizes("attach: fabric, count: 31"), std::tuple(32u, 64u, 64u));
    EXPECT_EQ(sizes("attach: fabric, count: 32"), std::tuple(64u, 64u, 64u));
    EXPECT_EQ(sizes("hotplug: true, count: 32"), std::tuple(64u, 256u, 256u));
    EXPECT_EQ(sizes("attach: fabric, memory_bar: 1G"), std::tuple(32u, 32u, 4096u));
    // 8 KiB of PFs and VFs need one MiB; 64 VFs of 2 MiB and the PF's 1 MiB need 130.
    EXPECT_EQ(sizes("sriov: native, memory_bar: 1M, vfs: {count: 64, memory_bar: 2M}"),
              std::tuple(32u, 32u, 512u));
    EXPECT_EQ(sizes("attach: fabric, count: 255"), std::tuple(256u, 512u, 64u));
}

TEST(FabricPlacement, SysfsNumbersSkipWhatIsNotPlugged) {
    const Machine machine = parsed(
        "  devices:\n"
        "    - {name: empty, model: mock-accel, hotplug: true, plugged: false}\n"
        "    - {name: pf, model: mock-accel, sriov: native, vfs: {count: 20}}\n"
        "    - {name: flat, model: mock-accel}\n");
    const auto name = [&](std::string_view function) {
        return sysfs_name(machine, *machine.find_function(function));
    };
    EXPECT_EQ(name("flat"), "mock0");
    EXPECT_EQ(name("pf"), "mock1");
    EXPECT_EQ(name("pf-vf19"), "mock1_vf19") << "on another device number than its PF";
    EXPECT_EQ(name("empty"), "mock2");
}

TEST(FabricPlacement, DeepestAndWidestTreesFit) {
    // 127 nested switches take 254 buses, bus 0 and the device the other two.
    std::string deep = "  switches:\n    - {name: s0}\n";
    for (unsigned i = 1; i < 127; ++i) {
        deep += "    - {name: s" + std::to_string(i) + ", parent: s" + std::to_string(i - 1) +
                "}\n";
    }
    deep += "  devices:\n    - {name: d, model: mock-accel, switch: s126}\n";
    const Machine machine = parsed(deep);
    EXPECT_EQ(bdf_of(machine, "d"), "10000:ff:00.0");
    expect_valid(machine, machine.fabrics.at(0));
    const Machine wide = parsed(
        "  switches: [{name: sw}]\n"
        "  devices: [{name: \"d{index}\", model: mock-accel, switch: sw, count: 253}]\n");
    EXPECT_EQ(bdf_of(wide, "d252"), "10000:ff:00.0");
    EXPECT_EQ(wide.port_above(wide.devices[9]).str(), "10000:02:01.1") << "eight share a number";
    expect_valid(wide, wide.fabrics.at(0));
}

/// A machine of random switches and devices, as the readers would make it.
Machine random_machine(std::mt19937& random) {
    Machine machine;
    machine.name = "m";
    machine.nodes.resize(1 + random() % 3);
    machine.has_numa = true;
    const size_t switches = random() % 30;
    for (size_t i = 0; i < switches; ++i) {
        SwitchSpec one{.name = "s" + std::to_string(i), .numa_node = {}, .parent = {}, .link = {}};
        if (i > 0 && random() % 2 == 0) {
            one.parent = random() % i;
            one.numa_node = machine.switches[*one.parent].numa_node;
        } else if (random() % 3 != 0) {
            one.numa_node = static_cast<unsigned>(random() % machine.nodes.size());
        }
        machine.switches.push_back(one);
    }
    const size_t devices = random() % 200;
    for (size_t i = 0; i < devices; ++i) {
        DeviceSpec device;
        device.name = "d" + std::to_string(i);
        device.on_fabric = random() % 8 != 0;
        device.ari = random() % 4 != 0;
        device.hotplug = random() % 4 == 0;
        device.native_sriov = device.on_fabric && random() % 2 == 0;
        if (device.on_fabric && switches > 0 && random() % 2 == 0) {
            device.parent_switch = random() % switches;
            device.numa_node = machine.switches[*device.parent_switch].numa_node;
        } else {
            device.numa_node = static_cast<unsigned>(random() % machine.nodes.size());
        }
        device.functions.resize(device.native_sriov ? 2 + random() % 64 : 1);
        for (size_t f = 1; f < device.functions.size(); ++f) {
            device.functions[f].vf_index = static_cast<uint32_t>(f - 1);
        }
        machine.devices.push_back(std::move(device));
    }
    return machine;
}

TEST(FabricPlacement, RandomTreesAreValidOrRefused) {
    std::mt19937 random(20261121);
    unsigned placed = 0;
    for (unsigned round = 0; round < 200; ++round) {
        Machine machine = random_machine(random);
        if (place(machine)) continue;
        ++placed;
        std::set<unsigned> slots;
        for (const FabricSpec& fabric : machine.fabrics) {
            expect_valid(machine, fabric);
            EXPECT_TRUE(slots.insert(fabric.port.slot).second);
        }
        for (const DeviceSpec& device : machine.devices) {
            EXPECT_EQ(device.fabric.has_value(), device.on_fabric);
            EXPECT_TRUE(slots.insert(device.slot).second);
        }
        if (HasFailure()) FAIL() << "round " << round;
    }
    EXPECT_GT(placed, 80u);
}

}  // namespace
}  // namespace mimic::topology
