// SPDX-License-Identifier: Apache-2.0
// VFs as a guest sees them behind a fabric: configuration space, routing ids, memory, interrupts,
// and how they go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "pci/testing/fabric.h"

namespace mimic::pci {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using T = TestTree;

class VfTest : public testing::Test {
protected:
    void enable(uint16_t count, bool ari = true) {
        tree.guest.open_vfs(*tree.pf, T::kPf, count, T::kVfBar0, ari);
    }
    void disable() {
        tree.guest.set_config<uint16_t>(T::kPf, tree.sriov_cap() + regs::SRIOV_CONTROL,
                                        regs::SRIOV_CONTROL_ARI_HIERARCHY);
    }

    TestTree tree;
    Guest& guest = tree.guest;
};

constexpr uint32_t kVf0 = T::kPf + 1;  // with ARI

TEST_F(VfTest, IdsOfAVfReadAsOnes) {
    enable(1);
    EXPECT_EQ(guest.config(kVf0, regs::VENDOR_ID), 0xffff'ffffu);
    EXPECT_EQ(guest.config(kVf0, regs::REVISION_ID) >> 8, 0x120000u) << "but it is there";
    EXPECT_EQ(guest.config<uint16_t>(kVf0, regs::SUBSYSTEM_VENDOR_ID), 0x1af4);
}

TEST_F(VfTest, AVfHasNoBarsOfItsOwn) {
    enable(1);
    for (uint32_t at = regs::BAR0; at < regs::BAR0 + 24; at += 4) {
        guest.set_config(kVf0, at, ~0u);
        EXPECT_EQ(guest.config(kVf0, at), 0u) << at;
    }
}

TEST_F(VfTest, CommandOfAVfHasBusMasterOnly) {
    enable(1);
    guest.set_config<uint16_t>(kVf0, regs::COMMAND, 0xffff);
    EXPECT_EQ(guest.config<uint16_t>(kVf0, regs::COMMAND), regs::COMMAND_BUS_MASTER);
}

// Nothing is freed while the loop is in one turn, and a guest can write VF Enable thousands of
// times in one.
TEST_F(VfTest, TogglingVfEnableMakesABoundedNumberOfVfs) {
    enable(64);
    const int devices = TestDevice::alive - 64;
    const auto set_enable = [&](bool on) {
        guest.set_config<uint16_t>(T::kPf, tree.sriov_cap() + regs::SRIOV_CONTROL,
                                   static_cast<uint16_t>(regs::SRIOV_CONTROL_ARI_HIERARCHY |
                                                         (on ? regs::SRIOV_CONTROL_VF_ENABLE : 0)));
    };
    for (int i = 0; i < 1000; ++i) {
        set_enable(false);
        EXPECT_EQ(tree.pf->sriov()->num_vfs(), 0u);
        set_enable(true);
        ASSERT_LE(TestDevice::alive, devices + 2 * 64) << i;
    }
    tree.host.run();
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 64u) << "as the guest asked in the end";
    EXPECT_EQ(TestDevice::alive, devices + 64);
    EXPECT_NE(guest.config(kVf0 + 63, regs::REVISION_ID), 0xffff'ffffu);
    for (int i = 0; i < 10; ++i) {
        set_enable(true);
        set_enable(false);
    }
    tree.host.run();
    EXPECT_EQ(TestDevice::alive, devices);
}

// As a driver does that gives up and tries again: no waiting is noticed.
TEST_F(VfTest, VfsThatAreEnabledAgainInTheSameTurnAreThereAtOnce) {
    enable(64);
    disable();
    enable(64);
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 64u);
}

TEST_F(VfTest, VfsThatWaitToBeMadeAreForgottenByAReset) {
    for (int i = 0; i < 4; ++i) {
        enable(64);
        disable();
    }
    enable(64);
    ASSERT_EQ(tree.pf->sriov()->num_vfs(), 0u);
    tree.pf->reset(ResetKind::kConventional);
    tree.host.run();
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 0u);
}

