// SPDX-License-Identifier: Apache-2.0
#include "reg/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reg/test_map.h"

namespace mimic::reg {
namespace {

using namespace test;
using testing::HasSubstr;
using testing::Not;

TEST(DescribeTest, MarkdownHasEveryRegisterAndField) {
    const std::string text = markdown(kNatural.view());
    EXPECT_THAT(text,
                HasSubstr("| 0x000 | CTRL | 32 | RW, RO, WO, W1C, W1S, RC, NONE | 0x060F03A5 |"));
    EXPECT_THAT(text, HasSubstr("| 0x010 + 4 i | SERIAL[i] | 4 x 32 | RO | per device |"));
    EXPECT_THAT(text, HasSubstr("| +0x008 + 4 i | QUEUE.DOORBELL[i] |"));
    EXPECT_THAT(text, HasSubstr("Instances at 0x100 + 32 j (j = 0..2), 0x400 + 32 j (j = 0..2)."));
    EXPECT_THAT(text, HasSubstr("| 5:2 | VALUE | RW | 0x9 | A mode. |"));
}

TEST(DescribeTest, HeaderHasTheShapeOfLinuxDrivers) {
    const auto header = c_header(kNatural.view());
    ASSERT_TRUE(header.has_value());
    EXPECT_THAT(*header, HasSubstr("#ifndef TEST_REGS_H\n#define TEST_REGS_H\n"));
    EXPECT_THAT(*header, HasSubstr("#define TEST_CTRL 0x000\n"));
    EXPECT_THAT(*header, HasSubstr("#define TEST_CTRL_W1C GENMASK(19, 16)\n"));
    EXPECT_THAT(*header, HasSubstr("#define TEST_CTRL_RESET 0x060f03a5U\n"));
    EXPECT_THAT(*header,
                HasSubstr("#define TEST_SERIAL_COUNT 4\n#define TEST_SERIAL_STRIDE 0x4\n"));
    EXPECT_THAT(*header, HasSubstr("#define TEST_ADDRESS_VALUE GENMASK_ULL(63, 0)\n"));
    EXPECT_THAT(*header, HasSubstr("#define TEST_ADDRESS_RESET 0x1122334455667788ULL\n"));
    EXPECT_THAT(*header, HasSubstr("#define TEST_QUEUE 0x100\n#define TEST_QUEUE_COUNT 6\n"));
    EXPECT_THAT(*header, Not(HasSubstr("SERIAL_RESET")));
}

inline constexpr Register A{.name = "A",
                            .offset = 0,
                            .count = 2,
                            .stride = 4,
                            .doc = "An array.",
                            .spec = "-",
                            .fields = {{"VALUE", 31, 0, Access::kRw, 0, "."}}};
inline constexpr Register A_COUNT{.name = "A_COUNT",
                                  .offset = 8,
                                  .doc = "Not the array's size.",
                                  .spec = "-",
                                  .fields = {{"VALUE", 31, 0, Access::kRw, 0, "."}}};
inline constexpr auto kClash = make_map<A, A_COUNT>(
    {.name = "clash", .doc = "Clash.", .spec = "-", .bar_size_bytes = 64});
static_assert(kClash.valid());

TEST(DescribeTest, HeaderWithTwoMacrosOfOneNameIsRefused) {
    const auto header = c_header(kClash.view());
    ASSERT_FALSE(header.has_value());
    EXPECT_THAT(header.error().message(), HasSubstr("CLASH_A_COUNT twice"));
}

TEST(DescribeTest, DumpShowsFieldsWithoutSideEffects) {
    Bank<kNatural> bank("t");
    const auto lines = dump(bank);
    ASSERT_GT(lines.size(), 3U);
    EXPECT_EQ(lines[0].name, "CTRL");
    EXPECT_EQ(lines[0].fields[5].name, "RC");
    EXPECT_EQ(lines[0].fields[5].value, 6U);
    EXPECT_EQ((bank.get<CTRL, "RC">()), 6U);
    EXPECT_EQ(lines.back().name, "QUEUE[5].DOORBELL[1]");
    EXPECT_EQ(lines.back().offset, 0x44cU);
}

}  // namespace
}  // namespace mimic::reg
