// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/mock_accel.h"

#include <array>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pci/config/pci_regs.h"
#include "pci/testing/function.h"
#include "reg/map_test.h"

MIMIC_MAP_TEST(MockAccel, mimic::mock_accel::kMap);

namespace mimic::mock_accel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kUuid = "12345678-9abc-def0-0123-456789abcdef";

Options pf_options() {
    return {.name = "accel0",
            .role = Pf{.vfs = StaticVfs{4}},
            .identifier = kUuid,
            .capabilities = 0x5};
}

Options vf_options() {
    return {.name = "accel0-vf2",
            .role = StaticVf{2},
            .identifier = "NODE1-NUMA0-PF-VF2",
            .memory_size_bytes = kDefaultVfMemoryBytes};
}

/// A device on a slot that writes down its interrupts.
class Rig {
public:
    explicit Rig(const Options& options) : device(std::move(MockAccel::create(options)).value()) {
        device->attach(slot);
    }
    ~Rig() { device->detach(); }

    uint64_t read(uint64_t offset, size_t size = 4) {
        uint64_t value = 0;
        device->read_bar(0, offset, {reinterpret_cast<uint8_t*>(&value), size});
        return value;
    }
    void write(uint64_t offset, uint64_t value, size_t size = 4) {
        device->write_bar(0, offset, {reinterpret_cast<const uint8_t*>(&value), size});
    }
    uint32_t config(uint32_t offset, size_t size = 4) {
        uint32_t value = 0;
        device->config_read(offset, {reinterpret_cast<uint8_t*>(&value), size});
        return value;
    }
    void set_config(uint32_t offset, uint32_t value, size_t size) {
        device->config_write(offset, {reinterpret_cast<const uint8_t*>(&value), size});
    }
    /// Offset of the capability of `id` in the list at 0x34, or 0.
    uint32_t capability(uint32_t id) {
        for (uint32_t at = config(0x34, 1); at != 0; at = config(at + 1, 1)) {
            if (config(at, 1) == id) return at;
        }
        return 0;
    }
    void enable_msix() {
        set_config(0x04, 0x0006, 2);                  // memory space and bus master
        set_config(capability(0x11) + 2, 0x8000, 2);  // MSI-X enable
    }

    pci::FakeSlot slot;
    std::unique_ptr<MockAccel> device;
};

TEST(MockAccelTest, RegistersOfAPfAreThoseOfMockDevice) {
    Rig rig(pf_options());
    EXPECT_EQ(rig.read(0x00), 0x4d4f434bU);
    EXPECT_EQ(rig.read(0x04), 0x00010000U);
    std::array<uint8_t, 16> uuid{};
    rig.device->read_bar(0, 0x08, uuid);
    EXPECT_THAT(uuid, ElementsAre(0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x01, 0x23, 0x45,
                                  0x67, 0x89, 0xab, 0xcd, 0xef));
    EXPECT_EQ(rig.read(0x20, 8), 16ULL << 30);
    EXPECT_EQ(rig.read(0x24), 4U);  // its upper half
    EXPECT_EQ(rig.read(0x28), 0x5U);
    EXPECT_EQ(rig.read(0x2c), 0U);
    EXPECT_EQ(rig.read(0x30), 0x00010000U);
    EXPECT_EQ(rig.read(0x34), 4U);
    EXPECT_EQ(rig.read(0x38), 0xffffffffU);
    EXPECT_EQ(rig.read(0x40), 0U);
    EXPECT_EQ(rig.device->display_uuid(), kUuid);
}

TEST(MockAccelTest, LabelOfAVfIsInItsRegisters) {
    Rig rig(vf_options());
    std::array<uint8_t, 64> label{};
    rig.device->read_bar(0, 0x40, label);
    EXPECT_STREQ(reinterpret_cast<const char*>(label.data()), "NODE1-NUMA0-PF-VF2");
    std::array<uint8_t, 16> uuid{};
    rig.device->read_bar(0, 0x08, uuid);
    EXPECT_EQ(std::string(uuid.begin(), uuid.end()), "NODE1-NUMA0-PF-V");
    EXPECT_EQ(rig.device->display_uuid(), "NODE1-NUMA0-PF-VF2");
    EXPECT_EQ(rig.read(0x20, 8), 2ULL << 30);
    EXPECT_EQ(rig.read(0x34), 0U);
    EXPECT_EQ(rig.read(0x38), 2U);
}

