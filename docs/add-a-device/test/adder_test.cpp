// SPDX-License-Identifier: Apache-2.0
// The unit test of the toy device: no socket, no VM; the test is the slot.
#include "adder.h"

#include <array>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "pci/config/pci_regs.h"
#include "reg/map_test.h"

MIMIC_MAP_TEST(Adder, adder::kMap);

namespace adder {
namespace {

// 64 bytes of guest memory at 0x1000, answered at once or when the test says so, and a count of
// interrupts.
class Slot final : public mimic::pci::Slot, public mimic::memory::DmaSpace {
public:
    void send_msix(uint32_t) override { ++interrupts; }
    void send_msi(uint32_t) override {}
    void set_intx(bool) override {}
    mimic::memory::DmaSpace& dma() override { return *this; }
    mimic::TaskRunner& runner() override { std::abort(); }

    std::optional<std::span<std::byte>> span(uint64_t, uint64_t,
                                             mimic::memory::DmaAccess) override {
        return std::nullopt;
    }
    void read(uint64_t iova, uint64_t size, ReadDone done) override {
        if (iova < 0x1000 || iova + size > 0x1000 + sizeof words)
            return done(mimic::fail(std::errc::bad_address, "not memory"));
        pending = [this, iova, size, done] {
            done(std::as_bytes(std::span(words)).subspan(iova - 0x1000, size));
        };
        if (!late) pending();
    }
    void write(uint64_t, std::span<const std::byte>, WriteDone) override {}

    std::array<uint32_t, 16> words{1, 2, 3, 0xffffffff};
    std::function<void()> pending;
    bool late = false;
    int interrupts = 0;
};

class AdderTest : public testing::Test {
protected:
    AdderTest() {
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

    Slot slot;
    std::unique_ptr<Adder> device = std::move(Adder::create("adder0")).value();
};

TEST_F(AdderTest, AddsWordsOfGuestMemoryAndInterrupts) {
    add(0x1000, 4);
    EXPECT_EQ(read(STATUS.offset, 4), 0x2u);
    EXPECT_EQ(read(SUM.offset, 8), 0x100000005u);
    EXPECT_EQ(slot.interrupts, 1);
}

TEST_F(AdderTest, ReportsAnErrorForAddressesThatAreNotMemory) {
    add(0x9000, 4);
    EXPECT_EQ(read(STATUS.offset, 4), 0x6u);
    EXPECT_EQ(slot.interrupts, 1);
}

TEST_F(AdderTest, RefusesMoreWordsThanItHasRoomFor) {
    add(0x1000, kMaxWords + 1);
    EXPECT_EQ(read(STATUS.offset, 4), 0x6u);
}

TEST_F(AdderTest, IgnoresAnAnswerFromBeforeAReset) {
    slot.late = true;
    add(0x1000, 4);
    EXPECT_EQ(read(STATUS.offset, 4), 0x1u);
    device->reset(mimic::pci::ResetKind::kFunctionLevel);
    slot.pending();
    EXPECT_EQ(read(STATUS.offset, 4), 0u);
    EXPECT_EQ(slot.interrupts, 0);
}

}  // namespace
}  // namespace adder
