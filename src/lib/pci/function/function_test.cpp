// SPDX-License-Identifier: Apache-2.0
// A function's header, BAR sizing as Linux does it, resets and power states. Interrupts:
// function_interrupts_test.cpp.
#include "pci/function/function.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "pci/function/capabilities.h"
#include "pci/testing/function.h"

namespace mimic::pci {
namespace {

using namespace regs;

FunctionOptions with_bar(unsigned index, Bar bar) {
    FunctionOptions options = TestFunction::default_options();
    options.bars = {};
    options.bars[index] = std::move(bar);
    return options;
}

TEST(FunctionHeader, ReadsAsDescribed) {
    FunctionOptions options = TestFunction::default_options();
    options.multifunction = true;
    TestFunction function(options);
    EXPECT_EQ(function.read_u32(0x00), 0x0001'1de5U);
    EXPECT_EQ(function.read_u32(0x04), 0U);
    EXPECT_EQ(function.read_u32(0x08), 0x1200'0003U);
    EXPECT_EQ(function.read_u32(0x0c), 0x0080'0000U);
    EXPECT_EQ(function.read_u32(0x2c), 0x1100'1af4U);
    EXPECT_EQ(function.read_u32(0x34), 0U);
    EXPECT_EQ(function.read_u32(0x3c), 0x0100U);
    EXPECT_EQ(TestFunction().read_u32(0x0c), 0U);
}

TEST(FunctionHeader, GuestChangesOnlyWhatTheSpecificationLets) {
    TestFunction function;
    std::vector<uint8_t> ones(64, 0xff);
    function.config_write(0, ones);
    EXPECT_EQ(function.read_u32(0x00), 0x0001'1de5U);
    EXPECT_EQ(function.read_u32(0x04), 0x0547U);
    EXPECT_EQ(function.read_u32(0x08), 0x1200'0003U);
    EXPECT_EQ(function.read_u32(0x0c), 0xffU);
    EXPECT_EQ(function.read_u32(0x2c), 0x1100'1af4U);
    EXPECT_EQ(function.read_u32(0x30), 0U);
    EXPECT_EQ(function.read_u32(0x3c), 0x01ffU);
}

TEST(FunctionHeader, StatusErrorsAreClearedByOnes) {
    TestFunction function;
    function.config().set_u16(STATUS, 0xf900);
    function.write_u16(STATUS, 0x4100);
    EXPECT_EQ(function.config().u16(STATUS), 0xb800);
}

// Sizing as pci_read_base() of Linux does it: save, all ones, read, restore.
uint32_t size_register(TestFunction& function, uint32_t offset) {
    const uint32_t saved = function.read_u32(offset);
    function.write_u32(offset, ~0U);
    const uint32_t size = function.read_u32(offset);
    function.write_u32(offset, saved);
    EXPECT_EQ(function.read_u32(offset), saved);
    return size;
}

struct SizingCase {
    const char* name;
    Bar bar;
    uint32_t type_bits;
};

class BarSizing : public testing::TestWithParam<SizingCase> {};

TEST_P(BarSizing, FindsTypeAndSize) {
    const SizingCase& c = GetParam();
    TestFunction function(with_bar(2, c.bar));
    EXPECT_EQ(function.read_u32(0x18), c.type_bits);
    uint64_t mask = size_register(function, 0x18);
    const bool io = c.bar.type == BarType::kIo;
    EXPECT_EQ(mask & (io ? 0x3 : 0xf), c.type_bits);
    mask &= io ? BAR_IO_ADDRESS : BAR_MEMORY_ADDRESS;
    if (c.bar.type == BarType::kMemory64) {
        mask |= uint64_t{size_register(function, 0x1c)} << 32;
    } else {
        mask |= 0xffff'ffff'0000'0000;
        EXPECT_EQ(size_register(function, 0x1c), 0U);
    }
    EXPECT_EQ(~mask + 1, c.bar.size);
    EXPECT_EQ(size_register(function, 0x14), 0U);
    EXPECT_EQ(size_register(function, 0x20), 0U);

    function.write_u32(0x18, 0xabcd'ef0f);  // an address is rounded down to the size
    const uint32_t expected = static_cast<uint32_t>(0xabcd'ef00 & mask);
    EXPECT_EQ(function.read_u32(0x18) & ~0xfU, expected & ~0xfU);
    function.reset(ResetKind::kFunctionLevel);
    EXPECT_EQ(function.read_u32(0x18), c.type_bits);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, BarSizing,
    testing::Values(SizingCase{"io_4", {.type = BarType::kIo, .size = 4}, 1},
                    SizingCase{"io_256", {.type = BarType::kIo, .size = 256}, 1},
                    SizingCase{"memory32_16", {.type = BarType::kMemory32, .size = 16}, 0},
                    SizingCase{"memory32_4k", {.type = BarType::kMemory32, .size = 4096}, 0},
                    SizingCase{"memory32_2g", {.type = BarType::kMemory32, .size = 1ULL << 31}, 0},
                    SizingCase{"memory32_prefetchable",
                               {.type = BarType::kMemory32, .prefetchable = true, .size = 1 << 20},
                               8},
                    SizingCase{"memory64_16", {.type = BarType::kMemory64, .size = 16}, 4},
                    SizingCase{"memory64_4g", {.type = BarType::kMemory64, .size = 1ULL << 32}, 4},
                    SizingCase{
                        "memory64_16g_prefetchable",
                        {.type = BarType::kMemory64, .prefetchable = true, .size = 1ULL << 34},
                        0xc},
                    SizingCase{"memory64_8e", {.type = BarType::kMemory64, .size = 1ULL << 63}, 4}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(FunctionRom, BarAppearsAtAttachWithItsSize) {
    FakeSlot slot;
    TestFunction function;
    function.image.resize(3000);
    function.attach(slot);
    function.write_u32(0x30, 0xffff'f800);  // as QEMU and Linux probe it
    EXPECT_EQ(function.read_u32(0x30), 0xffff'f000U);
    function.write_u32(0x30, ~0U);
    EXPECT_EQ(function.read_u32(0x30), 0xffff'f001U);
    function.detach();
    function.image.resize(1);  // smaller than the register can say
    function.attach(slot);
    function.write_u32(0x30, ~0U);
    EXPECT_EQ(function.read_u32(0x30), 0xffff'f801U);
    function.detach();
}

TEST(FunctionValidate, OptionsNoHardwareCouldHave) {
    struct {
        const char* why;
        void (*spoil)(FunctionOptions&);
        bool good;
    } const cases[] = {
        {"default", [](FunctionOptions&) {}, true},
        {"vendor 0", [](FunctionOptions& o) { o.vendor_id = 0; }, false},
        {"vendor ffff", [](FunctionOptions& o) { o.vendor_id = 0xffff; }, false},
        {"class", [](FunctionOptions& o) { o.class_code = 0x100'0000; }, false},
        {"pin", [](FunctionOptions& o) { o.interrupt_pin = 5; }, false},
        {"config 255", [](FunctionOptions& o) { o.config_size = 255; }, false},
        {"config 256", [](FunctionOptions& o) { o.config_size = 256; }, true},
        {"not a power of two", [](FunctionOptions& o) { o.bars[0].size = 0x3000; }, false},
        {"memory 8", [](FunctionOptions& o) { o.bars[0].size = 8; }, false},
        {"memory 0", [](FunctionOptions& o) { o.bars[0].size = 0; }, false},
        {"memory32 4 GiB", [](FunctionOptions& o) { o.bars[0].size = 1ULL << 32; }, false},
        {"size, no type", [](FunctionOptions& o) { o.bars[1].size = 16; }, false},
        {"io 512", [](FunctionOptions& o) { o.bars[1] = {.type = BarType::kIo, .size = 512}; },
         false},
        {"io 2", [](FunctionOptions& o) { o.bars[1] = {.type = BarType::kIo, .size = 2}; }, false},
        {"io prefetchable",
         [](FunctionOptions& o) {
             o.bars[1] = {.type = BarType::kIo, .prefetchable = true, .size = 16};
         },
         false},
        {"64 in slot 5",
         [](FunctionOptions& o) { o.bars[5] = {.type = BarType::kMemory64, .size = 16}; }, false},
        {"64 in slot 4",
         [](FunctionOptions& o) { o.bars[4] = {.type = BarType::kMemory64, .size = 16}; }, true},
        {"pair taken",
         [](FunctionOptions& o) {
             o.bars[1] = {.type = BarType::kMemory64, .size = 16};
             o.bars[2] = {.type = BarType::kMemory32, .size = 16};
         },
         false},
        {"area without file",
         [](FunctionOptions& o) {
             o.bars[0].areas = {{0, 4096}};
         },
         false},
        {"area",
         [](FunctionOptions& o) {
             o.bars[0].fd = 0;
             o.bars[0].areas = {{0, 4096}, {8192, 8192}};
         },
         true},
        {"area of part pages",
         [](FunctionOptions& o) {
             o.bars[0].fd = 0;
             o.bars[0].areas = {{0, 100}};
         },
         false},
        {"area beyond",
         [](FunctionOptions& o) {
             o.bars[0].fd = 0;
             o.bars[0].areas = {{4096, 0x1'0000}};
         },
         false},
        {"areas overlap",
         [](FunctionOptions& o) {
             o.bars[0].fd = 0;
             o.bars[0].areas = {{0, 8192}, {4096, 4096}};
         },
         false},
        {"area overflows",
         [](FunctionOptions& o) {
             o.bars[0].fd = 0;
             o.bars[0].areas = {{4096, ~uint64_t{4095}}};
         },
         false},
    };
    for (const auto& c : cases) {
        FunctionOptions options = TestFunction::default_options();
        c.spoil(options);
        EXPECT_EQ(Function::validate(options).has_value(), c.good) << c.why;
    }
}

class FunctionReset : public testing::Test {
protected:
    void SetUp() override {
        CapabilityBuilder builder(function_);
        pm_ = *builder.add_power_management({.d1 = true});
        pcie_ = *builder.add_pcie({});
        function_.attach(slot_);
    }
    void set_power(uint32_t state) { function_.write_u16(pm_ + PMCSR, state); }
    uint32_t power() { return function_.read_u32(pm_ + PMCSR) & PMCSR_POWER_STATE; }

    FakeSlot slot_;
    TestFunction function_;
    uint32_t pm_ = 0;
    uint32_t pcie_ = 0;
};

TEST_F(FunctionReset, FlrResetsAndReadsZero) {
    function_.write_u16(COMMAND, 0x7);
    function_.write_u32(0x10, 0xfe00'0000);
    function_.write_u16(pcie_ + DEVCTL, 0x285f);
    function_.write_u16(pcie_ + LNKCTL, 0x40);

    function_.write_u16(pcie_ + DEVCTL, 0xa85f);

    EXPECT_EQ(function_.resets, std::vector<ResetKind>{ResetKind::kFunctionLevel});
    EXPECT_EQ(function_.read_u32(COMMAND), 0x0010'0000U);
    EXPECT_EQ(function_.read_u32(0x10), 0U);
    // MAX_PAYLOAD_SIZE and the link survive (6.6.2), the rest is at reset.
    EXPECT_EQ(function_.config().u16(pcie_ + DEVCTL), 0x2850);
    EXPECT_EQ(function_.config().u16(pcie_ + LNKCTL), 0x40);
}

TEST_F(FunctionReset, FlrByOneByteAndByWideWrite) {
    function_.write_u8(pcie_ + DEVCTL, 0x80);  // the low byte has no such bit
    EXPECT_TRUE(function_.resets.empty());
    function_.write_u8(pcie_ + DEVCTL + 1, 0x80);
    function_.write_u32(pcie_ + DEVCTL, 0x8000);
    function_.config_write(pcie_, std::vector<uint8_t>(16, 0xff));
    EXPECT_EQ(function_.resets.size(), 3U);
}

TEST(FunctionFlr, NothingHappensWithoutTheCapability) {
    TestFunction function;
    const uint32_t cap = *CapabilityBuilder(function).add_pcie({.flr = false});
    function.write_u16(cap + DEVCTL, 0xffff);
    EXPECT_TRUE(function.resets.empty());
    EXPECT_EQ(function.config().u16(cap + DEVCTL) & DEVCTL_INITIATE_FLR, 0U);
}

TEST_F(FunctionReset, ConventionalResetsEverything) {
    function_.write_u16(pcie_ + DEVCTL, 0x28f0);
    function_.config().set_bits(pcie_ + LNKSTA, 2, LNKSTA_CURRENT_LINK_SPEED, 1);
    function_.reset(ResetKind::kFunctionLevel);
    EXPECT_EQ(function_.config().u16(pcie_ + LNKSTA) & 0xf, 1);
    function_.reset(ResetKind::kConventional);
    EXPECT_EQ(function_.config().u16(pcie_ + LNKSTA) & 0xf, 4);
    EXPECT_EQ(function_.config().u16(pcie_ + DEVCTL), 0x2810);
}

TEST_F(FunctionReset, InsideAResetIsNothing) {
    function_.during_reset = [&] {
        function_.reset(ResetKind::kConventional);
        function_.write_u16(pcie_ + DEVCTL, DEVCTL_INITIATE_FLR);
        function_.write_u16(COMMAND, COMMAND_BUS_MASTER);
    };
    function_.write_u16(pcie_ + DEVCTL, DEVCTL_INITIATE_FLR);
    EXPECT_EQ(function_.resets.size(), 1U);
    function_.during_reset = nullptr;
    function_.reset(ResetKind::kConventional);
    EXPECT_EQ(function_.resets.size(), 2U);
}

TEST_F(FunctionReset, DetachResetsOnceAndUnplugs) {
    function_.write_u16(COMMAND, COMMAND_BUS_MASTER);
    EXPECT_NE(function_.dma(), nullptr);
    function_.detach();
    function_.detach();
    EXPECT_EQ(function_.resets, std::vector<ResetKind>{ResetKind::kDetach});
    EXPECT_EQ(function_.slot(), nullptr);
    EXPECT_EQ(function_.dma(), nullptr);
    EXPECT_FALSE(function_.bus_master_enabled());
    function_.attach(slot_);
    EXPECT_EQ(function_.slot(), &slot_);
}

TEST_F(FunctionReset, PowerTransitions) {
    struct {
        uint32_t from, to, result;
    } const cases[] = {
        {0, 0, 0}, {0, 1, 1}, {0, 2, 0}, {0, 3, 3},  // no D2
        {1, 0, 0}, {1, 1, 1}, {1, 2, 1}, {1, 3, 3}, {3, 0, 0}, {3, 1, 3}, {3, 2, 3}, {3, 3, 3},
    };
    for (const auto& c : cases) {
        function_.reset(ResetKind::kConventional);
        set_power(c.from);
        set_power(c.to);
        EXPECT_EQ(power(), c.result) << "D" << c.from << " to D" << c.to;
        EXPECT_EQ(function_.in_d0(), c.result == 0) << "D" << c.from << " to D" << c.to;
    }
}

TEST_F(FunctionReset, D3hotToD0Resets) {
    function_.write_u16(COMMAND, COMMAND_MEMORY_SPACE | COMMAND_BUS_MASTER);
    EXPECT_TRUE(function_.bar_accessible(0));
    set_power(3);
    EXPECT_FALSE(function_.bar_accessible(0));
    EXPECT_EQ(function_.dma(), nullptr);
    EXPECT_TRUE(function_.resets.empty());
    function_.write_u16(COMMAND, 0x7);  // config space answers in D3hot
    EXPECT_EQ(function_.config().u16(COMMAND), 0x7);
    set_power(0);
    EXPECT_EQ(function_.resets, std::vector<ResetKind>{ResetKind::kPower});
    EXPECT_EQ(function_.config().u16(COMMAND), 0);
    EXPECT_TRUE(function_.in_d0());
    set_power(1);
    set_power(0);
    EXPECT_EQ(function_.resets.size(), 1U);
}

TEST_F(FunctionReset, FlrLeavesD3hot) {
    set_power(3);
    function_.write_u16(pcie_ + DEVCTL, DEVCTL_INITIATE_FLR);
    EXPECT_TRUE(function_.in_d0());
    EXPECT_EQ(power(), 0U);
}

TEST(FunctionPower, NoSoftResetKeepsState) {
    TestFunction function;
    const uint32_t pm = *CapabilityBuilder(function).add_power_management({.no_soft_reset = true});
    function.write_u16(COMMAND, 0x6);
    function.write_u16(pm + PMCSR, 3);
    EXPECT_FALSE(function.in_d0());
    function.write_u16(pm + PMCSR, 0);
    EXPECT_TRUE(function.in_d0());
    EXPECT_TRUE(function.resets.empty());
    EXPECT_EQ(function.config().u16(COMMAND), 0x6);
}

TEST(FunctionBars, AccessibleAsCommandSays) {
    FunctionOptions options = TestFunction::default_options();
    options.bars[1] = {.type = BarType::kIo, .size = 16};
    TestFunction function(options);
    for (uint32_t command = 0; command < 4; ++command) {
        function.write_u16(COMMAND, command);
        EXPECT_EQ(function.bar_accessible(0), (command & 2) != 0);
        EXPECT_EQ(function.bar_accessible(1), (command & 1) != 0);
        EXPECT_FALSE(function.bar_accessible(2));
        EXPECT_FALSE(function.bar_accessible(6));
    }
}

TEST(FunctionMemory, AcceleratorFitsItsBudget) {
    TestFunction function;
    CapabilityBuilder builder(function);
    ASSERT_TRUE(builder.add_power_management({}));
    ASSERT_TRUE(builder.add_msi({.vectors = 32}));
    ASSERT_TRUE(builder.add_msix({.vectors = 2048, .pba_offset = 0x8000}));
    ASSERT_TRUE(builder.add_pcie({}));
    ASSERT_TRUE(builder.add_aer({}));
    ASSERT_TRUE(builder.add_device_serial_number(1));
    const size_t total = function.heap_bytes() + sizeof(Function);
    EXPECT_LE(total, 6144U);
    RecordProperty("function_bytes", std::to_string(total));
    std::printf("A function with six capabilities takes %zu bytes\n", total);
}

}  // namespace
}  // namespace mimic::pci
