// SPDX-License-Identifier: Apache-2.0
// A PF with an SR-IOV capability and the VFs that it brings.
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/mock_accel/device_rig.h"
#include "pci/config/pci_regs.h"
#include "pci/function/sriov.h"

namespace mimic::mock_accel {
namespace {

using testing::HasSubstr;

Options pf_options(uint32_t vfs) {
    NativeVfs native{.memory_bar_bytes = 0x4000};
    for (uint32_t i = 0; i < vfs; ++i) {
        native.vfs.push_back(
            {.name = fmt::format("accel0-vf{}", i), .identifier = fmt::format("VF-{}", i)});
    }
    return {.name = "accel0", .role = Pf{.vfs = std::move(native)}, .identifier = "PF-0"};
}

struct NativeSriovTest : testing::Test {
    NativeSriovTest() { rig.start(); }

    void enable(uint16_t count) {
        rig.set_config(sriov + pci::regs::SRIOV_NUM_VFS, count, 2);
        rig.set_config(sriov + pci::regs::SRIOV_CONTROL, 0x19, 2);  // VF Enable, VF MSE, ARI
    }
    MockAccel& vf(uint32_t index) {
        return dynamic_cast<MockAccel&>(*rig.device->sriov()->vf(index));
    }

    DeviceRig rig{pf_options(64)};
    uint32_t sriov = DeviceRig::extended_capability(*rig.device, pci::regs::EXT_CAP_ID_SRIOV);
};

TEST_F(NativeSriovTest, CapabilitySaysWhatTheOptionsSay) {
    ASSERT_NE(sriov, 0U);
    EXPECT_NE(DeviceRig::extended_capability(*rig.device, pci::regs::EXT_CAP_ID_ARI), 0U);
    EXPECT_EQ(rig.config(sriov + pci::regs::SRIOV_TOTAL_VFS, 2), 64U);
    EXPECT_EQ(rig.config(sriov + pci::regs::SRIOV_VF_DEVICE_ID, 2), kVfDeviceId);
    rig.set_config(sriov + pci::regs::SRIOV_VF_BAR0, 0xffffffff, 4);
    rig.set_config(sriov + pci::regs::SRIOV_VF_BAR0 + 8, 0xffffffff, 4);
    EXPECT_EQ(rig.config(sriov + pci::regs::SRIOV_VF_BAR0), 0xfffff000U);
    EXPECT_EQ(rig.config(sriov + pci::regs::SRIOV_VF_BAR0 + 8), 0xffffc00cU);
    EXPECT_EQ(rig.read(TOTAL_VFS.offset), 64U);
}

size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(all), end(all)));
}

// Each VF has a memfd, and nothing is freed until the loop turns.
TEST_F(NativeSriovTest, TogglingVfEnableInOneTurnTakesABoundedNumberOfDescriptors) {
    const size_t before = open_descriptors();
    for (int i = 0; i < 500; ++i) {
        enable(64);
        rig.set_config(sriov + pci::regs::SRIOV_CONTROL, 0, 2);
        ASSERT_LE(open_descriptors(), before + 2 * 64 + 8) << i;
    }
    enable(64);
    rig.slot.time.run();
    EXPECT_EQ(rig.device->sriov()->num_vfs(), 64U);
    EXPECT_LE(open_descriptors(), before + 64 + 8);
}

// No file may be as long as a VF's memory. (No descriptors would do as well, but UBSan needs some.)
TEST_F(NativeSriovTest, VfsThatCannotBeMadeFillNoLog) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit little = before;
    little.rlim_cur = 0x3fff;
    auto* const old = std::signal(SIGXFSZ, SIG_IGN);
    testing::internal::CaptureStderr();
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
    for (int i = 0; i < 1000; ++i) {
        enable(64);
        rig.set_config(sriov + pci::regs::SRIOV_CONTROL, 0, 2);
    }
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, old);
    const std::string log = testing::internal::GetCapturedStderr();
    const auto lines = std::count(log.begin(), log.end(), '\n');
    EXPECT_GE(lines, 1);
    EXPECT_LT(lines, 50) << "of 1,000; the file had room for more";
    EXPECT_EQ(rig.device->sriov()->num_vfs(), 0U);
    rig.slot.time.run();
    enable(64);
    EXPECT_EQ(rig.device->sriov()->num_vfs(), 64U) << "once there is room again";
}

