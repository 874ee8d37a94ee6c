// SPDX-License-Identifier: Apache-2.0
// Registers of the SR-IOV capability: what they accept, sizing, routing ids, resets.
#include "pci/function/sriov.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pci/testing/fabric.h"

namespace mimic::pci {
namespace {

using testing::ElementsAre;
using T = TestTree;

class SriovTest : public testing::Test {
protected:
    template <typename V = uint16_t>
    V get(uint32_t offset) {
        return tree.guest.config<V>(T::kPf, cap + offset);
    }
    template <typename V>
    void put(uint32_t offset, V value) {
        tree.guest.set_config(T::kPf, cap + offset, value);
    }
    void enable(uint16_t count) { tree.guest.open_vfs(*tree.pf, T::kPf, count, T::kVfBar0); }

    TestTree tree;
    uint32_t cap = tree.sriov_cap();
};

TEST_F(SriovTest, TotalAndInitialVfsAreThoseOfTheOptions) {
    EXPECT_EQ(get(regs::SRIOV_TOTAL_VFS), 64);
    EXPECT_EQ(get(regs::SRIOV_INITIAL_VFS), 64);
    EXPECT_EQ(get(regs::SRIOV_VF_DEVICE_ID), 0x0002);
}

TEST_F(SriovTest, NumVfsAboveTotalVfsIsIgnored) {
    put<uint16_t>(regs::SRIOV_NUM_VFS, 64);
    put<uint16_t>(regs::SRIOV_NUM_VFS, 65);
    EXPECT_EQ(get(regs::SRIOV_NUM_VFS), 64);
    put<uint16_t>(regs::SRIOV_NUM_VFS, 0xffff);
    EXPECT_EQ(get(regs::SRIOV_NUM_VFS), 64);
}

TEST_F(SriovTest, NumVfsDoesNotChangeWhileVfsAreEnabled) {
    enable(3);
    put<uint16_t>(regs::SRIOV_NUM_VFS, 5);
    EXPECT_EQ(get(regs::SRIOV_NUM_VFS), 3);
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 3u);
}

TEST_F(SriovTest, VfEnableTwiceMakesVfsOnce) {
    enable(3);
    Function* const first = tree.pf->sriov()->vf(0);
    enable(3);
    EXPECT_EQ(tree.pf->sriov()->vf(0), first);
    EXPECT_THAT(tree.pf->vf_changes, ElementsAre(3));
}

TEST_F(SriovTest, VfEnableWithoutNumVfsMakesNone) {
    put<uint16_t>(regs::SRIOV_CONTROL, regs::SRIOV_CONTROL_VF_ENABLE);
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 0u);
    put<uint16_t>(regs::SRIOV_CONTROL, 0);
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 0u);
}

TEST_F(SriovTest, SystemPageSizeTakesOneSupportedSizeAtATime) {
    for (const uint32_t bad : {0u, 3u, 4u, 8u, 0x8000'0000u, 0xffff'ffffu}) {
        put<uint32_t>(regs::SRIOV_SYSTEM_PAGE_SIZE, bad);
        EXPECT_EQ(get<uint32_t>(regs::SRIOV_SYSTEM_PAGE_SIZE), 1u) << bad;
    }
    put<uint32_t>(regs::SRIOV_SYSTEM_PAGE_SIZE, 0x10);
    EXPECT_EQ(get<uint32_t>(regs::SRIOV_SYSTEM_PAGE_SIZE), 0x10u);
}

TEST_F(SriovTest, SystemPageSizeDoesNotChangeWhileVfsAreEnabled) {
    enable(1);
    put<uint32_t>(regs::SRIOV_SYSTEM_PAGE_SIZE, 2);
    EXPECT_EQ(get<uint32_t>(regs::SRIOV_SYSTEM_PAGE_SIZE), 1u);
}

// Sizing finds the size of one VF's BAR, or the system page where that is more (9.3.3.14).
TEST_F(SriovTest, SizingOfVfBarsFollowsTheSystemPageSize) {
    for (const uint64_t page : {0x1000, 0x2000, 0x1'0000, 0x4'0000, 0x10'0000, 0x40'0000}) {
        put<uint32_t>(regs::SRIOV_SYSTEM_PAGE_SIZE, static_cast<uint32_t>(page / 4096));
        put<uint64_t>(regs::SRIOV_VF_BAR0, ~uint64_t{0});
        const uint64_t wide = get<uint64_t>(regs::SRIOV_VF_BAR0);
        EXPECT_EQ(wide & 0xf, regs::BAR_MEMORY_TYPE_64 | regs::BAR_PREFETCHABLE);
        EXPECT_EQ(~(wide & ~uint64_t{0xf}) + 1, std::max(page, TestDevice::kVfBarBytes));
        put<uint32_t>(regs::SRIOV_VF_BAR0 + 8, ~0u);
        EXPECT_EQ(~get<uint32_t>(regs::SRIOV_VF_BAR0 + 8) + 1, page) << "4 KiB in a page";
    }
}

