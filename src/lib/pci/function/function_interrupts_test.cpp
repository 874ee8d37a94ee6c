// SPDX-License-Identifier: Apache-2.0
// When a function's interrupts reach its slot: enables, masks, pending bits, resets, for pin, MSI
// and MSI-X.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "pci/function/capabilities.h"
#include "pci/testing/function.h"

namespace mimic::pci {
namespace {

using namespace regs;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint32_t kVectors = 70;
constexpr uint32_t kPba = 0x8000;

class Interrupts : public testing::Test {
protected:
    void SetUp() override {
        CapabilityBuilder builder(function_);
        pm_ = *builder.add_power_management({});
        msi_ = *builder.add_msi({.vectors = 8});
        msix_ = *builder.add_msix({.vectors = kVectors, .pba_offset = kPba});
        pcie_ = *builder.add_pcie({});
        function_.attach(slot_);
        command(COMMAND_BUS_MASTER | COMMAND_MEMORY_SPACE);
    }
    void command(uint32_t value) { function_.write_u16(COMMAND, value); }
    void msix_control(uint32_t value) { function_.write_u16(msix_ + MSIX_CONTROL, value); }
    void msi_control(uint32_t granted_log2, bool enable = true) {
        function_.write_u16(msi_ + MSI_CONTROL, (granted_log2 << 4) | (enable ? 1U : 0U));
    }
    void vector_mask(uint32_t vector, uint32_t value) {
        function_.bar0_write_u32(vector * 16 + 12, value);
    }
    bool status_bit() { return (function_.config().u16(STATUS) & STATUS_INTERRUPT) != 0; }

