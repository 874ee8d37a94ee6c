// SPDX-License-Identifier: Apache-2.0
// Text of others cannot do anything to a terminal.
#include "base/terminal_text.h"

#include <gtest/gtest.h>

#include <random>

#include "base/log.h"

namespace mimic {
namespace {

TEST(TerminalText, LeavesTextAlone) {
    EXPECT_EQ(terminal_text("gpu0 Ünïcode 漢字 🙂"), "gpu0 Ünïcode 漢字 🙂");
    EXPECT_EQ(terminal_lines("a\tb\n漢字 🙂\n"), "a\tb\n漢字 🙂\n");
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

// All that is a control or invisible, in the one rule of both functions.
TEST(TerminalText, EveryControlIsReplaced) {
    for (int c = 0; c < 0x100; ++c) {
        const std::string raw(1, static_cast<char>(c));
        const bool is_plain = c >= 0x20 && c < 0x7f;
        EXPECT_EQ(terminal_text(raw), is_plain ? raw : "?") << c;
        if (c >= 0x80) {
            EXPECT_EQ(terminal_lines(raw), "?") << c;
            const std::string utf8 = {static_cast<char>(0xc0 | c >> 6),
                                      static_cast<char>(0x80 | (c & 0x3f))};
            const std::string shown = c < 0xa0 || c == 0xad ? "?" : utf8;  // C1, soft hyphen
            EXPECT_EQ(terminal_text(utf8), shown) << c;
            EXPECT_EQ(terminal_lines(utf8), shown) << c;
        } else if (c != '\n' && c != '\t' && c != '\r' && c != 0x1b) {
            EXPECT_EQ(terminal_lines(raw), is_plain ? raw : "?") << c;
        }
    }
    for (const char* hidden : {"\xd8\x9c", "\xe1\xa0\x8e", "\xe2\x80\x8b", "\xe2\x80\x8f",
                               "\xe2\x80\xa8", "\xe2\x80\xab", "\xe2\x81\xa6", "\xe2\x81\xa9",
                               "\xef\xbb\xbf", "\xef\xbf\xbb", "\xf3\xa0\x81\x81"}) {
        EXPECT_EQ(terminal_text(hidden), "?");
        EXPECT_EQ(terminal_lines(hidden), "?");
    }
}

TEST(TerminalFilter, LeavesOutSequences) {
    EXPECT_EQ(terminal_lines("\x1b[31mred\x1b[0m \x1b[?25l\x1b[2J\x1b[1;2Hx"), "red x");
    EXPECT_EQ(terminal_lines("\x1b"
                             "c\x1b[?7l\x1b[2JSeaBIOS"),
              "SeaBIOS");
    EXPECT_EQ(terminal_lines("\x1b(B\x1b)0\x1b#8\x1b%Gx"), "x");
    // A title is a string that ends who knows where: it is shown.
    EXPECT_EQ(terminal_lines("\x1b]0;pwned\x07z"), "0;pwned?z");
    EXPECT_EQ(terminal_lines("\x1bP1$r0m\x1b\\z"), "1$r0mz");
    EXPECT_EQ(terminal_lines("\xc2\x9b"
                             "5n\x9b"
                             "5n"),
              "?5n?5n");
}

TEST(TerminalFilter, BrokenSequencesHideNothing) {
    EXPECT_EQ(terminal_lines("\x1b[31\nnext"), "?\nnext");
    EXPECT_EQ(terminal_lines("\x1b\nnext"), "?\nnext");
    EXPECT_EQ(terminal_lines("\x1b[\x1b[\x1b[mx"), "??x");
    EXPECT_EQ(terminal_lines("\x1b[3\xe6\xbc\xa2"), "?\xe6\xbc\xa2");
    EXPECT_EQ(terminal_lines("\x1b\x9bx"), "??x");
    EXPECT_EQ(terminal_lines("\x1b[" + std::string(1000, '1') + "m!"),
              "?" + std::string(1000 - 64, '1') + "m!");
    EXPECT_EQ(terminal_lines("\x1b" + std::string(1000, ' ') + "c").size(), 1000u - 64 + 2);
}

TEST(TerminalFilter, ReturnsOfTheCarriageHideNothing) {
    EXPECT_EQ(terminal_lines("one\r\ntwo\r\r\nthree"), "one\ntwo\nthree");
    EXPECT_EQ(terminal_lines("rm -rf /\rls      "), "rm -rf /\nls      ");
    EXPECT_EQ(terminal_lines("rm\b\bls"), "rm??ls");
}

// A message of ours that quotes a peer.
TEST(TerminalText, LogIsFitForATerminal) {
    testing::internal::CaptureStderr();
    log::write(log::Level::kError, "test", "Peer says \x1b]0;title\x07 \xc2\x9b");
    const std::string line = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(line.ends_with("test: Peer says 0;title? ?\n")) << line;
}

// However bytes are cut into parts, the same comes out, and nothing of it is a control.
TEST(TerminalFilter, PartsDoNotMatter) {
    std::mt19937 random(7);
    const std::string_view pieces[] = {"\x1b", "[",    "2J",       "\xc2",         "\x9b", "\r",
                                       "\n",   "text", "\xe2\x80", "\xf0\x9f\x99", "\x82", "]0;",
                                       "\x07", "m",    "\xff",     "1;",           "\x7f", "\t"};
    for (int round = 0; round < 500; ++round) {
        std::string text;
        for (int i = 0; i < 40; ++i) text += pieces[random() % std::size(pieces)];
        TerminalFilter filter;
        std::string parts;
        for (size_t at = 0; at < text.size();) {
            const size_t size = 1 + random() % 5;
            parts += filter.pass(std::string_view(text).substr(at, size));
            at += size;
        }
        parts += filter.finish();
        EXPECT_EQ(parts, terminal_lines(text));
        EXPECT_EQ(terminal_lines(parts), parts) << "what came out is not clean";
        for (const char c : parts)
            EXPECT_TRUE(c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20);
    }
}

}  // namespace
}  // namespace mimic
