// SPDX-License-Identifier: Apache-2.0
// A fabric as a whole: what may be built, messages and DMA on their way up, slots and links,
// resets, power.
#include "pci/fabric/fabric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "pci/testing/fabric.h"

namespace mimic::pci {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using T = TestTree;

class FabricTest : public testing::Test {
protected:
    uint16_t slot_status(Port& port, uint32_t rid) {
        return guest.config<uint16_t>(rid, port.pcie_capability() + regs::SLTSTA);
    }
    void clear_slot_events(Port& port, uint32_t rid) {
        guest.set_config<uint16_t>(rid, port.pcie_capability() + regs::SLTSTA, 0xffff);
    }
    bool link_active(Port& port) {
        return (port.config().u16(port.pcie_capability() + regs::LNKSTA) &
                regs::LNKSTA_DLL_ACTIVE) != 0;
    }

    TestTree tree;
    Guest& guest = tree.guest;
};

// Presence and link of every function, as an observer is told them.
std::map<std::string, std::pair<bool, bool>> places(Fabric& fabric) {
    std::map<std::string, std::pair<bool, bool>> found;
    fabric.for_each_place([&](Function& function, const Fabric::Place& place) {
        found[function.name()] = {place.present, place.link_up.value_or(true)};
    });
    return found;
}

// --- Building --------------------------------------------------------------------------------

TEST(FabricBuildTest, RefusesTreesThatCannotBe) {
    Fabric fabric(16);
    auto rp = fabric.add_bridge(nullptr, 8, {.name = "rp"}, 1, 4);
    ASSERT_TRUE(rp);
    EXPECT_FALSE(fabric.add_bridge(nullptr, 8, {.name = "x"}, 5, 5)) << "a taken number";
    EXPECT_FALSE(fabric.add_bridge(nullptr, 16, {.name = "rp"}, 5, 5)) << "a taken name";
    EXPECT_FALSE(fabric.add_bridge(nullptr, 16, {.name = "x"}, 5, 16)) << "too many buses";
    EXPECT_FALSE(fabric.add_bridge(nullptr, 16, {.name = "x"}, 0, 4)) << "bus 0 is taken";
    EXPECT_FALSE(fabric.add_bridge(nullptr, 16, {.name = "x"}, 6, 5)) << "inverted";
    EXPECT_FALSE(fabric.add_bridge(*rp, 0, {.name = "x"}, 2, 3)) << "a root port below one";
    const PortOptions up = {.name = "up", .type = PciePortType::kUpstreamPort};
    EXPECT_FALSE(fabric.add_bridge(*rp, 1, up, 2, 3)) << "function 1 of a link";
    EXPECT_FALSE(fabric.add_bridge(*rp, 0, up, 2, 5)) << "beyond the port above";
    EXPECT_FALSE(fabric.add_function(*rp, 0, TestDevice::create({}), false)) << "no hot-plug slot";
    auto made = fabric.add_bridge(*rp, 0, up, 2, 4);
    ASSERT_TRUE(made);
    EXPECT_FALSE(fabric.add_function(*made, 0, TestDevice::create({}))) << "inside a switch";
    Fabric other(16);
    EXPECT_FALSE(other.add_function(*rp, 0, TestDevice::create({}))) << "another fabric's port";
}

TEST_F(FabricTest, FindsFunctionsByName) {
    guest.open_vfs(*tree.pf, T::kPf, 2, T::kVfBar0);
    EXPECT_EQ(tree.fabric.find("a"), tree.a);
    EXPECT_EQ(tree.fabric.find("down1"), tree.down1);
    EXPECT_EQ(tree.fabric.find("pf-vf1"), &tree.pf->vf(1));
    EXPECT_EQ(tree.fabric.find("nobody"), nullptr);
}

// --- Messages --------------------------------------------------------------------------------

TEST_F(FabricTest, MessageFiresTheVectorInItsAddress) {
    guest.open_msix(*tree.a, T::kA, T::kABar0, 12);
    tree.a->raise_msix(3);
    EXPECT_THAT(tree.host.take(), ElementsAre(15));
}

TEST_F(FabricTest, VectorThatTheHostLacksIsDropped) {
    guest.open_msix(*tree.a, T::kA, T::kABar0, 13);
    tree.a->raise_msix(3);
    EXPECT_THAT(tree.host.take(), IsEmpty());
    EXPECT_EQ(tree.fabric.counters().dropped_messages, 1u);
}

TEST_F(FabricTest, BusMasterOffAtAnyLevelStopsMessagesAndDma) {
    guest.open_msix(*tree.a, T::kA, T::kABar0, 0);
    for (const uint32_t port : {T::kRp1, T::kUp, T::kDown0}) {
        guest.clear_bits(port, regs::COMMAND, regs::COMMAND_BUS_MASTER);
        tree.a->raise_msix(0);
        EXPECT_THAT(tree.host.take(), IsEmpty()) << port;
        EXPECT_FALSE(tree.a->dma()->span(0, 16, memory::DmaAccess::kRead)) << port;
        guest.set_bits(port, regs::COMMAND, regs::COMMAND_BUS_MASTER);
    }
    guest.clear_bits(T::kA, regs::COMMAND, regs::COMMAND_BUS_MASTER);
    tree.a->raise_msix(0);
    EXPECT_EQ(tree.a->dma(), nullptr);
    EXPECT_THAT(tree.host.take(), IsEmpty());
    guest.set_bits(T::kA, regs::COMMAND, regs::COMMAND_BUS_MASTER);
    tree.a->raise_msix(0);
    EXPECT_THAT(tree.host.take(), ElementsAre(0));
    EXPECT_TRUE(tree.a->dma()->span(0, 16, memory::DmaAccess::kRead));
}

TEST_F(FabricTest, MessageToMemoryIsAWrite) {
    guest.open_msix(*tree.a, T::kA, T::kABar0, 0);
    guest.store<uint64_t>(T::kABar0, 0x2000);
    guest.store<uint32_t>(T::kABar0 + 8, 0xcafe'f00d);
    tree.a->raise_msix(0);
    EXPECT_EQ(tree.host.memory.get<uint32_t>(0x2000), 0xcafe'f00du);
    guest.store<uint64_t>(T::kABar0, ~uint64_t{3});
    tree.a->raise_msix(0);  // nobody there
    guest.store<uint64_t>(T::kABar0, T::kBBar0);
    tree.a->raise_msix(0);
    EXPECT_EQ(tree.b->writes, 0u) << "not to a peer";
}

// --- Peer to peer ----------------------------------------------------------------------------

TEST_F(FabricTest, DmaToAPeersBarReachesIt) {
    std::vector<std::byte> got;
    tree.b->memory[5] = 0x77;
    tree.a->dma()->read(T::kBBar0 + TestDevice::kRegisters, 16,
                        [&](Result<std::span<const std::byte>> data) {
                            ASSERT_TRUE(data);
                            got.assign(data->begin(), data->end());
                        });
    ASSERT_EQ(got.size(), 16u);
    EXPECT_EQ(got[5], std::byte{0x77});
    bool done = false;
    tree.a->dma()->write(T::kBBar0 + TestDevice::kRegisters, std::array{std::byte{9}},
                         [&](Status status) { done = status.has_value(); });
    EXPECT_TRUE(done);
    EXPECT_EQ(tree.b->memory[0], 9);
    EXPECT_EQ(tree.fabric.counters().peer_to_peer, 2u);
}

TEST_F(FabricTest, DmaThatRunsOutOfItsPeerTouchesNobody) {
    const std::vector<std::byte> data(0x2'0000);
    bool failed = false;
    tree.a->dma()->write(T::kBBar0 + TestDevice::kRegisters, data,
                         [&](Status status) { failed = !status.has_value(); });
    EXPECT_TRUE(failed);
    EXPECT_EQ(tree.b->writes, 0u);
    EXPECT_FALSE(tree.a->dma()->span(T::kBBar0, 16, memory::DmaAccess::kRead)) << "it is no memory";
}

TEST_F(FabricTest, PeersThatBegetEachOthersWritesEnd) {
    int depth = 0;
    const auto write = [&](TestDevice& from, uint64_t to) {
        from.dma()->write(to + TestDevice::kRegisters, std::array{std::byte{1}}, [](Status) {});
    };
    tree.b->on_bar_write = [&] { ++depth, write(*tree.b, T::kABar0); };
    tree.a->on_bar_write = [&] { ++depth, write(*tree.a, T::kBBar0); };
    guest.store<uint32_t>(T::kABar0 + TestDevice::kRegisters, 1);
    EXPECT_GT(depth, 2);
    EXPECT_LT(depth, 16);
}

// --- Slots and links -------------------------------------------------------------------------

TEST_F(FabricTest, UnplugHidesTheDeviceAndSetsEvents) {
    clear_slot_events(*tree.rp0, T::kRp0);
    tree.pf->resets.clear();
    ASSERT_TRUE(tree.fabric.unplug("pf"));
    EXPECT_EQ(guest.config(T::kPf, 0), ~0u);
    EXPECT_EQ(guest.load(T::kPfBar0 + TestDevice::kRegisters), ~0u);
    EXPECT_EQ(slot_status(*tree.rp0, T::kRp0),
              regs::SLTSTA_PRESENCE_CHANGED | regs::SLTSTA_DLL_STATE_CHANGED);
    EXPECT_FALSE(link_active(*tree.rp0));
    EXPECT_THAT(tree.pf->resets, ElementsAre(ResetKind::kConventional));
    EXPECT_FALSE(tree.fabric.unplug("pf")) << "the slot is empty";
}

TEST_F(FabricTest, PlugBringsTheDeviceBackFresh) {
    tree.pf->report_error({.bit = regs::AER_MALFORMED_TLP});
    ASSERT_TRUE(tree.fabric.unplug("pf"));
    clear_slot_events(*tree.rp0, T::kRp0);
    ASSERT_TRUE(tree.fabric.plug("pf"));
    EXPECT_EQ(slot_status(*tree.rp0, T::kRp0), regs::SLTSTA_PRESENCE |
                                                   regs::SLTSTA_PRESENCE_CHANGED |
                                                   regs::SLTSTA_DLL_STATE_CHANGED);
    EXPECT_EQ(guest.config<uint16_t>(T::kPf, regs::DEVICE_ID), 0x0001);
    EXPECT_EQ(guest.config<uint16_t>(T::kPf, regs::COMMAND), 0);
    EXPECT_EQ(guest.config(T::kPf, tree.aer_cap(*tree.pf) + regs::AER_UNCORRECTABLE_STATUS), 0u);
    EXPECT_FALSE(tree.fabric.plug("pf")) << "it is there";
}

TEST_F(FabricTest, EmptySlotFillsWhenPlugged) {
    EXPECT_EQ(guest.config(0x1100, 0), ~0u);
    EXPECT_FALSE(slot_status(*tree.rp2, T::kRp2) & regs::SLTSTA_PRESENCE);
    EXPECT_FALSE(link_active(*tree.rp2));
    ASSERT_TRUE(tree.fabric.plug("spare"));
    EXPECT_EQ(guest.config<uint16_t>(0x1100, regs::DEVICE_ID), 0x0001);
    EXPECT_TRUE(link_active(*tree.rp2));
}

TEST_F(FabricTest, HotPlugInterruptsThroughThePortsMsi) {
    guest.open_msi(*tree.rp2, T::kRp2, 5);
    guest.set_config<uint16_t>(
        T::kRp2, tree.rp2->pcie_capability() + regs::SLTCTL,
        regs::SLTCTL_EVENTS | regs::SLTCTL_HOT_PLUG_INTERRUPT | regs::SLTCTL_DLL_STATE_CHANGED);
    clear_slot_events(*tree.rp2, T::kRp2);
    ASSERT_TRUE(tree.fabric.plug("spare"));
    EXPECT_THAT(tree.host.take(), ElementsAre(5));
}

TEST(FabricPlaceTest, SwitchTakesAlongWhatIsBehindIt) {
    Fabric fabric(16);
    FakeHost host;
    const auto type = [](PciePortType is, const char* name) {
        return PortOptions{.name = name, .type = is};
    };
    Port* const rp =
        fabric.add_bridge(nullptr, 8, {.name = "rp", .slot = 1, .hot_plug = true}, 1, 8).value();
    Port* const up = fabric.add_bridge(rp, 0, type(PciePortType::kUpstreamPort, "up"), 2, 8)
                         .value();
    Port* const down = fabric.add_bridge(up, 0, type(PciePortType::kDownstreamPort, "down"), 3, 8)
                           .value();
    ASSERT_TRUE(fabric.add_function(down, 0, TestDevice::create({.name = "gpu"})));
    fabric.attach(host);

    ASSERT_TRUE(fabric.unplug("rp"));
    const std::pair in{true, true}, out{false, false}, port{true, false};
    EXPECT_EQ(places(fabric), (std::map<std::string, std::pair<bool, bool>>{
                                  {"rp", port}, {"up", out}, {"down", out}, {"gpu", out}}));
    ASSERT_TRUE(fabric.plug("rp"));
    EXPECT_EQ(places(fabric), (std::map<std::string, std::pair<bool, bool>>{
                                  {"rp", in}, {"up", in}, {"down", in}, {"gpu", in}}));
    ASSERT_TRUE(fabric.set_link("rp", false));
    EXPECT_EQ(places(fabric), (std::map<std::string, std::pair<bool, bool>>{
                                  {"rp", port}, {"up", port}, {"down", in}, {"gpu", in}}))
        << "a link that is down takes nothing out of its slot";
    fabric.detach();
}

TEST_F(FabricTest, UnplugNeedsASlot) {
    EXPECT_FALSE(tree.fabric.unplug("a"));
    EXPECT_FALSE(tree.fabric.unplug("nobody"));
    EXPECT_FALSE(tree.fabric.plug("nobody"));
    EXPECT_FALSE(tree.fabric.plug("a"));
    EXPECT_EQ(guest.config<uint16_t>(T::kA, regs::DEVICE_ID), 0x0001);
}

TEST_F(FabricTest, LinkDownIsASurpriseWhereNoSlotExpectsIt) {
    const uint32_t status = tree.aer_cap(*tree.down0) + regs::AER_UNCORRECTABLE_STATUS;
    ASSERT_TRUE(tree.fabric.set_link("a", false));
    EXPECT_EQ(guest.config(T::kDown0, status), regs::AER_SURPRISE_DOWN);
    EXPECT_FALSE(link_active(*tree.down0));
    EXPECT_FALSE(tree.fabric.set_link("a", false));
    ASSERT_TRUE(tree.fabric.set_link("down0", true)) << "by the port's name too";
    EXPECT_TRUE(link_active(*tree.down0));
    EXPECT_EQ(guest.config<uint16_t>(T::kA, regs::COMMAND), 0) << "it was reset";

    ASSERT_TRUE(tree.fabric.set_link("pf", false));
    EXPECT_EQ(guest.config(T::kRp0, tree.aer_cap(*tree.rp0) + regs::AER_UNCORRECTABLE_STATUS), 0u);
}

// A change that a guest could not see is none: whoever asks for it is told.
TEST_F(FabricTest, WhatChangesNothingIsRefused) {
    using Change = Fabric::SlotChange;
    EXPECT_TRUE(tree.fabric.can_change("pf", Change::kUnplug));
    EXPECT_FALSE(tree.fabric.can_change("pf", Change::kPlug));
    EXPECT_FALSE(tree.fabric.can_change("pf", Change::kLinkUp));
    ASSERT_TRUE(tree.fabric.unplug("pf"));
    EXPECT_FALSE(tree.fabric.set_link("pf", false)) << "an empty slot has no link";
    EXPECT_FALSE(tree.fabric.set_link("rp2", false)) << "nor one that was empty from the start";
    EXPECT_FALSE(tree.fabric.unplug("rp2"));
    guest.set_config<uint16_t>(T::kDown1, tree.down1->pcie_capability() + regs::LNKCTL,
                               regs::LNKCTL_LINK_DISABLE);
    EXPECT_FALSE(tree.fabric.set_link("b", false)) << "the guest has disabled it";
    ASSERT_TRUE(tree.fabric.set_link("a", false));
    ASSERT_TRUE(tree.fabric.set_link("up", false));
    EXPECT_FALSE(tree.fabric.set_link("a", true)) << "behind a link that is down";
    ASSERT_TRUE(tree.fabric.set_link("up", true));
    EXPECT_TRUE(tree.fabric.set_link("a", true));
}

TEST_F(FabricTest, LinkDisableTakesTheLinkDownAndUp) {
    const uint32_t lnkctl = tree.rp1->pcie_capability() + regs::LNKCTL;
    guest.set_config<uint16_t>(T::kRp1, lnkctl, regs::LNKCTL_LINK_DISABLE);
    EXPECT_EQ(guest.config(T::kUp, 0), ~0u);
    EXPECT_FALSE(link_active(*tree.rp1));
    guest.set_config<uint16_t>(T::kRp1, lnkctl, 0);
    EXPECT_EQ(guest.config<uint16_t>(T::kUp, regs::DEVICE_ID), 0x0100);
    EXPECT_TRUE(link_active(*tree.rp1));
    EXPECT_EQ(guest.config<uint8_t>(T::kUp, regs::SECONDARY_BUS), 0) << "it was reset";
}

TEST_F(FabricTest, ResetOfAPortEndsItsLinkDisable) {
    guest.set_config<uint16_t>(T::kDown0, tree.down0->pcie_capability() + regs::LNKCTL,
                               regs::LNKCTL_LINK_DISABLE);
    ASSERT_FALSE(link_active(*tree.down0));
    guest.set_bits(T::kRp1, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    guest.clear_bits(T::kRp1, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    EXPECT_TRUE(link_active(*tree.down0));
}

// --- Resets and power ------------------------------------------------------------------------

TEST_F(FabricTest, BusResetResetsAllBelowAndNobodyElse) {
    for (TestDevice* const device : {tree.pf, tree.a, tree.b}) device->resets.clear();
    guest.set_bits(T::kUp, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    EXPECT_THAT(tree.a->resets, ElementsAre(ResetKind::kConventional));
    EXPECT_THAT(tree.b->resets, ElementsAre(ResetKind::kConventional));
    EXPECT_THAT(tree.pf->resets, IsEmpty());
    EXPECT_FALSE(tree.down0->forwards_bus(11));
    EXPECT_TRUE(tree.up->forwards_bus(11)) << "the port itself is not reset";
}

TEST_F(FabricTest, BusResetAboveAPfRemovesItsVfs) {
    guest.open_vfs(*tree.pf, T::kPf, 8, T::kVfBar0);
    guest.set_bits(T::kRp0, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 0u);
    guest.clear_bits(T::kRp0, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    EXPECT_EQ(guest.config(T::kPf + 1, regs::REVISION_ID), ~0u);
    EXPECT_EQ(guest.load(tree.vf_bar0(0)), ~0u);
}

TEST_F(FabricTest, ResetFromInsideAResetEnds) {
    tree.pf->during_reset = [&] {
        guest.set_bits(T::kRp0, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
        tree.pf->reset(ResetKind::kFunctionLevel);
    };
    tree.pf->resets.clear();
    tree.pf->reset(ResetKind::kConventional);
    EXPECT_THAT(tree.pf->resets, ElementsAre(ResetKind::kConventional));
    tree.pf->during_reset = nullptr;
}

TEST_F(FabricTest, FundamentalResetBringsFirmwaresBusNumbersBack) {
    guest.set_config<uint16_t>(T::kRp1, regs::SECONDARY_BUS, 0x0505);
    tree.fabric.reset();
    EXPECT_EQ(guest.config<uint16_t>(T::kB, regs::DEVICE_ID), 0x0001);
    EXPECT_EQ(guest.config<uint16_t>(T::kB, regs::COMMAND), 0);
    EXPECT_EQ(guest.load(T::kBBar0 + TestDevice::kRegisters), ~0u);
    tree.program();
    EXPECT_EQ(guest.load(T::kBBar0 + TestDevice::kRegisters), 0u);
}

TEST_F(FabricTest, AttachAndDetachManyTimes) {
    for (int i = 0; i < 10; ++i) {
        guest.open_vfs(*tree.pf, T::kPf, 4, T::kVfBar0);
        ASSERT_EQ(tree.pf->sriov()->num_vfs(), 4u);
        tree.fabric.detach();
        EXPECT_FALSE(tree.fabric.attached());
        EXPECT_EQ(tree.pf->slot(), nullptr);
        tree.fabric.attach(tree.host);
        tree.program();
        EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), 0u);
    }
}

TEST_F(FabricTest, EmptySlotStaysEmptyAcrossPowerCycles) {
    ASSERT_TRUE(tree.fabric.unplug("pf"));
    tree.fabric.detach();
    tree.fabric.attach(tree.host);
    EXPECT_EQ(guest.config(T::kPf, 0), ~0u);
    EXPECT_FALSE(slot_status(*tree.rp0, T::kRp0) & regs::SLTSTA_PRESENCE);
}

TEST_F(FabricTest, MisusedFunctionDisturbsNoOther) {
    std::vector<uint8_t> before(4096);
    std::vector<uint8_t> after(4096);
    tree.b->config_read(0, before);
    for (uint32_t at = 0; at < 4096; at += 4) guest.set_config(T::kA, at, ~0u);
    for (uint32_t at = 0; at < 4096; at += 4) guest.set_config(T::kPf, at, ~0u);
    for (uint64_t at = 0; at < 0x1'0000; at += 8) guest.store<uint64_t>(T::kABar0 + at, ~at);
    tree.a->report_error({.bit = regs::AER_MALFORMED_TLP});
    tree.b->config_read(0, after);
    EXPECT_EQ(before, after);
    EXPECT_EQ(guest.load(T::kBBar0 + TestDevice::kRegisters), 0u);
}

}  // namespace
}  // namespace mimic::pci
