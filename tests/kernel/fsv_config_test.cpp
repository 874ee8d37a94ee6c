// SPDX-License-Identifier: Apache-2.0
// The config-space model of kernel/fake-sriov-vgpu, the very file of the module, in user space
// under sanitizers: what the PCI core asks for when it finds, sizes and enables a function, and a
// million writes of garbage.
#include <gtest/gtest.h>
#include <linux/pci_regs.h>

#include <random>
#include <set>

extern "C" {
#include "fsv_config.h"
}

namespace {

constexpr unsigned kSriov = 0x100;
constexpr u16 kTotalVfs = 16;
constexpr u64 kBarBytes = 65536;
constexpr u64 kBarAddress = 0x1'2345'0000;

/// A Tesla T4 with 16 VFs at 00:1f.0, as the module makes it; or VF of it.
fsv_config make(bool is_vf = false) {
    fsv_config config{};
    fsv_layout& layout = config.layout;
    layout.vendor = 0x10de;
    layout.device = 0x1eb8;
    layout.subsystem_vendor = 0x10de;
    layout.subsystem_device = 0x12a2;
    layout.class_code = 0x030200;
    layout.revision = 0xa1;
    layout.devfn = 0xf8;
    layout.link_speed = 3;
    layout.link_width = 16;
    layout.msix_vectors = 4;
    layout.bars[0] = {kBarAddress, kBarBytes};
    layout.bars[1] = {0x2'0000'0000, 0x100000};
    layout.bars[FSV_MSIX_BAR] = {0x3000'2000, FSV_MSIX_BAR_BYTES};
    layout.is_vf = is_vf;
    layout.total_vfs = is_vf ? 0 : kTotalVfs;
    layout.vf_offset = 0x100 - 0xf8;
    layout.vf_device = 0x1eb8;
    layout.page_sizes = 1;
    layout.vf_bars[0] = {0x4004'0000, 16384};
    layout.vf_bars[FSV_MSIX_BAR] = {0x4008'0000, FSV_MSIX_BAR_BYTES};
    fsv_config_reset(&config);
    return config;
}

unsigned find_capability(const fsv_config& config, u32 id) {
    unsigned at = fsv_config_read(&config, PCI_CAPABILITY_LIST, 1);
    std::set<unsigned> seen;
    while (at != 0 && seen.insert(at).second) {
        if (fsv_config_read(&config, at, 1) == id) return at;
        at = fsv_config_read(&config, at + 1, 1);
    }
    EXPECT_EQ(at, 0u) << "the list of capabilities loops";
    return 0;
}

/// What the PCI core computes from a 64-bit BAR: all ones, read, restore.
u64 size_bar(fsv_config& config, unsigned at) {
    const u32 low = fsv_config_read(&config, at, 4);
    const u32 high = fsv_config_read(&config, at + 4, 4);
    fsv_config_write(&config, at, 4, ~0u);
    fsv_config_write(&config, at + 4, 4, ~0u);
    const u64 mask = (u64{fsv_config_read(&config, at + 4, 4)} << 32 |
                      fsv_config_read(&config, at, 4)) &
                     ~u64{0xf};
    fsv_config_write(&config, at, 4, low);
    fsv_config_write(&config, at + 4, 4, high);
    EXPECT_EQ(fsv_config_read(&config, at, 4), low);
    EXPECT_EQ(fsv_config_read(&config, at + 4, 4), high);
    return mask == 0 ? 0 : ~mask + 1;
}

unsigned set_vfs(fsv_config& config, u32 count) {
    fsv_config_write(&config, kSriov + PCI_SRIOV_NUM_VF, 2, count);
    return fsv_config_write(&config, kSriov + PCI_SRIOV_CTRL, 2,
                            PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
}

TEST(FsvConfig, HeaderHasTheIds) {
    const fsv_config config = make();
    EXPECT_EQ(fsv_config_read(&config, PCI_VENDOR_ID, 4), 0x1eb810deu);
    EXPECT_EQ(fsv_config_read(&config, PCI_CLASS_REVISION, 4), 0x030200a1u);
    EXPECT_EQ(fsv_config_read(&config, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x12a210deu);
}

TEST(FsvConfig, VfHasNoIdsAndNoBars) {
    fsv_config config = make(true);
    EXPECT_EQ(fsv_config_read(&config, PCI_VENDOR_ID, 4), 0xffffffffu);
    EXPECT_EQ(size_bar(config, PCI_BASE_ADDRESS_0), 0u);
    EXPECT_EQ(fsv_config_read(&config, kSriov, 4), 0u);
    EXPECT_NE(find_capability(config, PCI_CAP_ID_MSIX), 0u);
}

TEST(FsvConfig, BarsHaveSizesAndAddresses) {
    fsv_config config = make();
    EXPECT_EQ(size_bar(config, PCI_BASE_ADDRESS_0), kBarBytes);
    EXPECT_EQ(size_bar(config, PCI_BASE_ADDRESS_2), 0x100000u);
    EXPECT_EQ(size_bar(config, PCI_BASE_ADDRESS_4), u64{FSV_MSIX_BAR_BYTES});
    EXPECT_EQ(size_bar(config, kSriov + PCI_SRIOV_BAR), 16384u);
    EXPECT_EQ(fsv_config_read(&config, PCI_BASE_ADDRESS_0, 4), 0x23450004u);
    EXPECT_EQ(fsv_config_read(&config, PCI_BASE_ADDRESS_1, 4), 1u);
    EXPECT_EQ(fsv_config_read(&config, PCI_BASE_ADDRESS_2, 4), 0x0000000cu) << "prefetchable";
}

TEST(FsvConfig, CapabilitiesAreFound) {
    const fsv_config config = make();
    EXPECT_NE(find_capability(config, PCI_CAP_ID_PM), 0u);
    const unsigned pcie = find_capability(config, PCI_CAP_ID_EXP);
    ASSERT_NE(pcie, 0u);
    EXPECT_EQ(fsv_config_read(&config, pcie + PCI_EXP_LNKSTA, 2), 0x103u);
    const unsigned msix = find_capability(config, PCI_CAP_ID_MSIX);
    ASSERT_NE(msix, 0u);
    EXPECT_EQ(fsv_config_read(&config, msix + PCI_MSIX_FLAGS, 2), 3u);
    EXPECT_EQ(fsv_config_read(&config, kSriov, 4), 0x00010010u);
}

TEST(FsvConfig, VfEnableMakesVfs) {
    fsv_config config = make();
    EXPECT_EQ(fsv_config_num_vfs(&config), 0u);
    EXPECT_EQ(set_vfs(config, 5), unsigned{FSV_EVENT_VFS});
    EXPECT_EQ(fsv_config_num_vfs(&config), 5u);
    fsv_config_write(&config, kSriov + PCI_SRIOV_NUM_VF, 2, 6);
    EXPECT_EQ(fsv_config_num_vfs(&config), 5u) << "NumVFs is fixed while VFs are enabled";
    EXPECT_EQ(fsv_config_write(&config, kSriov + PCI_SRIOV_CTRL, 2, 0), unsigned{FSV_EVENT_VFS});
    EXPECT_EQ(fsv_config_num_vfs(&config), 0u);
}

TEST(FsvConfig, NumVfsBeyondTotalVfsIsIgnored) {
    fsv_config config = make();
    fsv_config_write(&config, kSriov + PCI_SRIOV_NUM_VF, 2, kTotalVfs);
    fsv_config_write(&config, kSriov + PCI_SRIOV_NUM_VF, 2, kTotalVfs + 1);
    EXPECT_EQ(fsv_config_read(&config, kSriov + PCI_SRIOV_NUM_VF, 2), u32{kTotalVfs});
}

TEST(FsvConfig, OnlySupportedPageSizesAreTaken) {
    fsv_config config = make();
    for (const u32 bad : {0u, 2u, 3u, ~0u}) {
        fsv_config_write(&config, kSriov + PCI_SRIOV_SYS_PGSIZE, 4, bad);
        EXPECT_EQ(fsv_config_read(&config, kSriov + PCI_SRIOV_SYS_PGSIZE, 4), 1u) << bad;
    }
}

TEST(FsvConfig, FunctionLevelResetRestoresAll) {
    fsv_config config = make();
    const fsv_config fresh = config;
    set_vfs(config, 4);
    fsv_config_write(&config, PCI_COMMAND, 2, 0xffff);
    const unsigned control = find_capability(config, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;
    for (const unsigned size : {1u, 2u, 4u}) {
        config = fresh;
        set_vfs(config, 4);
        const unsigned at = size == 1 ? control + 1 : control;
        EXPECT_EQ(fsv_config_write(&config, at, size, size == 1 ? 0x80 : PCI_EXP_DEVCTL_BCR_FLR),
                  unsigned{FSV_EVENT_RESET | FSV_EVENT_VFS});
        EXPECT_EQ(0, memcmp(config.value, fresh.value, sizeof(config.value)));
    }
}

TEST(FsvConfig, AccessesThatPciDoesNotKnow) {
    fsv_config config = make();
    const fsv_config fresh = config;
    for (const auto& [offset, size] : {std::pair{1u, 2u},
                                       {2u, 4u},
                                       {0u, 3u},
                                       {0u, 8u},
                                       {4096u, 1u},
                                       {4094u, 4u},
                                       {~0u, 1u},
                                       {0u, 0u}}) {
        EXPECT_EQ(fsv_config_read(&config, offset, size), ~0u);
        EXPECT_EQ(fsv_config_write(&config, offset, size, ~0u), 0u);
    }
    EXPECT_EQ(0, memcmp(config.value, fresh.value, sizeof(config.value)));
}

/// Whatever is written: read-only registers stay, lists stay whole, NumVFs stays within its limit.
TEST(FsvConfig, GarbageHarmsNothing) {
    std::mt19937 random(20261121);  // arbitrary
    for (const bool is_vf : {false, true}) {
        fsv_config config = make(is_vf);
        const fsv_config fresh = config;
        for (int i = 0; i < 500'000; ++i) {
            const unsigned offset = static_cast<u32>(random()) % (i % 2 ? 0x160 : 5000);
            fsv_config_write(&config, offset, 1u << (random() % 4), static_cast<u32>(random()));
            ASSERT_LE(fsv_config_num_vfs(&config), is_vf ? 0u : u32{kTotalVfs});
        }
        for (unsigned at = 0; at < FSV_CONFIG_BYTES; ++at) {
            const u8 fixed = static_cast<u8>(~(config.writable[at] | config.clearable[at]));
            ASSERT_EQ(config.value[at] & fixed, fresh.value[at] & fixed) << at;
        }
        EXPECT_NE(find_capability(config, PCI_CAP_ID_MSIX), 0u);
        fsv_config_reset(&config);
        EXPECT_EQ(0, memcmp(config.value, fresh.value, sizeof(config.value)));
    }
}

}  // namespace
