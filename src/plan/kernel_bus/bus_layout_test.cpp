// SPDX-License-Identifier: Apache-2.0
#include "kernel_bus/bus_layout.h"
#include "devices/all_models.h"

#include <gtest/gtest.h>

#include <set>

#include "topology/topology.h"

namespace mimic::kernel_bus {
namespace {

topology::Model parse(const std::string& text) {
    auto model = topology::parse("version: 1\nmachine:\n  name: m\n" + text, "test.yaml",
                                 devices::all_models());
    EXPECT_TRUE(model.has_value());
    return model ? std::move(*model) : topology::Model{};
}

BusLayout lay_out(const topology::Model& model, unsigned vfs = 0) {
    auto layout = make_layout(model.machines.at(0), vfs);
    EXPECT_TRUE(layout) << layout.error().message();
    return layout ? std::move(*layout) : BusLayout{};
}

const Node& node_at(const BusLayout& layout, const std::string& name) {
    for (const Node& node : layout.nodes) {
        if (node.name == name) return node;
    }
    ADD_FAILURE() << "no " << name;
    return layout.nodes.front();
}

constexpr const char* kSwitches = R"(  numa: [{ cpus: 1, memory: 128M }, { cpus: 1, memory: 128M }]
  switches: [{ name: s0, numa_node: 1, acs: false }]
  devices:
    - { name: a, model: mock-accel, switch: s0, memory_bar: 4M }
    - { name: b, model: mock-accel, switch: s0, memory_bar: 64M }
    - name: c
      model: mock-accel
      sriov: native
      numa_node: 1
      vfs: { count: 8, memory_bar: 64K }
    - { name: d, model: mock-accel, numa_node: 0, vfs: { count: 3 } }
)";

TEST(BusLayout, ParentsComeBeforeChildren) {
    const auto model = parse(kSwitches);
    const BusLayout layout = lay_out(model, 8);
    std::set<size_t> seen;
    for (size_t i = 0; i < layout.nodes.size(); ++i) {
        if (const auto parent = layout.nodes[i].parent) {
            EXPECT_TRUE(seen.contains(*parent));
        }
        if (const auto vmd = layout.vmd_of(layout.nodes[i])) {
            EXPECT_TRUE(seen.contains(*vmd));
        }
        seen.insert(i);
    }
}

TEST(BusLayout, ResourcesAreAlignedDisjointAndInsideTheWindowAbove) {
    const auto model = parse(kSwitches);
    const BusLayout layout = lay_out(model, 8);
    size_t bars = 0;
    for (const Node& node : layout.nodes) {
        for (size_t i = 0; i < node.resources.size(); ++i) {
            const Resource& resource = node.resources[i];
            if (resource.flags == 0) continue;
            ++bars;
            const bool high = (resource.flags & kResourcePrefetch) != 0;
            EXPECT_EQ(resource.start % (i < kFirstVfBar ? resource.size() : 4096), 0u) << node.name;
            if (!node.parent) continue;
            const Node& port = layout.nodes[*node.parent];
            const Resource& window = port.resources[high ? kPrefetchWindow : kMemoryWindow];
            EXPECT_GE(resource.start, window.start) << node.name << " " << i;
            EXPECT_LE(resource.end, window.end) << node.name << " " << i;
            for (const Node& other : layout.nodes) {
                if (&other == &node || other.parent != node.parent || other.is_virtual() ||
                    node.is_virtual()) {
                    continue;
                }
                for (const Resource& theirs : other.resources) {
                    if (theirs.flags == 0) continue;
                    EXPECT_TRUE(theirs.end < resource.start || theirs.start > resource.end)
                        << node.name << " " << other.name;
                }
            }
        }
    }
    EXPECT_GT(bars, 20u);
}

TEST(BusLayout, AFabricLiesInTheBarsOfItsEndpoint) {
    const auto model = parse(kSwitches);
    const BusLayout layout = lay_out(model);
    const Node& port = node_at(layout, "s0.port");
    const Node& vmd = layout.nodes[*layout.vmd_of(port)];
    EXPECT_EQ(vmd.kind, NodeKind::kVmd);
    EXPECT_GE(port.resources[kMemoryWindow].start, vmd.resources[2].start);
    EXPECT_LE(port.resources[kMemoryWindow].end, vmd.resources[2].end);
    EXPECT_GE(port.resources[kPrefetchWindow].start, vmd.resources[4].start + 0x2000);
    EXPECT_LE(port.resources[kPrefetchWindow].end, vmd.resources[4].end);
}

TEST(BusLayout, VfsShareTheVfBarsOfTheirPf) {
    const auto model = parse(kSwitches);
    const BusLayout layout = lay_out(model, 3);
    const Node& pf = node_at(layout, "c");
    EXPECT_EQ(pf.enabled_vfs, 3u);
    EXPECT_EQ(pf.resources[kFirstVfBar + 2].size(), 8u * 0x10000);
    const Node& vf = node_at(layout, "c-vf2");
    EXPECT_EQ(vf.resources[2].start, pf.resources[kFirstVfBar + 2].start + 2 * 0x10000);
    EXPECT_EQ(vf.resources[0].size(), 4096u);
    // Those that are not enabled are not there; static ones are.
    for (const Node& node : layout.nodes) EXPECT_NE(node.name, "c-vf3");
    EXPECT_EQ(node_at(layout, "d-vf2").kind, NodeKind::kVf);
    EXPECT_TRUE(node_at(layout, "d-vf2").multifunction);
    EXPECT_FALSE(vf.multifunction);
}

TEST(BusLayout, GroupsAreAsAccessControlServicesSay) {
    const auto model = parse(kSwitches);
    const BusLayout layout = lay_out(model, 8);
    const auto group = [&](const std::string& name) { return node_at(layout, name).iommu_group; };
    // Downstream ports without ACS: what is below one joins its group.
    EXPECT_EQ(group("a"), group("a.port"));
    EXPECT_EQ(group("b"), group("b.port"));
    // A root port with ACS: PF and VFs have groups of their own.
    EXPECT_NE(group("c"), group("c.port"));
    EXPECT_NE(group("c"), group("c-vf0"));
    EXPECT_NE(group("c-vf0"), group("c-vf1"));
    // Functions of one device without ACS share.
    EXPECT_EQ(group("d"), group("d-vf0"));
    EXPECT_EQ(group("d"), group("d-vf2"));
}

TEST(BusLayout, AnEmptySlotHasNoDeviceAndNoLink) {
    const auto model = parse(
        "  devices: [{ name: a, model: mock-accel, hotplug: true, plugged: "
        "false }]\n");
    const BusLayout layout = lay_out(model);
    EXPECT_FALSE(node_at(layout, "a.port").link_up);
    for (const Node& node : layout.nodes) EXPECT_NE(node.name, "a");
}

/// A clone with a BAR of each kind, a ROM, and SR-IOV at 0x100 with 4 VFs.
constexpr const char* kClone = R"(  devices:
    - name: r
      model: clone
      attach: fabric
      rom: 64K
      bars:
        - { index: 0, type: memory64, prefetchable: true, size: 2M }
        - { index: 2, type: io, size: 32 }
        - { index: 3, type: memory32, size: 16K }
      config: |
        00: 34 12 78 56 00 00 10 00 01 00 00 02 00 00 00 00
        10: 0c 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00
        30: 00 00 00 00 40 00 00 00 00 00 00 00 00 00 00 00
        40: 10 00 02 00 00 00 00 00 00 00 00 00 11 00 00 00
        100: 10 00 01 00 00 00 00 00 00 00 00 00 04 00 04 00
        110: 00 00 00 00 80 00 02 00 00 00 79 56 53 05 00 00
        120: 01 00 00 00 04 00 00 00 00 00 00 00 00 00 00 00
        ff0: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
      vf_bars:
        - { index: 0, type: memory64, size: 16K }
)";

