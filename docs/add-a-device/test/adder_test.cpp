// SPDX-License-Identifier: Apache-2.0
// The unit test of the toy device: no socket, no VM; the slot is a fake one with memory and time.
#include "adder.h"

#include <array>

#include <gtest/gtest.h>

#include "pci/config/pci_regs.h"
#include "pci/testing/slot.h"
#include "reg/map_test.h"

MIMIC_MAP_TEST(Adder, adder::kMap);

namespace adder {
namespace {

class AdderTest : public testing::Test {
protected:
    AdderTest() {
        slot.memory.add(0x1000, 64);
        slot.memory.put(0x1000, std::array<uint32_t, 4>{1, 2, 3, 0xffffffff});
        device->attach(slot);
        write_config(mimic::pci::regs::COMMAND, 0x6);  // memory space, bus master
        const uint32_t msix = device->config().find_capability(0x11);
        write_config(msix + 2, 0x8000);  // MSI-X enable
    }
    ~AdderTest() override { device->detach(); }

    void write_config(uint32_t offset, uint16_t value) {
        device->config_write(offset, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
    }
    void write(uint64_t offset, uint32_t value) {
        device->write_bar(0, offset, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
    }
    uint64_t read(uint64_t offset, size_t size) {
        uint64_t value = 0;
        device->read_bar(0, offset, {reinterpret_cast<uint8_t*>(&value), size});
        return value;
    }
    void add(uint32_t source, uint32_t count) {
        write(SOURCE.offset, source);
        write(SOURCE.offset + 4, 0);
        write(COUNT.offset, count);
        write(CTRL.offset, 1);
    }

    mimic::pci::FakeSlot slot;
    std::unique_ptr<Adder> device = std::move(Adder::create("adder0")).value();
};

TEST_F(AdderTest, AddsWordsOfGuestMemoryAndInterrupts) {
    add(0x1000, 4);
    EXPECT_EQ(read(STATUS.offset, 4), 0x2u);
    EXPECT_EQ(read(SUM.offset, 8), 0x100000005u);
    EXPECT_EQ(slot.vectors.size(), 1u);
}

TEST_F(AdderTest, ReportsAnErrorForAddressesThatAreNotMemory) {
    add(0x9000, 4);
    EXPECT_EQ(read(STATUS.offset, 4), 0x6u);
    EXPECT_EQ(slot.vectors.size(), 1u);
}

TEST_F(AdderTest, RefusesMoreWordsThanItHasRoomFor) {
    add(0x1000, kMaxWords + 1);
    EXPECT_EQ(read(STATUS.offset, 4), 0x6u);
}

TEST_F(AdderTest, IgnoresAnAnswerFromBeforeAReset) {
    slot.memory.answers_later = true;
    add(0x1000, 4);
    EXPECT_EQ(read(STATUS.offset, 4), 0x1u);
    device->reset(mimic::pci::ResetKind::kFunctionLevel);
    EXPECT_TRUE(slot.memory.answer());
    EXPECT_EQ(read(STATUS.offset, 4), 0u);
    EXPECT_TRUE(slot.vectors.empty());
}

}  // namespace
}  // namespace adder