TEST_F(SriovTest, LargerPageAlignsWhatVfBarsHold) {
    put<uint64_t>(regs::SRIOV_VF_BAR0, uint64_t{0x40'1234'4000});
    put<uint32_t>(regs::SRIOV_SYSTEM_PAGE_SIZE, 0x100);  // 1 MiB
    EXPECT_EQ(get<uint64_t>(regs::SRIOV_VF_BAR0) & ~uint64_t{0xf}, 0x40'1230'0000u);
}

TEST_F(SriovTest, VfsAreAPageApart) {
    put<uint32_t>(regs::SRIOV_SYSTEM_PAGE_SIZE, 0x10);  // 64 KiB
    enable(2);
    tree.pf->vf(1).memory[0] = 0x5a;
    EXPECT_EQ(tree.guest.load<uint8_t>(T::kVfBar0 + 0x1'0000 + 0x1000), 0x5a);
    EXPECT_EQ(tree.guest.load<uint8_t>(T::kVfBar0 + TestDevice::kVfBarBytes), 0xff)
        << "between two VFs nobody answers";
}

TEST_F(SriovTest, AriHierarchyDecidesWhereVfsAre) {
    EXPECT_EQ(get(regs::SRIOV_FIRST_VF_OFFSET), 256);
    EXPECT_EQ(get(regs::SRIOV_VF_STRIDE), 1);
    put<uint16_t>(regs::SRIOV_CONTROL, regs::SRIOV_CONTROL_ARI_HIERARCHY);
    EXPECT_EQ(get(regs::SRIOV_FIRST_VF_OFFSET), 1);
}

TEST_F(SriovTest, AriHierarchyDoesNotChangeWhileVfsAreEnabled) {
    enable(2);
    put<uint16_t>(regs::SRIOV_CONTROL, regs::SRIOV_CONTROL_VF_ENABLE);
    EXPECT_EQ(get(regs::SRIOV_CONTROL),
              regs::SRIOV_CONTROL_VF_ENABLE | regs::SRIOV_CONTROL_ARI_HIERARCHY);
    EXPECT_EQ(get(regs::SRIOV_FIRST_VF_OFFSET), 1);
}

TEST_F(SriovTest, FlrOfThePfRemovesVfsAndKeepsAriHierarchy) {
    enable(4);
    tree.guest.set_bits(T::kPf, tree.pf->pcie_capability() + regs::DEVCTL,
                        regs::DEVCTL_INITIATE_FLR);
    EXPECT_EQ(tree.pf->sriov()->num_vfs(), 0u);
    EXPECT_EQ(get(regs::SRIOV_NUM_VFS), 0);
    EXPECT_EQ(get(regs::SRIOV_CONTROL), regs::SRIOV_CONTROL_ARI_HIERARCHY);
    EXPECT_EQ(get(regs::SRIOV_FIRST_VF_OFFSET), 1);
    EXPECT_EQ(get(regs::SRIOV_VF_STRIDE), 1);
    EXPECT_THAT(tree.pf->vf_changes, ElementsAre(4, 0));
}

// The registers that say where VFs are must have survived, or the look-up of a function that is not
// there would divide by zero.
TEST_F(SriovTest, ConventionalResetRestoresRoutingIds) {
    put<uint16_t>(regs::SRIOV_CONTROL, regs::SRIOV_CONTROL_ARI_HIERARCHY);
    tree.fabric.reset();
    EXPECT_EQ(get(regs::SRIOV_FIRST_VF_OFFSET), 256);
    EXPECT_EQ(get(regs::SRIOV_VF_STRIDE), 1);
    EXPECT_EQ(tree.guest.config(T::kPf + 1, 0), ~0u);
    EXPECT_EQ(tree.guest.config(T::kPf + 0x100, 0), ~0u);
}

TEST_F(SriovTest, PfWithoutUpstreamCanMakeVfsToo) {
    auto alone = TestDevice::create({.vfs = 2});
    alone->config_write(cap + regs::SRIOV_NUM_VFS, std::array<uint8_t, 2>{2, 0});
    alone->config_write(cap + regs::SRIOV_CONTROL, std::array<uint8_t, 2>{1, 0});
    EXPECT_EQ(alone->sriov()->num_vfs(), 2u);
    alone->reset(ResetKind::kFunctionLevel);
    EXPECT_EQ(alone->sriov()->num_vfs(), 0u);
}

TEST(SriovOptionsTest, RefusesWhatNoCapabilityCanSay) {
    auto function = TestDevice::create({});
    CapabilityBuilder builder(*function);
    const Bar bar = {.type = BarType::kMemory32, .size = 0x1000};
    const SriovOptions good = {.total_vfs = 8, .vf_device_id = 2, .vf_bars = {bar}};
    SriovOptions bad = good;
    bad.total_vfs = 0;
    EXPECT_FALSE(builder.add_sriov(bad));
    bad = good;
    bad.stride = 0;
    EXPECT_FALSE(builder.add_sriov(bad));
    bad = good;
    bad.total_vfs = 1000;
    bad.stride = 100;  // routing ids have 16 bits
    EXPECT_FALSE(builder.add_sriov(bad));
    bad = good;
    bad.vf_bars[0].type = BarType::kIo;
    EXPECT_FALSE(builder.add_sriov(bad));
    EXPECT_TRUE(builder.add_sriov(good));
    EXPECT_FALSE(builder.add_sriov(good)) << "a second one";
}

}  // namespace
}  // namespace mimic::pci