TEST(BusLayout, ClonesHaveTheirResourcesButNoIo) {
    const auto model = parse(kClone);
    const BusLayout layout = lay_out(model, 4);
    const Node& node = node_at(layout, "r");
    EXPECT_TRUE(node.is_clone());
    EXPECT_EQ(node.enabled_vfs, 0U);
    EXPECT_EQ(node.resources[0].size(), 2U << 20);
    EXPECT_EQ(node.resources[2].flags, 0U);
    EXPECT_EQ(node.resources[3].size(), 16U << 10);
    EXPECT_EQ(node.resources[kRom].size(), 64U << 10);
    EXPECT_EQ(node.resources[kRom].flags, 0x46200U);  // as pci_read_bases() of Linux 6.1
    EXPECT_EQ(node.resources[kFirstVfBar].size(), 4U * (16U << 10));
    const Node& port = layout.nodes[*node.parent];
    for (const size_t low : {size_t{3}, kRom, kFirstVfBar}) {
        EXPECT_GE(node.resources[low].start, port.resources[kMemoryWindow].start);
        EXPECT_LE(node.resources[low].end, port.resources[kMemoryWindow].end);
    }
}

TEST(BusLayout, AnExternalServerIsRefused) {
    const auto model = parse("  devices: [{ name: d, model: external, socket: /s }]\n");
    const auto layout = make_layout(model.machines.at(0), 0);
    ASSERT_FALSE(layout);
    EXPECT_EQ(layout.error().code(), std::errc::not_supported);
    EXPECT_TRUE(layout.error().message().starts_with("d: an external server"));
}

}  // namespace
}  // namespace mimic::kernel_bus