    FakeSlot slot_;
    TestFunction function_;
    uint32_t pm_ = 0, msi_ = 0, msix_ = 0, pcie_ = 0;
};

// --- The pin ---------------------------------------------------------------------------------

TEST_F(Interrupts, PinFollowsTheLevelOnChangesOnly) {
    function_.set_intx(true);
    function_.set_intx(true);
    EXPECT_TRUE(status_bit());
    function_.set_intx(false);
    EXPECT_FALSE(status_bit());
    EXPECT_THAT(slot_.take(), ElementsAre("pin 1", "pin 0"));
}

TEST_F(Interrupts, InterruptDisableHoldsThePinButNotTheStatus) {
    command(COMMAND_INTERRUPT_DISABLE);
    function_.set_intx(true);
    EXPECT_TRUE(status_bit());
    EXPECT_THAT(slot_.take(), IsEmpty());
    command(0);
    EXPECT_THAT(slot_.take(), ElementsAre("pin 1"));
    command(COMMAND_INTERRUPT_DISABLE);
    EXPECT_THAT(slot_.take(), ElementsAre("pin 0"));
}

TEST_F(Interrupts, MessagesReplaceThePin) {
    function_.set_intx(true);
    msix_control(MSIX_CONTROL_ENABLE);
    msix_control(0);
    msi_control(0);
    EXPECT_THAT(slot_.take(), ElementsAre("pin 1", "pin 0", "pin 1", "pin 0"));
}

TEST_F(Interrupts, PinIsDownOutsideD0) {
    function_.set_intx(true);
    function_.write_u16(pm_ + PMCSR, 3);
    EXPECT_THAT(slot_.take(), ElementsAre("pin 1", "pin 0"));
}

TEST_F(Interrupts, ResetsAndDetachDropThePin) {
    function_.set_intx(true);
    function_.reset(ResetKind::kConventional);
    EXPECT_FALSE(status_bit());
    EXPECT_THAT(slot_.take(), ElementsAre("pin 1", "pin 0"));
    function_.set_intx(true);
    function_.detach();
    EXPECT_THAT(slot_.take(), ElementsAre("pin 1", "pin 0"));
    function_.set_intx(true);  // with nobody there
    function_.attach(slot_);
    EXPECT_THAT(slot_.take(), ElementsAre("pin 1"));
}

TEST(InterruptsWithoutPin, LevelIsIgnored) {
    FunctionOptions options = TestFunction::default_options();
    options.interrupt_pin = 0;
    TestFunction function(options);
    FakeSlot slot;
    function.attach(slot);
    function.set_intx(true);
    EXPECT_THAT(slot.take(), IsEmpty());
    EXPECT_EQ(function.config().u16(STATUS), 0);
}

// --- MSI -------------------------------------------------------------------------------------

TEST_F(Interrupts, MsiNeedsEnableAndBusMasterAndD0) {
    function_.raise_msi(0);
    msi_control(0);
    command(0);
    function_.raise_msi(0);
    EXPECT_THAT(slot_.take(), IsEmpty());
    command(COMMAND_BUS_MASTER);
    EXPECT_THAT(slot_.take(), IsEmpty());  // what was raised before is lost
    function_.raise_msi(0);
    EXPECT_THAT(slot_.take(), ElementsAre("msi 0"));
    function_.write_u16(pm_ + PMCSR, 3);
    function_.raise_msi(0);
    EXPECT_THAT(slot_.take(), IsEmpty());
}

TEST_F(Interrupts, MsiFoldsVectorsToThoseGranted) {
    msi_control(1);
    function_.raise_msi(5);
    msi_control(3);
    function_.raise_msi(5);
    msi_control(5);  // 32, more than the 8 it has
    function_.raise_msi(7);
    msi_control(7);  // reserved
    function_.raise_msi(6);
    msi_control(0);
    function_.raise_msi(7);
    EXPECT_THAT(slot_.take(), ElementsAre("msi 1", "msi 5", "msi 7", "msi 6", "msi 0"));
}

TEST_F(Interrupts, MaskedMsiIsPendingUntilUnmasked) {
    msi_control(3);
    function_.write_u32(msi_ + MSI_MASK_64, 0x24);
    function_.raise_msi(2);
    function_.raise_msi(5);
    function_.raise_msi(5);
    EXPECT_THAT(slot_.take(), IsEmpty());
    EXPECT_EQ(function_.read_u32(msi_ + MSI_PENDING_64), 0x24U);
    function_.write_u8(msi_ + MSI_MASK_64, 0x04);
    EXPECT_THAT(slot_.take(), ElementsAre("msi 5"));
    EXPECT_EQ(function_.read_u32(msi_ + MSI_PENDING_64), 0x04U);
    function_.reset(ResetKind::kFunctionLevel);
    EXPECT_EQ(function_.read_u32(msi_ + MSI_PENDING_64), 0U);
    EXPECT_THAT(slot_.take(), IsEmpty());
}

TEST_F(Interrupts, PendingMsiWaitsForBusMaster) {
    msi_control(0);
    function_.write_u32(msi_ + MSI_MASK_64, 1);
    function_.raise_msi(0);
    command(0);
    function_.write_u32(msi_ + MSI_MASK_64, 0);
    EXPECT_THAT(slot_.take(), IsEmpty());
    command(COMMAND_BUS_MASTER);
    EXPECT_THAT(slot_.take(), ElementsAre("msi 0"));
}

TEST_F(Interrupts, MsiMessageCarriesItsNumberInTheLowBits) {
    function_.write_u32(msi_ + MSI_ADDRESS, 0xfee0'1003);
    function_.write_u32(msi_ + MSI_UPPER_ADDRESS, 0x2);
    function_.write_u16(msi_ + MSI_DATA_64, 0x4047);
    msi_control(2);
    EXPECT_EQ(function_.msi_message(6).address, 0x2'fee0'1000U);
    EXPECT_EQ(function_.msi_message(6).data, 0x4046U);
    msi_control(0);
    EXPECT_EQ(function_.msi_message(6).data, 0x4047U);
}

// --- MSI-X -----------------------------------------------------------------------------------

TEST_F(Interrupts, MsixNeedsEnableAndBusMasterAndD0) {
    function_.raise_msix(3);
    msix_control(MSIX_CONTROL_ENABLE);
    function_.raise_msix(3);
    EXPECT_THAT(slot_.take(), ElementsAre("msix 3"));
    command(0);
    function_.raise_msix(3);
    command(COMMAND_BUS_MASTER);
    function_.write_u16(pm_ + PMCSR, 3);
    function_.raise_msix(3);
    EXPECT_THAT(slot_.take(), IsEmpty());
    EXPECT_EQ(function_.bar0_read_u64(kPba), 0U);
}

TEST_F(Interrupts, FunctionMaskKeepsVectorsPending) {
    msix_control(MSIX_CONTROL_ENABLE | MSIX_CONTROL_FUNCTION_MASK);
    function_.raise_msix(69);
    function_.raise_msix(2);
    function_.raise_msix(2);
    EXPECT_THAT(slot_.take(), IsEmpty());
    EXPECT_EQ(function_.bar0_read_u64(kPba), 0x4U);
    EXPECT_EQ(function_.bar0_read_u64(kPba + 8), 0x20U);
    msix_control(MSIX_CONTROL_ENABLE);
    EXPECT_THAT(slot_.take(), ElementsAre("msix 2", "msix 69"));
    EXPECT_EQ(function_.bar0_read_u64(kPba), 0U);
    EXPECT_EQ(function_.bar0_read_u64(kPba + 8), 0U);
}

TEST_F(Interrupts, ClientThatOwnsTheTableDoesTheVectorMasks) {
    msix_control(MSIX_CONTROL_ENABLE);
    EXPECT_TRUE(function_.msix_table()->masked(1));
    function_.raise_msix(1);
    EXPECT_THAT(slot_.take(), ElementsAre("msix 1"));
}

TEST_F(Interrupts, OwnTableMasksAndDeliversOnUnmask) {
    slot_.owns_table = false;
    msix_control(MSIX_CONTROL_ENABLE);
    function_.raise_msix(1);
    EXPECT_THAT(slot_.take(), IsEmpty());
    EXPECT_EQ(function_.bar0_read_u64(kPba), 0x2U);
    vector_mask(0, 0);
    EXPECT_THAT(slot_.take(), IsEmpty());
    vector_mask(1, 0);
    EXPECT_THAT(slot_.take(), ElementsAre("msix 1"));
    EXPECT_EQ(function_.bar0_read_u64(kPba), 0U);
    function_.raise_msix(1);
    EXPECT_THAT(slot_.take(), ElementsAre("msix 1"));
}

TEST_F(Interrupts, UnmaskedVectorWaitsForTheFunctionMask) {
    slot_.owns_table = false;
    msix_control(MSIX_CONTROL_ENABLE | MSIX_CONTROL_FUNCTION_MASK);
    function_.raise_msix(1);
    function_.raise_msix(2);
    vector_mask(1, 0);
    EXPECT_THAT(slot_.take(), IsEmpty());
    msix_control(MSIX_CONTROL_ENABLE);
    EXPECT_THAT(slot_.take(), ElementsAre("msix 1"));
    EXPECT_EQ(function_.bar0_read_u64(kPba), 0x4U);
}

TEST_F(Interrupts, ResetClearsTableAndPending) {
    slot_.owns_table = false;
    msix_control(MSIX_CONTROL_ENABLE | MSIX_CONTROL_FUNCTION_MASK);
    vector_mask(1, 0);
    function_.raise_msix(1);
    function_.write_u16(pcie_ + DEVCTL, DEVCTL_INITIATE_FLR);
    EXPECT_EQ(function_.config().u16(msix_ + MSIX_CONTROL), kVectors - 1);
    EXPECT_EQ(function_.bar0_read_u64(kPba), 0U);
    EXPECT_TRUE(function_.msix_table()->masked(1));
    command(COMMAND_BUS_MASTER);
    msix_control(MSIX_CONTROL_ENABLE);
    EXPECT_THAT(slot_.take(), IsEmpty());
}

TEST_F(Interrupts, MsixMessageIsTheEntry) {
    function_.bar0_write_u32(0x20, 0xfee0'2000);
    function_.bar0_write_u32(0x24, 0x1);
    function_.bar0_write_u32(0x28, 0x77);
    EXPECT_EQ(function_.msix_message(2).address, 0x1'fee0'2000U);
    EXPECT_EQ(function_.msix_message(2).data, 0x77U);
}

TEST_F(Interrupts, OnlyTableAndPbaAreTakenFromTheModel) {
    function_.bar0_write_u32(kVectors * 16 - 4, 0);
    function_.bar0_write_u32(kPba, 0xffff'ffff);
    function_.bar0_write_u32(kPba + 12, 0xffff'ffff);
    EXPECT_EQ(function_.model_writes, 0U);
    EXPECT_EQ(function_.bar0_read_u64(kPba), 0U);
    function_.bar0_write_u32(kVectors * 16, 0);
    function_.bar0_write_u32(kPba - 4, 0);
    function_.bar0_write_u32(kPba + 16, 0);
    EXPECT_EQ(function_.model_writes, 3U);
    std::vector<uint8_t> data(4);
    function_.write_bar(1, 0, data);  // same offsets, other BAR
    EXPECT_EQ(function_.model_writes, 4U);
}

/// Remembers what reaches the model; reads as 0x5a.
class Remembering final : public Function {
public:
    using Access = std::pair<uint64_t, size_t>;

    Remembering() : Function(TestFunction::default_options()) {
        CapabilityBuilder builder(*this);
        EXPECT_TRUE(builder.add_msix({.vectors = 2, .table_offset = 0x100, .pba_offset = 0x140}));
    }
    std::vector<Access> reads;
    std::vector<Access> writes;

private:
    void on_read(unsigned, uint64_t offset, std::span<uint8_t> data) override {
        reads.emplace_back(offset, data.size());
        std::fill(data.begin(), data.end(), uint8_t{0x5a});
    }
    void on_write(unsigned, uint64_t offset, std::span<const uint8_t> data) override {
        writes.emplace_back(offset, data.size());
    }
    void on_reset(ResetKind) override {}
};

TEST(MsixRouting, AccessesThatStraddleABorderAreDivided) {
    using Access = Remembering::Access;
    Remembering function;
    std::vector<uint8_t> data(8, 0xff);
    function.write_bar(0, 0x11c, data);  // Vector Control of the last entry, and behind the table
    EXPECT_THAT(function.writes, ElementsAre(Access{0x120, 4}));
    function.write_bar(0, 0xfc, std::vector<uint8_t>(8, 0x10));  // before it, and its first address
    EXPECT_THAT(function.writes, ElementsAre(Access{0x120, 4}, Access{0xfc, 4}));
    EXPECT_EQ(function.msix_message(0).address, 0x1010'1010U);
    EXPECT_EQ(function.counters().bar_writes, 2U);

    std::vector<uint8_t> all(0x200);  // as a tool reads a BAR
    function.read_bar(0, 0, all);
    EXPECT_THAT(function.reads,
                ElementsAre(Access{0, 0x100}, Access{0x120, 0x20}, Access{0x148, 0xb8}));
    EXPECT_EQ(all[0xff], 0x5a);
    EXPECT_EQ(all[0x100], 0x10);
    EXPECT_EQ(all[0x11c], 1) << "masked";
    EXPECT_EQ(all[0x120], 0x5a);
    EXPECT_EQ(all[0x140], 0) << "nothing pending";
    EXPECT_EQ(all[0x148], 0x5a);
    EXPECT_EQ(function.counters().bar_reads, 1U);
}

TEST(MsixRouting, OtherBarsAndOffsetsAreTheModelsAlone) {
    const MsixPlaces nowhere;
    const MsixPlaces two({.bar = 1, .offset = 0x1000, .size = 32}, {.bar = 3, .size = 8});
    const uint64_t far = uint64_t{1} << 40;
    for (unsigned bar = 0; bar < kBarCount; ++bar) {
        for (const uint64_t offset : {uint64_t{0}, uint64_t{0xffc}, uint64_t{0x1020}, far}) {
            EXPECT_FALSE(nowhere.may_hold(bar, offset, 8));
            const bool touches = (bar == 1 && offset == 0xffc) || (bar == 3 && offset == 0);
            const auto part = two.first_part(bar, offset, 8);
            EXPECT_EQ(part.owner == MsixPlaces::Owner::kModel && part.size == 8, !touches)
                << bar << " " << offset;
            EXPECT_TRUE(!touches || two.may_hold(bar, offset, 8));
        }
    }
    EXPECT_FALSE(two.may_hold(0, 0x1000, 8));
    EXPECT_FALSE(two.may_hold(1, 0xff8, 8));
    EXPECT_TRUE(two.may_hold(1, 0xff9, 8));
    EXPECT_FALSE(two.may_hold(3, 8, 1));
    EXPECT_FALSE(two.may_hold(4, 0, 4));
}

TEST_F(Interrupts, NothingIsSentWhileDetached) {
    msix_control(MSIX_CONTROL_ENABLE);
    function_.detach();
    function_.write_u16(COMMAND, COMMAND_BUS_MASTER);
    msix_control(MSIX_CONTROL_ENABLE);
    msi_control(0);
    function_.raise_msix(0);
    function_.raise_msi(0);
    EXPECT_THAT(slot_.take(), IsEmpty());
    EXPECT_EQ(TestFunction().msix_table(), nullptr);
}

}  // namespace
}  // namespace mimic::pci
