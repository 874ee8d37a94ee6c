// SPDX-License-Identifier: Apache-2.0
// Scrolling of windows; what is drawn is tested on a terminal, tests/cli/terminal_test.py.
#include "commands/screen.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace mimic::commands {
namespace {

TEST(Scroll, StaysInside) {
    Scroll scroll;
    scroll.move(keys::kUp, 100, 10);
    EXPECT_EQ(scroll.first(), 0u);
    scroll.move(keys::kDown, 100, 10);
    scroll.move(keys::kPageDown, 100, 10);
    EXPECT_EQ(scroll.first(), 10u);
    scroll.move(keys::kEnd, 100, 10);
    EXPECT_EQ(scroll.first(), 90u);
    scroll.move(keys::kPageDown, 100, 10);
    EXPECT_EQ(scroll.first(), 90u);
    scroll.move(keys::kPageUp, 100, 10);
    EXPECT_EQ(scroll.first(), 81u);
    scroll.move(keys::kHome, 100, 10);
    EXPECT_EQ(scroll.first(), 0u);
    scroll.move('x', 100, 10);
    EXPECT_EQ(scroll.first(), 0u);
}

TEST(Scroll, FollowsWhatShrinks) {
    Scroll scroll;
    scroll.move(keys::kEnd, 300, 1);
    EXPECT_EQ(scroll.first(), 299u);
    scroll.clamp(20, 10);
    EXPECT_EQ(scroll.first(), 10u);
    scroll.clamp(5, 10);
    EXPECT_EQ(scroll.first(), 0u);
    scroll.move(keys::kPageDown, 0, 0);
    EXPECT_EQ(scroll.first(), 0u);
}

TEST(Screen, NeedsATerminal) {
    // Under ctest neither of the two is one; a person's terminal is left alone.
    if (::isatty(0) != 0 && ::isatty(1) != 0) GTEST_SKIP() << "this is a terminal";
    const auto screen = Screen::open();
    ASSERT_FALSE(screen);
    EXPECT_EQ(screen.error().code(), std::errc::not_supported);
}

}  // namespace
}  // namespace mimic::commands
