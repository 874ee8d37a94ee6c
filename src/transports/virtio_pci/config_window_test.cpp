// SPDX-License-Identifier: Apache-2.0
// The window in configuration space, as firmware uses it. Virtio 1.3, 4.1.4.9.
#include <gmock/gmock.h>

#include "virtio_pci/testing/echo_device.h"
#include "virtio_pci/testing/pci_guest.h"
#include "virtio_pci/virtio_pci.h"

namespace mimic::virtio_pci {
namespace {

using namespace pci::regs;

class Window : public testing::Test {
protected:
    Window() {
        auto made = std::make_unique<EchoDevice>();
        device_ = made.get();
        function_ = std::move(*create(std::move(made), {.class_code = 0x120000}));
        guest_.emplace(*function_);
        at_ = guest_->place(Structure::kPciConfig).capability;
    }
    ~Window() override { guest_.reset(); }

    void aim(uint32_t bar, uint32_t offset, uint32_t length) {
        guest_->write_config(at_ + kCapBar, 1, bar);
        guest_->write_config(at_ + kCapOffset, 4, offset);
        guest_->write_config(at_ + kCapLength, 4, length);
    }
    uint32_t look() { return guest_->read_config(at_ + kCapData, 4); }
    void put(uint32_t value) { guest_->write_config(at_ + kCapData, 4, value); }

    std::unique_ptr<pci::Function> function_;
    EchoDevice* device_ = nullptr;
    std::optional<PciGuest> guest_;
    uint32_t at_ = 0;
};

TEST_F(Window, ReadsWhatItIsAimedAt) {
    aim(0, kCommonOffset + 0x12, 2);
    EXPECT_EQ(look() & 0xffff, 3u);
    device_->config = {1, 2, 3, 4};
    aim(0, kDeviceOffset, 4);
    EXPECT_EQ(look(), 0x04030201u);
    device_->config[0] = 9;
    EXPECT_EQ(look() & 0xff, 9u);  // each read is an access
}

TEST_F(Window, WritesWhatItIsAimedAt) {
    aim(0, kCommonOffset + 0x14, 1);
    put(virtio::kAcknowledge);
    EXPECT_EQ(device_->status(), virtio::kAcknowledge);
    aim(0, kDeviceOffset + 4, 4);
    put(0x44332211);
    EXPECT_EQ(device_->config[7], 0x44);
    aim(0, kDeviceOffset + 8, 2);
    put(0xffff'2211);
    EXPECT_EQ(device_->config[9], 0x22);
    EXPECT_EQ(device_->config[10], 0);
}

TEST_F(Window, KicksThroughIt) {
    ASSERT_TRUE(guest_->start());
    ASSERT_TRUE(guest_->queue(1).add({}, {{PciGuest::kData, 8}}));
    aim(0, kNotifyOffset + 4, 2);
    put(1);
    EXPECT_TRUE(guest_->queue(1).take());
}

TEST_F(Window, ReadsOfTheIsrTakeThePinBack) {
    ASSERT_TRUE(guest_->start({.msix = false}));
    ASSERT_TRUE(guest_->queue(0).add({}, {{PciGuest::kData, 8}}));
    guest_->kick(0);
    aim(0, kIsrOffset, 1);
    EXPECT_EQ(look() & 0xff, kIsrQueue);
    EXPECT_EQ(look() & 0xff, 0u);
    EXPECT_THAT(guest_->slot().take(), testing::ElementsAre("pin 1", "pin 0"));
}

TEST_F(Window, AnyPartOfTheDataIsAnAccess) {
    device_->config = {1, 2, 3, 4};
    aim(0, kDeviceOffset, 4);
    EXPECT_EQ(guest_->read_config(at_ + kCapData + 2, 1), 3u);
    guest_->write_config(at_ + kCapData + 1, 1, 0x77);
    EXPECT_EQ(device_->config[1], 0x77);
}

TEST_F(Window, WhatIsNothingStaysQuiet) {
    const auto reads = [&] { return function_->counters().bar_reads; };
    const auto writes = [&] { return function_->counters().bar_writes; };
    const uint64_t reads_before = reads();
    const uint64_t writes_before = writes();
    const struct {
        uint32_t bar, offset, length;
    } bad[] = {{0, 0, 0},          {0, 0, 3},           {0, 0, 8},      {0, 0xffff'ffff, 1},
               {0, 1, 2},          {0, kBarBytes, 1},   {2, 0, 4},      {6, 0, 4},
               {255, 0, 4},        {0, 0xffff'fffc, 4}, {1, 0x1000, 4}, {0, 2, 4},
               {0, 0, 0xffff'ffff}};
    for (const auto& one : bad) {
        aim(one.bar, one.offset, one.length);
        look();
        put(0xffff'ffff);
    }
    EXPECT_EQ(reads(), reads_before);
    EXPECT_EQ(writes(), writes_before);
}

TEST_F(Window, TheMsixTableIsReachedToo) {
    aim(1, 0, 4);
    put(0xfee0'0000);
    EXPECT_EQ(look(), 0xfee0'0000u);
    EXPECT_EQ(function_->msix_message(0).address, 0xfee0'0000u);
}

TEST_F(Window, IsDeadInD3) {
    aim(0, kCommonOffset + 0x12, 2);
    uint32_t pm = guest_->read_config(CAPABILITIES_POINTER, 1);
    while (pm != 0 && guest_->read_config(pm, 1) != CAP_ID_PM) pm = guest_->read_config(pm + 1, 1);
    ASSERT_NE(pm, 0u);
    const uint64_t before = function_->counters().bar_reads;
    guest_->write_config(pm + PMCSR, 2, 3);
    look();
    put(0);
    EXPECT_EQ(function_->counters().bar_reads, before);
}

}  // namespace
}  // namespace mimic::virtio_pci
