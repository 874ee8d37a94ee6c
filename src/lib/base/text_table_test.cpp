// SPDX-License-Identifier: Apache-2.0
// Columns are as wide as what is in them.
#include "base/text_table.h"

#include <gtest/gtest.h>

namespace mimic {
namespace {

TEST(TextTable, NoCellIsCutAndColumnsStandBelowEachOther) {
    EXPECT_EQ(
        text_table({{"NAME", "BDF", "N"}, {"a", "0000:01:00.0", "5"}, {"b", "10000:01:00.1"}}),
        "NAME  BDF            N\n"
        "a     0000:01:00.0   5\n"
        "b     10000:01:00.1\n");
}

TEST(TextTable, NumbersStandAtTheRight) {
    EXPECT_EQ(text_table({{"N", "X"}, {"100", "y"}, {"7", "z"}}, {0}), "  N  X\n100  y\n  7  z\n");
}

TEST(TextTable, WidthsAreThoseOfCharacters) {
    EXPECT_EQ(text_table({{"\u00fc\u00fc", "x"}, {"a", "y"}}), "\u00fc\u00fc  x\na   y\n");
    EXPECT_EQ(text_table({}), "");
    EXPECT_EQ(text_table({{}, {"", ""}}), "\n\n");
}

TEST(Counted, OneIsSingular) {
    EXPECT_EQ(counted(0, "function"), "0 functions");
    EXPECT_EQ(counted(1, "function"), "1 function");
    EXPECT_EQ(counted(2, "function"), "2 functions");
}

}  // namespace
}  // namespace mimic
