// SPDX-License-Identifier: Apache-2.0
// Text in columns; what may be in it is src/lib/base's to test.
#include "commands/terminal_text.h"

#include <gtest/gtest.h>

namespace mimic::commands {
namespace {

TEST(TerminalText, CountsColumns) {
    EXPECT_EQ(columns_of("Ünïcode"), 7u);
}

TEST(TerminalText, Fits) {
    EXPECT_EQ(fit("Ünï", 5), "Ünï  ");
    EXPECT_EQ(fit("Ünïcode", 3), "Ünï");
    EXPECT_EQ(fit("", 2), "  ");
    EXPECT_EQ(fit("abc", 0), "");
}

}  // namespace
}  // namespace mimic::commands
