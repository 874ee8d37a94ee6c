// SPDX-License-Identifier: Apache-2.0
// Names of others cannot do anything to a terminal.
#include "instruments/terminal_text.h"

#include <gtest/gtest.h>

namespace mimic::instruments {
namespace {

TEST(TerminalText, LeavesTextAlone) {
    EXPECT_EQ(terminal_text("gpu0 Ünïcode 漢字 🙂"), "gpu0 Ünïcode 漢字 🙂");
    EXPECT_EQ(columns_of("Ünïcode"), 7u);
}

TEST(TerminalText, ReplacesWhatMovesACursor) {
    EXPECT_EQ(terminal_text("a\x1b[2Jb\r\n\x07\x7f"), "a?[2Jb????");
    EXPECT_EQ(terminal_text("csi \xc2\x9b"), "csi ?");  // C1 in UTF-8
    EXPECT_EQ(terminal_text("\xe2\x80\xae"
                            "abc"),
              "?abc");  // right to left
    EXPECT_EQ(terminal_text(std::string_view("\0x", 2)), "?x");
}

TEST(TerminalText, ReplacesWhatIsNoUtf8) {
    EXPECT_EQ(terminal_text("\xff\xfe"), "??");
    EXPECT_EQ(terminal_text("\xc0\x9b"), "??");            // overlong
    EXPECT_EQ(terminal_text("\xe0\x82\x9b"), "???");       // overlong
    EXPECT_EQ(terminal_text("\xed\xa0\x80"), "???");       // a surrogate
    EXPECT_EQ(terminal_text("\xf4\x90\x80\x80"), "????");  // above U+10FFFF
    EXPECT_EQ(terminal_text("a\xe2\x82"), "a??");          // cut short
}

TEST(TerminalText, IsBounded) {
    EXPECT_EQ(terminal_text("abcdef", 3), "abc...");
    EXPECT_EQ(terminal_text("abc", 3), "abc");
}

TEST(TerminalText, Fits) {
    EXPECT_EQ(fit("Ünï", 5), "Ünï  ");
    EXPECT_EQ(fit("Ünïcode", 3), "Ünï");
    EXPECT_EQ(fit("", 2), "  ");
    EXPECT_EQ(fit("abc", 0), "");
}

}  // namespace
}  // namespace mimic::instruments
