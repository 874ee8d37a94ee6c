// SPDX-License-Identifier: Apache-2.0
// Registers of a function by name, and that reading them so has no side effect at all.
#include "pci/describe/function_registers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pci/function/capabilities.h"
#include "pci/testing/function.h"
#include "reg/bank.h"
#include "reg/test_map.h"

namespace mimic::pci {
namespace {

using testing::ElementsAre;

// A function with a register of every kind: hooks, clear-on-read, write-only bits, arrays.
class WatchedFunction final : public Function {
public:
    WatchedFunction() : Function(options()) {
        bank.on_write<reg::test::CTRL>([this](const reg::WriteEvent&) { ++hooks; });
        bank.on_write<reg::test::ADDRESS>([this](const reg::WriteEvent&) { ++hooks; });
        bank.on_write<reg::test::DOORBELL>([this](const reg::WriteEvent&) { ++hooks; });
        bank.on_read<reg::test::TIMER>([this](const reg::ReadEvent&) {
            ++hooks;
            return uint64_t{42};
        });
        CapabilityBuilder builder(*this);
        EXPECT_TRUE(builder.add_power_management({}));
        EXPECT_TRUE(builder.add_msix({.vectors = 3, .table_offset = 0x800, .pba_offset = 0xc00}));
    }

    std::vector<RegisterBlock> register_blocks() const override {
        return {{.bar = 0, .offset = 0, .name = "test", .registers = &bank}};
    }

    reg::Bank<reg::test::kNatural> bank{"watched"};
    int hooks = 0;

private:
    static FunctionOptions options() {
        auto some = TestFunction::default_options();
        some.bars[1] = {.type = BarType::kIo, .size = 16};
        some.bars[2] = {.type = BarType::kMemory64, .prefetchable = true, .size = 1 << 20};
        return some;
    }
    void on_read(unsigned, uint64_t offset, std::span<uint8_t> data) override {
        bank.read(offset, data);
    }
    void on_write(unsigned, uint64_t offset, std::span<const uint8_t> data) override {
        bank.write(offset, data);
    }
    void on_reset(ResetKind) override {}
};

void put(Function& function, uint32_t offset, std::vector<uint8_t> bytes) {
    function.config_write(offset, bytes);
}

const DescribedRegister* named(const RegisterMap& map, const std::string& name) {
    for (const auto& one : map.registers)
        if (one.name == name) return &one;
    return nullptr;
}

TEST(FunctionRegisters, AreWhatTheTableSays) {
    WatchedFunction function;
    put(function, regs::BAR0, {0, 0, 0, 0xfe});
    put(function, regs::BAR0 + 4, {0, 0xc0, 0, 0});
    const auto bars = bar_registers(function);
    ASSERT_EQ(bars.size(), 3u);
    EXPECT_EQ(bars[0].address, 0xfe00'0000u);
    EXPECT_EQ(bars[1].address, 0xc000u);
    EXPECT_EQ(bars[1].type, BarType::kIo);
    EXPECT_EQ(bars[2].address, std::nullopt);
    EXPECT_TRUE(bars[2].maps.empty());
    ASSERT_EQ(bars[0].maps.size(), 3u);
    EXPECT_EQ(bars[0].maps[1].name, "MSI-X table");
    EXPECT_EQ(bars[0].maps[1].registers.size(), 12u);
    EXPECT_EQ(bars[0].maps[2].registers.size(), 1u);

    const auto* const ctrl = named(bars[0].maps[0], "CTRL");
    ASSERT_NE(ctrl, nullptr);
    EXPECT_EQ(ctrl->value, 0x060f03a5u);
    EXPECT_EQ(ctrl->doc, "Every access kind.");
    EXPECT_EQ(ctrl->fields[1].name, "RO");
    EXPECT_EQ(ctrl->fields[1].hi, 11u);
    EXPECT_EQ(ctrl->fields[1].lo, 8u);
    EXPECT_EQ(ctrl->fields[1].value, 3u);
    const auto* const doorbell = named(bars[0].maps[0], "QUEUE[3].DOORBELL[1]");
    ASSERT_NE(doorbell, nullptr);
    EXPECT_EQ(doorbell->offset, 0x40cu);
}

TEST(FunctionRegisters, OnlyTheBarThatIsAskedFor) {
    WatchedFunction function;
    const auto one = bar_registers(function, 2);
    ASSERT_EQ(one.size(), 1u);
    EXPECT_EQ(one[0].bar, 2u);
    EXPECT_TRUE(bar_registers(function, 3).empty());
}

TEST(FunctionRegisters, TheTableOfAVmmIsNamedSo) {
    WatchedFunction function;
    FakeSlot slot;
    function.attach(slot);
    EXPECT_EQ(bar_registers(function)[0].maps[1].name, "MSI-X table (the VMM keeps the real one)");
    slot.owns_table = false;
    EXPECT_EQ(bar_registers(function)[0].maps[1].name, "MSI-X table");
    function.detach();
}

TEST(FunctionRegisters, LookingChangesNothing) {
    WatchedFunction function;
    FakeSlot slot;
    slot.owns_table = false;
    function.attach(slot);
    const std::vector<uint8_t> value{0x5a, 0x10, 0x00, 0x00};
    function.write_bar(0, 0x00, value);   // CTRL, with a clear-on-read field
    function.write_bar(0, 0x08, value);   // a low half that waits for its high half
    function.write_bar(0, 0x800, value);  // a vector's address
    function.write_bar(0, 0x7f0, value);  // nothing is there
    put(function, regs::COMMAND, {0x06, 0});
    slot.take();

    const auto before = function.bank.snapshot();
    const auto config = config_bytes(function);
    const auto counters = function.counters();
    const auto undecodable = function.bank.counters();
    const int hooks = function.hooks;
    std::vector<BarRegisters> first;
    for (int i = 0; i < 3; ++i) {
        const auto bars = bar_registers(function);
        const auto described = describe_config(config_bytes(function));
        EXPECT_FALSE(described.sections.empty());
        const auto* const ctrl = named(bars[0].maps[0], "CTRL");
        ASSERT_NE(ctrl, nullptr);
        EXPECT_EQ(ctrl->fields[5].name, "RC");
        EXPECT_EQ(ctrl->fields[5].value, 6u) << "it was cleared by reading";
    }
    EXPECT_EQ(function.bank.snapshot().values, before.values);
    EXPECT_EQ(config_bytes(function), config);
    EXPECT_EQ(function.hooks, hooks);
    EXPECT_EQ(function.bank.counters().undecodable_reads, undecodable.undecodable_reads);
    EXPECT_EQ(function.bank.counters().undecodable_writes, undecodable.undecodable_writes);
    EXPECT_EQ(function.counters().bar_reads, counters.bar_reads);
    EXPECT_EQ(function.counters().bar_writes, counters.bar_writes);
    EXPECT_EQ(function.counters().config_reads, counters.config_reads);
    EXPECT_EQ(function.counters().config_writes, counters.config_writes);
    EXPECT_TRUE(slot.take().empty());

    // A guest's read of the same registers does have side effects, so the above could have failed.
    std::vector<uint8_t> data(4);
    function.read_bar(0, 0x00, data);
    function.read_bar(0, 0x04, data);
    EXPECT_NE(function.bank.snapshot().values, before.values);
    EXPECT_EQ(function.hooks, hooks + 1);
    EXPECT_EQ(function.counters().bar_reads, counters.bar_reads + 2);
    function.detach();
}

}  // namespace
}  // namespace mimic::pci
