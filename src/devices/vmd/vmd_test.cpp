// SPDX-License-Identifier: Apache-2.0
// The endpoint: what the driver expects of it, and how its BARs, vectors and resets reach the
// fabric behind.
#include "devices/vmd/vmd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pci/config/pci_regs.h"
#include "pci/testing/fabric.h"
#include "pci/testing/function.h"

namespace mimic::vmd {
namespace {

using pci::Guest;
using pci::TestDevice;
using testing::ElementsAre;
using testing::IsEmpty;
namespace regs = pci::regs;

constexpr uint64_t kMemory32 = 0x8000'0000;
constexpr uint64_t kMemory64 = 0x40'0000'0000;

class VmdTest : public testing::Test {
protected:
    VmdTest() {
        device = std::move(*Vmd::create({.name = "vmd"}));
        port = *device->fabric().add_bridge(nullptr, 0, {.name = "rp"}, 1, 2);
        auto made = TestDevice::create({});
        child = made.get();
        EXPECT_TRUE(device->fabric().add_function(port, 0, std::move(made)));
        device->attach(slot);
    }
    ~VmdTest() override { device->detach(); }

    template <typename T>
    void put(uint32_t offset, T value) {
        device->config_write(offset, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
    }
    template <typename T = uint32_t>
    T get(uint32_t offset) {
        T value{};
        device->config_read(offset, {reinterpret_cast<uint8_t*>(&value), sizeof value});
        return value;
    }
    template <typename T = uint32_t>
    T load(unsigned bar, uint64_t offset) {
        T value{};
        device->read_bar(bar, offset, {reinterpret_cast<uint8_t*>(&value), sizeof value});
        return value;
    }
    template <typename T = uint32_t>
    void store(unsigned bar, uint64_t offset, T value) {
        device->write_bar(bar, offset, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
    }

    /// Addresses of the endpoint, and a child at BAR2 + 0 and BAR4 + 1 MiB.
    void program() {
        put<uint32_t>(regs::BAR0 + 4 * kMemory32Bar, kMemory32);
        put<uint64_t>(regs::BAR0 + 4 * kMemory64Bar, kMemory64);
        put<uint16_t>(regs::COMMAND, regs::COMMAND_MEMORY_SPACE | regs::COMMAND_BUS_MASTER);
        put<uint16_t>(0x82, regs::MSIX_CONTROL_ENABLE);
        Guest guest(device->fabric());
        guest.open_port(0, 0, 1, 0, 1);
        guest.open_device(0x100, kMemory32, kMemory64 + 0x10'0000);
    }

    pci::FakeSlot slot;
    std::unique_ptr<Vmd> device;
    pci::Port* port = nullptr;
    TestDevice* child = nullptr;
};

TEST(VmdCreateTest, RefusesBarsThatNoHardwareHas) {
    EXPECT_FALSE(Vmd::create({.name = "x", .config_bar_bytes = 3 << 20}));
    EXPECT_FALSE(Vmd::create({.name = "x", .config_bar_bytes = 512 << 20}));
    EXPECT_FALSE(Vmd::create({.name = "x", .config_bar_bytes = 1 << 19}));
    EXPECT_FALSE(Vmd::create({.name = "x", .memory32_bar_bytes = 1ull << 31}));
    EXPECT_FALSE(Vmd::create({.name = "x", .memory64_bar_bytes = 0}));
    EXPECT_TRUE(Vmd::create({.name = "x", .config_bar_bytes = 256 << 20}));
}

TEST_F(VmdTest, IsTheDeviceThatTheDriverKnows) {
    EXPECT_EQ(get(regs::VENDOR_ID), 0xa77f'8086u);
    EXPECT_EQ(get(regs::REVISION_ID) >> 8, 0x010400u);
    EXPECT_EQ(device->fabric().buses(), 32u);
}

TEST_F(VmdTest, VmcapSaysNoRestrictionAndVmconfigTakesWrites) {
    put<uint32_t>(0x40, ~0u);
    EXPECT_EQ(get(0x40), 0u);
    put<uint32_t>(0x44, 0x1234'5678);
    EXPECT_EQ(get(0x44), 0x1234'5678u);
    for (uint32_t at = get<uint8_t>(regs::CAPABILITIES_POINTER); at != 0;
         at = get<uint8_t>(at + 1)) {
        EXPECT_GE(at, 0x48u) << "no capability where the driver looks for its registers";
    }
}

TEST_F(VmdTest, ConfigurationSpaceOfTheDomainIsBar0) {
    EXPECT_EQ(load(kConfigBar, 0), 0x0100'1de5u);
    EXPECT_EQ(load(kConfigBar, 1 << 20), 0x0001'1de5u);
    EXPECT_EQ(load(kConfigBar, 2 << 20), ~0u);
    EXPECT_EQ(load(kConfigBar, (32 << 20) - 4), ~0u);
}

TEST_F(VmdTest, BothWindowsReachTheChild) {
    program();
    store<uint32_t>(kMemory32Bar, TestDevice::kRegisters, 5);
    EXPECT_EQ(load(kMemory32Bar, TestDevice::kRegisters), 5u);
    EXPECT_EQ(load(kMemory64Bar, 0x10'0000), 5u) << "its BAR2 shows the same memory";
    EXPECT_EQ(load(kMemory32Bar, 0x10'0000), ~0u);
}

TEST_F(VmdTest, ChildNeverSeesTheEndpointsOwnMsixTable) {
    program();
    Guest(device->fabric()).open_device(0x100, kMemory32, kMemory64);  // over it
    store<uint32_t>(kMemory64Bar, 8, 0xabcd);
    EXPECT_EQ(load(kMemory64Bar, 8), 0xabcdu);
    EXPECT_EQ(child->writes, 0u);
    store<uint32_t>(kMemory64Bar, kOwnBytes, 1);
    EXPECT_EQ(child->writes, 1u);
}

TEST_F(VmdTest, ChildsMessageFiresTheEndpointsVector) {
    program();
    Guest(device->fabric()).open_msix(*child, 0x100, kMemory32, 7);
    slot.take();
    child->raise_msix(2);
    EXPECT_THAT(slot.take(), ElementsAre("msix 9"));
    put<uint16_t>(regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
    child->raise_msix(2);
    EXPECT_THAT(slot.take(), IsEmpty()) << "without the endpoint's bus mastering";
}

TEST_F(VmdTest, ChildHasNoDmaWithoutTheEndpointsBusMaster) {
    program();
    put<uint16_t>(regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
    bool failed = false;
    child->dma()->read(0, 4, [&](const auto& result) { failed = !result.has_value(); });
    EXPECT_TRUE(failed);
}

TEST_F(VmdTest, DmaToAWindowIsPeerToPeer) {
    program();
    bool done = false;
    child->dma()->write(kMemory32 + TestDevice::kRegisters, std::array{std::byte{3}},
                        [&](Status status) { done = status.has_value(); });
    EXPECT_TRUE(done);
    EXPECT_EQ(child->memory[0], 3);
    EXPECT_EQ(device->fabric().counters().peer_to_peer, 1u);
}

TEST_F(VmdTest, MovedWindowTakesItsAddressesAlong) {
    program();
    ASSERT_EQ(load(kMemory32Bar, TestDevice::kRegisters), 0u);
    put<uint32_t>(regs::BAR0 + 4 * kMemory32Bar, 0x9000'0000);
    EXPECT_EQ(load(kMemory32Bar, TestDevice::kRegisters), ~0u);
}

TEST_F(VmdTest, ResetOfTheEndpointIsOneOfTheDomain) {
    program();
    child->resets.clear();
    device->reset(pci::ResetKind::kConventional);
    EXPECT_THAT(child->resets, ElementsAre(pci::ResetKind::kConventional));
    EXPECT_EQ(load(kConfigBar, 1 << 20), 0x0001'1de5u) << "bus numbers are back";
    EXPECT_EQ(load(kMemory32Bar, TestDevice::kRegisters), ~0u);
}

TEST_F(VmdTest, ClientsComeAndGo) {
    for (int i = 0; i < 5; ++i) {
        program();
        EXPECT_EQ(load(kMemory32Bar, TestDevice::kRegisters), 0u);
        device->detach();
        EXPECT_FALSE(device->fabric().attached());
        EXPECT_EQ(child->slot(), nullptr);
        device->attach(slot);
    }
}

}  // namespace
}  // namespace mimic::vmd