TEST(MockAccelTest, ConfigHeaderHasTheIdsOfItsRole) {
    Rig pf(pf_options());
    EXPECT_EQ(pf.config(0x00), 0x00011de5U);
    EXPECT_EQ(pf.config(0x08) >> 8, 0x000000U);
    EXPECT_EQ(pf.config(0x2c), 0U);
    pf.set_config(0x10, 0xffffffff, 4);
    EXPECT_EQ(pf.config(0x10), 0xfffff000U);  // 4 KiB, 32 bits, not prefetchable
    Options accelerator = vf_options();
    accelerator.class_code = 0x120000;
    Rig vf(accelerator);
    EXPECT_EQ(vf.config(0x00), 0x00021de5U);
    EXPECT_EQ(vf.config(0x08) >> 8, 0x120000U);
}

TEST(MockAccelTest, CapabilitiesAreThoseOfTheReadme) {
    Rig rig(pf_options());
    EXPECT_NE(rig.capability(0x01), 0U);  // PM
    const uint32_t msix = rig.capability(0x11);
    ASSERT_NE(msix, 0U);
    EXPECT_EQ(rig.config(msix + 2, 2), 4U);   // STATUS and four rings
    EXPECT_EQ(rig.config(msix + 4), 0x800U);  // table in BAR0
    EXPECT_EQ(rig.config(msix + 8), 0xc00U);  // PBA in BAR0
    const uint32_t pcie = rig.capability(0x10);
    ASSERT_NE(pcie, 0U);
    EXPECT_EQ(rig.config(pcie + 2, 2) & 0xff, 0x02U);       // version 2, endpoint
    EXPECT_NE(rig.config(pcie + 4) & (1U << 28), 0U);       // FLR
    EXPECT_EQ(rig.config(pcie + 0x12, 2) & 0x3ff, 0x104U);  // 16 GT/s, x16
    EXPECT_EQ(rig.config(0x100) & 0xffff, 0x0001U);         // AER
    const uint32_t dsn = rig.config(0x100) >> 20;
    EXPECT_EQ(rig.config(dsn) & 0xffff, 0x0003U);
    const uint64_t serial = uint64_t{rig.config(dsn + 8)} << 32 | rig.config(dsn + 4);
    EXPECT_EQ(serial, rig.device->identifier().serial_number());
}

TEST(MockAccelTest, LinkIsThatOfTheOptions) {
    Options options = pf_options();
    options.link_speed = pci::LinkSpeed::kGen5;
    options.link_width = 8;
    Rig rig(options);
    EXPECT_EQ(rig.config(rig.capability(0x10) + 0x12, 2) & 0x3ff, 0x085U);
}

TEST(MockAccelTest, StatusChangeRaisesVector0WhenEnabled) {
    Rig rig(pf_options());
    rig.write(0x2c, 1);
    EXPECT_THAT(rig.slot.take(), IsEmpty());  // MSI-X is off
    rig.enable_msix();
    rig.slot.take();
    rig.write(0x2c, 2);
    rig.write(0x2c, 2);
    EXPECT_EQ(rig.read(0x2c), 2U);
    EXPECT_THAT(rig.slot.take(), ElementsAre("msix 0"));
    rig.device->set_status(2);
    EXPECT_THAT(rig.slot.take(), IsEmpty());
    rig.device->set_status(3);
    EXPECT_THAT(rig.slot.take(), ElementsAre("msix 0"));
    EXPECT_EQ(rig.read(0x2c), 3U);
    rig.write(0x2d, 0xab, 1);
    EXPECT_EQ(rig.device->status(), 0xab03U);
}

TEST(MockAccelTest, NumVfsOfAPfIsLimitedAndOfAVfIsZero) {
    Rig pf(pf_options());
    pf.write(0x3c, 3);
    EXPECT_EQ(pf.read(0x3c), 3U);
    pf.write(0x3c, 5);
    EXPECT_EQ(pf.device->num_vfs(), 3U);
    Rig vf(vf_options());
    vf.write(0x3c, 1);
    EXPECT_EQ(vf.read(0x3c), 0U);
}

TEST(MockAccelTest, EveryResetRestoresStatusAndNumVfsOnly) {
    for (const auto kind : {pci::ResetKind::kFunctionLevel, pci::ResetKind::kConventional,
                            pci::ResetKind::kPower, pci::ResetKind::kDetach}) {
        Rig rig(pf_options());
        rig.enable_msix();
        rig.write(0x2c, 7);
        rig.write(0x3c, 2);
        rig.slot.take();
        rig.device->reset(kind);
        EXPECT_EQ(rig.read(0x2c), 0U);
        EXPECT_EQ(rig.read(0x3c), 0U);
        EXPECT_EQ(rig.read(0x34), 4U);
        EXPECT_EQ(rig.read(0x20, 8), 16ULL << 30);
        EXPECT_EQ(rig.read(0x08), 0x78563412U);
        EXPECT_THAT(rig.slot.take(), testing::Not(testing::Contains("msix 0")));
    }
}