// Table 9-16: what the PF has enabled counts.
TEST_F(VfTest, DeviceControlOfAVfHasOnlyFlr) {
    enable(1);
    const uint32_t pcie = tree.pf->vf(0).pcie_capability();
    guest.set_config<uint16_t>(kVf0, pcie + regs::DEVCTL, 0x7fff);
    EXPECT_EQ(guest.config<uint16_t>(kVf0, pcie + regs::DEVCTL), 0);
    tree.pf->vf(0).resets.clear();
    guest.set_config<uint16_t>(kVf0, pcie + regs::DEVCTL, regs::DEVCTL_INITIATE_FLR);
    EXPECT_THAT(tree.pf->vf(0).resets, ElementsAre(ResetKind::kFunctionLevel));
}

TEST_F(VfTest, AllVfsHaveTheirOwnRoutingIds) {
    enable(64);
    std::set<uint16_t> ids;
    tree.fabric.for_each([&](Function& function, uint16_t id) {
        EXPECT_TRUE(ids.insert(id).second) << function.name();
        if (function.physical_function() == nullptr) return;
        EXPECT_NE(guest.config(id, regs::REVISION_ID), 0xffff'ffffu) << id;
    });
    EXPECT_TRUE(ids.contains(T::kPf + 64));
    EXPECT_EQ(guest.config(T::kPf + 65, regs::REVISION_ID), 0xffff'ffffu);
}

TEST_F(VfTest, WithoutAriVfsAreOnTheNextBus) {
    enable(64, false);
    EXPECT_EQ(guest.config(T::kPf + 1, regs::REVISION_ID), 0xffff'ffffu);
    for (uint32_t i = 0; i < 64; ++i) {
        EXPECT_NE(guest.config(0x200 + i, regs::REVISION_ID), 0xffff'ffffu) << i;
    }
    EXPECT_EQ(guest.config(0x240, regs::REVISION_ID), 0xffff'ffffu);
}

TEST_F(VfTest, NextBusNeedsABridgeThatForwardsIt) {
    enable(1, false);
    ASSERT_NE(guest.config(0x200, regs::REVISION_ID), 0xffff'ffffu);
    guest.set_config<uint8_t>(T::kRp0, regs::SUBORDINATE_BUS, 1);
    EXPECT_EQ(guest.config(0x200, regs::REVISION_ID), 0xffff'ffffu);
}

TEST_F(VfTest, AriForwardingOffHidesAllButEightFunctions) {
    enable(16);
    guest.clear_bits(T::kRp0, tree.rp0->pcie_capability() + regs::DEVCTL2,
                     regs::DEVCTL2_ARI_FORWARDING);
    EXPECT_NE(guest.config(T::kPf + 7, regs::REVISION_ID), 0xffff'ffffu);
    EXPECT_EQ(guest.config(T::kPf + 8, regs::REVISION_ID), 0xffff'ffffu);
}

TEST_F(VfTest, MemoryOfEachVfIsItsOwn) {
    enable(64);
    for (uint32_t i = 0; i < 64; ++i) {
        guest.store<uint32_t>(tree.vf_bar0(i) + TestDevice::kRegisters, 0x1000 + i);
    }
    for (uint32_t i = 0; i < 64; ++i) {
        EXPECT_EQ(guest.load(tree.vf_bar0(i) + TestDevice::kRegisters), 0x1000 + i);
        EXPECT_EQ(tree.pf->vf(i).writes, 1u);
    }
    EXPECT_EQ(guest.load(tree.vf_bar0(64)), ~0u);
    EXPECT_EQ(tree.pf->writes, 0u);
}

TEST_F(VfTest, VfMemorySpaceOffHidesVfBarsAtOnce) {
    enable(1);
    ASSERT_EQ(guest.load(tree.vf_bar0(0) + 0x1000), 0u);
    guest.clear_bits(T::kPf, tree.sriov_cap() + regs::SRIOV_CONTROL,
                     regs::SRIOV_CONTROL_VF_MEMORY_SPACE);
    EXPECT_EQ(guest.load(tree.vf_bar0(0) + 0x1000), ~0u);
    EXPECT_EQ(guest.load(T::kPfBar0 + 0x1000), 0u) << "the PF's own are not concerned";
}

TEST_F(VfTest, VfBarsDoNotNeedThePfsMemorySpace) {
    enable(1);
    guest.clear_bits(T::kPf, regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
    EXPECT_EQ(guest.load(tree.vf_bar0(0) + 0x1000), 0u);
    EXPECT_EQ(guest.load(T::kPfBar0 + 0x1000), ~0u);
}

TEST_F(VfTest, FlrOfAVfResetsOnlyThatVf) {
    enable(2);
    TestDevice& one = tree.pf->vf(0);
    TestDevice& other = tree.pf->vf(1);
    tree.pf->resets.clear();
    one.memory[0] = other.memory[0] = tree.pf->memory[0] = 7;
    guest.set_config<uint16_t>(kVf0, one.pcie_capability() + regs::DEVCTL,
                               regs::DEVCTL_INITIATE_FLR);
    EXPECT_EQ(one.memory[0], 0);
    EXPECT_EQ(other.memory[0], 7);
    EXPECT_EQ(tree.pf->memory[0], 7);
    EXPECT_THAT(tree.pf->resets, IsEmpty());
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 2u);
    EXPECT_EQ(guest.load<uint8_t>(tree.vf_bar0(0) + 0x1000), 0) << "and it still answers";
}

TEST_F(VfTest, MsixMasksOfAVfHoldAndDeliver) {
    enable(2);
    guest.set_bits(kVf0 + 1, regs::COMMAND, regs::COMMAND_BUS_MASTER);
    guest.open_msix(tree.pf->vf(1), kVf0 + 1, tree.vf_bar0(1), 4);
    tree.pf->vf(1).raise_msix(2);
    EXPECT_THAT(tree.host.take(), ElementsAre(6));

    guest.store<uint32_t>(tree.vf_bar0(1) + 2 * 16 + 12, 1);
    tree.pf->vf(1).raise_msix(2);
    EXPECT_THAT(tree.host.take(), IsEmpty());
    EXPECT_EQ(guest.load<uint64_t>(tree.vf_bar0(1) + 0x800), 4u) << "pending bit 2";
    EXPECT_EQ(guest.load<uint64_t>(tree.vf_bar0(0) + 0x800), 0u) << "of this VF alone";

    guest.store<uint32_t>(tree.vf_bar0(1) + 2 * 16 + 12, 0);
    EXPECT_THAT(tree.host.take(), ElementsAre(6));
    EXPECT_EQ(guest.load<uint64_t>(tree.vf_bar0(1) + 0x800), 0u);
}

TEST_F(VfTest, MessagesOfAVfNeedItsOwnBusMaster) {
    enable(1);
    guest.open_msix(tree.pf->vf(0), kVf0, tree.vf_bar0(0), 1);
    tree.pf->vf(0).raise_msix(0);
    EXPECT_THAT(tree.host.take(), IsEmpty());
    guest.set_bits(kVf0, regs::COMMAND, regs::COMMAND_BUS_MASTER);
    tree.pf->vf(0).raise_msix(0);
    EXPECT_THAT(tree.host.take(), ElementsAre(1));
}

TEST_F(VfTest, DisableDestroysVfs) {
    const int before = TestDevice::alive;
    enable(64);
    EXPECT_EQ(TestDevice::alive, before + 64);
    disable();
    EXPECT_EQ(guest.config(kVf0, regs::REVISION_ID), 0xffff'ffffu);
    EXPECT_EQ(guest.load(tree.vf_bar0(0)), ~0u);
    tree.host.run();
    EXPECT_EQ(TestDevice::alive, before);
}

TEST_F(VfTest, DmaInFlightWhenItsVfGoesFindsNothingDangling) {
    enable(1);
    guest.set_bits(kVf0, regs::COMMAND, regs::COMMAND_BUS_MASTER);
    tree.host.memory.answers_later = true;
    int answers = 0;
    tree.pf->vf(0).dma()->read(0x100, 16, [&](const auto&) { ++answers; });
    tree.pf->vf(0).dma()->write(0x200, std::array<std::byte, 4>{}, [&](const auto&) { ++answers; });
    disable();
    tree.host.run();
    EXPECT_EQ(answers, 0) << "it ended with its VF";
}

// A VF may be up the stack of what removes it: it writes to its PF by peer-to-peer DMA, or a hook
// of the guest's own access resets the PF.
TEST_F(VfTest, VfThatIsRemovedWhileItServesAWriteFinishesIt) {
    enable(2);
    bool after = false;
    TestDevice& vf = tree.pf->vf(1);
    vf.on_bar_write = [&] {
        disable();
        vf.memory[1] = 1;  // still its own memory
        after = vf.slot() == nullptr;
    };
    guest.store<uint32_t>(tree.vf_bar0(1) + 0x1000, 1);
    EXPECT_TRUE(after);
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 0u);
}

TEST_F(VfTest, UnplugWithVfsThatWorkRemovesThem) {
    enable(8);
    guest.set_bits(kVf0, regs::COMMAND, regs::COMMAND_BUS_MASTER);
    tree.host.memory.answers_later = true;
    tree.pf->vf(0).dma()->read(0x100, 16, [](const auto&) {});
    ASSERT_TRUE(tree.fabric.unplug("pf"));
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 0u);
    tree.host.run();
}

TEST_F(VfTest, DetachWithVfsRemovesThem) {
    const int before = TestDevice::alive;
    enable(8);
    tree.fabric.detach();
    tree.host.run();
    EXPECT_EQ(TestDevice::alive, before);
}

// Tasks that a runner never ran are destroyed with it, after the fabric.
TEST(VfLifetimeTest, VfsOutliveAFabricThatGoesFirst) {
    const int before = TestDevice::alive;
    FakeHost host;
    {
        Fabric fabric(8);
        Guest guest(fabric);
        auto port = fabric.add_bridge(nullptr, 8, {.name = "rp"}, 1, 4);
        ASSERT_TRUE(port);
        auto device = TestDevice::create({.vfs = 4});
        TestDevice& pf = *device;
        ASSERT_TRUE(fabric.add_function(*port, 0, std::move(device)));
        fabric.attach(host);
        guest.open_vfs(pf, 0x100, 4, T::kVfBar0);
        ASSERT_EQ(pf.sriov()->num_vfs(), 4u);
    }
    host.time.drop_all();
    EXPECT_EQ(TestDevice::alive, before);
}

// Four PFs with 64 VFs each: 260 functions, so some have the next bus number.
class FourPfs : public testing::TestWithParam<bool> {
protected:
    FourPfs() {
        port = *fabric.add_bridge(nullptr, 8, {.name = "rp"}, 1, 3);
        for (uint16_t i = 0; i < 4; ++i) {
            auto device = TestDevice::create({.name = fmt::format("pf{}", i),
                                              .vfs = 64,
                                              .first_offset = 4,
                                              .stride = 4,
                                              .multifunction = true});
            pfs.push_back(device.get());
            EXPECT_TRUE(fabric.add_function(port, static_cast<uint8_t>(i), std::move(device)));
        }
        fabric.attach(host);
        guest.set_bits(0x008, port->pcie_capability() + regs::DEVCTL2,
                       regs::DEVCTL2_ARI_FORWARDING);
    }

    FakeHost host;
    Fabric fabric{8};
    Guest guest{fabric};
    Port* port;
    std::vector<TestDevice*> pfs;
};

TEST_P(FourPfs, AllVfsAnswerAtRoutingIdsOfTheirOwn) {
    for (uint16_t i = 0; i < 4; ++i) guest.open_vfs(*pfs[i], 0x100 + i, 64, 0, GetParam());
    std::map<uint16_t, Function*> ids;
    fabric.for_each([&](Function& function, uint16_t id) {
        EXPECT_TRUE(ids.emplace(id, &function).second) << function.name() << " at " << id;
    });
    EXPECT_EQ(ids.size(), 1u + 4 + 4 * 64);
    EXPECT_TRUE(ids.rbegin()->first >= 0x200);
    for (const auto& [id, function] : ids) {
        if (function->physical_function() == nullptr) continue;
        EXPECT_FALSE(function->bus_master_enabled());
        guest.set_config<uint16_t>(id, regs::COMMAND, regs::COMMAND_BUS_MASTER);
        EXPECT_TRUE(function->bus_master_enabled()) << function->name() << " at " << id;
    }
}

INSTANTIATE_TEST_SUITE_P(Ari, FourPfs, testing::Bool());

}  // namespace
}  // namespace mimic::pci