TEST_F(NativeSriovTest, VfsComeWithTheirOptionsAndGo) {
    enable(64);
    ASSERT_EQ(rig.device->sriov()->num_vfs(), 64U);
    for (uint32_t i = 0; i < 64; ++i) {
        EXPECT_EQ(vf(i).display_uuid(), fmt::format("VF-{}", i));
        EXPECT_EQ(vf(i).role(), Role::kVf);
        EXPECT_EQ(vf(i).registers().load(vf(i).registers().map().registers[8], 0), i);  // VF_INDEX
        EXPECT_EQ(vf(i).device_memory().size(), 0x4000U);
    }
    EXPECT_EQ(DeviceRig::config_of(vf(0), 0), 0xffffffffU);
    EXPECT_EQ(DeviceRig::config_of(vf(0), 0x10), 0U);
    EXPECT_EQ(DeviceRig::config_of(vf(0), 0x18), 0U);
    EXPECT_NE(DeviceRig::extended_capability(vf(0), pci::regs::EXT_CAP_ID_ARI), 0U);
    EXPECT_EQ(vf(0).msix_vectors(), 2U);
    rig.set_config(sriov + pci::regs::SRIOV_CONTROL, 0x10, 2);
    EXPECT_EQ(rig.device->sriov()->num_vfs(), 0U);
    rig.slot.time.run();  // they end now
}

TEST_F(NativeSriovTest, NumVfsFollowsTheCapability) {
    rig.write(NUM_VFS.offset, 3);
    EXPECT_EQ(rig.read(NUM_VFS.offset), 0U);
    enable(5);
    EXPECT_EQ(rig.read(NUM_VFS.offset), 5U);
    rig.write(NUM_VFS.offset, 3);
    EXPECT_EQ(rig.read(NUM_VFS.offset), 5U);
    EXPECT_EQ(rig.device->num_vfs(), 5U);
    const reg::Snapshot saved = rig.device->snapshot();
    rig.device->reset(pci::ResetKind::kFunctionLevel);
    EXPECT_EQ(rig.read(NUM_VFS.offset), 0U);
    ASSERT_TRUE(rig.device->restore(saved).has_value());
    EXPECT_EQ(rig.read(NUM_VFS.offset), 0U);  // config space is not in it
}

TEST_F(NativeSriovTest, AVfMovesMemory) {
    enable(1);
    pci::FakeSlot slot;
    slot.memory.add(0x1000, 0x1000);
    MockAccel& device = vf(0);
    device.attach(slot);
    const uint16_t bus_master = 0x0004;
    device.config_write(0x04, {reinterpret_cast<const uint8_t*>(&bus_master), 2});
    const auto write = [&](uint64_t offset, uint64_t value, size_t size) {
        device.write_bar(0, offset, {reinterpret_cast<const uint8_t*>(&value), size});
    };
    const Descriptor fill{.opcode = kOpcodeFill,
                          .flags = kFlagDestinationLocal,
                          .length = 8,
                          .source = 0x5a,
                          .cookie = 4};
    std::memcpy(slot.memory.at(0x1000), &fill, sizeof fill);
    write(RING_BASE.offset, 0x1000, 8);
    write(COMPLETION_BASE.offset, 0x1800, 8);
    write(RING_CONTROL.offset, 1, 4);
    write(RING_TAIL.offset, 1, 4);
    slot.time.run();
    EXPECT_EQ(*slot.memory.at(0x1800), std::byte{4});
    EXPECT_EQ(device.device_memory()[0], std::byte{0x5a});
    write(RING_TAIL.offset, 2, 4);
    rig.set_config(sriov + pci::regs::SRIOV_CONTROL, 0x10, 2);  // with work posted
    rig.slot.time.run();
    slot.time.run();
}

TEST(NativeSriovOptionsTest, BadOptionsAreRefused) {
    const auto refused = [](void (*change)(NativeVfs&), const char* message) {
        Options options = pf_options(2);
        change(std::get<NativeVfs>(std::get<Pf>(options.role).vfs));
        const auto device = MockAccel::create(options);
        ASSERT_FALSE(device.has_value()) << message;
        EXPECT_THAT(device.error().message(), HasSubstr(message));
    };
    refused([](NativeVfs& n) { n.vfs.clear(); }, "1 to 64");
    refused([](NativeVfs& n) { n.vfs.resize(65, n.vfs[0]); }, "1 to 64");
    refused([](NativeVfs& n) { n.memory_bar_bytes = 5000; }, "want a power of two");
    refused([](NativeVfs& n) { n.vfs[1].identifier = ""; }, "accel0-vf1: the identifier is empty");
    refused([](NativeVfs& n) { n.vfs[1].rings = 9; }, "9 rings");
}

}  // namespace
}  // namespace mimic::mock_accel