TEST(MockAccelTest, FlrThroughConfigSpaceResetsRegisters) {
    Rig rig(pf_options());
    rig.write(0x2c, 7);
    const uint32_t devctl = rig.capability(0x10) + 8;
    rig.set_config(devctl, rig.config(devctl, 2) | 0x8000, 2);
    EXPECT_EQ(rig.read(0x2c), 0U);
}

TEST(MockAccelTest, MsixTableLiesInBar0) {
    Rig rig(pf_options());
    rig.write(0x800, 0xfee00000);
    rig.write(0x808, 0x4041);
    EXPECT_EQ(rig.read(0x800), 0xfee00000U);
    EXPECT_EQ(rig.read(0x808), 0x4041U);
    EXPECT_EQ(rig.read(0xc00, 8), 0U);
}

TEST(MockAccelTest, WholeBarAndEveryOffsetCanBeAccessed) {
    Rig rig(pf_options());
    rig.write(0x800, 0xfee00000);
    std::vector<uint8_t> image(kBarSizeBytes);
    rig.device->read_bar(0, 0, image);
    EXPECT_EQ(image[0], 0x4b);
    EXPECT_EQ(image[0x803], 0xfe);
    EXPECT_EQ(image.back(), 0);
    for (uint64_t offset = 0; offset < kBarSizeBytes; ++offset) {
        for (const size_t size : {1U, 2U, 4U, 8U}) {
            if (offset + size > kBarSizeBytes) continue;
            rig.read(offset, size);
            rig.write(offset, 0xa5a5a5a5a5a5a5a5, size);
        }
    }
    EXPECT_EQ(rig.read(0x00), 0x4d4f434bU);
    EXPECT_GT(rig.device->registers().counters().undecodable_reads, 0U);
}

TEST(MockAccelTest, SnapshotMovesToADeviceWithTheSameOptionsOnly) {
    Rig rig(pf_options());
    rig.write(0x2c, 9);
    rig.write(0x3c, 4);
    reg::Snapshot saved = rig.device->snapshot();
    Rig twin(pf_options());
    ASSERT_TRUE(twin.device->restore(saved).has_value());
    EXPECT_EQ(twin.read(0x2c), 9U);
    EXPECT_EQ(twin.device->num_vfs(), 4U);
    Rig other(vf_options());
    EXPECT_FALSE(other.device->restore(saved).has_value());
    saved.values["NUM_VFS"] = 5;
    const Status status = twin.device->restore(saved);
    ASSERT_FALSE(status.has_value());
    EXPECT_THAT(status.error().message(), HasSubstr("NUM_VFS is 5"));
}

TEST(MockAccelTest, BadOptionsAreRefusedByName) {
    const auto refused = [](void (*change)(Options&), const char* message) {
        Options options = pf_options();
        change(options);
        const auto device = MockAccel::create(options);
        ASSERT_FALSE(device.has_value()) << message;
        EXPECT_THAT(device.error().message(), HasSubstr("mock-accel accel0: "));
        EXPECT_THAT(device.error().message(), HasSubstr(message));
    };
    refused([](Options& o) { o.identifier = ""; }, "the identifier is empty");
    refused([](Options& o) { o.identifier = std::string(64, 'x'); }, "at most 63");
    refused([](Options& o) { o.role = Pf{.vfs = StaticVfs{8}}; }, "8 VFs, at most 7");
    refused([](Options& o) { o.role = StaticVf{7}; }, "VF index 7");
    refused([](Options& o) { o.class_code = 0x1000000; }, "24 bits");
    refused([](Options& o) { o.memory_size_bytes = 0; }, "memory size is 0");
    refused([](Options& o) { o.link_width = 3; }, "width");
}

TEST(MockAccelTest, MemoryOfADeviceIsSmall) {
    Rig rig(pf_options());
    const size_t model = sizeof(MockAccel) + rig.device->registers().heap_bytes();
    const size_t function = rig.device->heap_bytes();
    EXPECT_LT(model, 2048U);
    EXPECT_LT(model + function, 4096U) << "its model " << model << ", its function " << function;
    RecordProperty("bytes", static_cast<int>(model + function));
}

}  // namespace
}  // namespace mimic::mock_accel
