// SPDX-License-Identifier: Apache-2.0
// The clock of all other tests.
#include "base/testing/virtual_time.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace mimic {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class VirtualTimeTest : public testing::Test {
protected:
    // A task that writes `number` and the time since the start, in nanoseconds.
    TaskRunner::Task note(int number) {
        return [this, number] {
            ran.push_back(number);
            times.push_back(time.now().time_since_epoch().count());
        };
    }
    VirtualTime time;
    std::vector<int> ran;
    std::vector<int64_t> times;
};

TEST_F(VirtualTimeTest, TasksRunWhenTheyAreDueInTheOrderOfPosting) {
    time.post_delayed(note(3), 2ns);
    time.post(note(1));
    time.post(note(2));
    EXPECT_THAT(ran, IsEmpty());
    EXPECT_EQ(time.turn(), 2U);
    EXPECT_THAT(ran, ElementsAre(1, 2));
    EXPECT_EQ(time.run(), 0U);
    time.advance(1ns);
    EXPECT_EQ(time.pending(), 1U);
    time.advance(10ns);
    EXPECT_THAT(ran, ElementsAre(1, 2, 3));
    EXPECT_THAT(times, ElementsAre(0, 0, 2));
    EXPECT_EQ(time.now().time_since_epoch(), 11ns);
}

TEST_F(VirtualTimeTest, ATurnLeavesWhatItsTasksPost) {
    time.post([this] { time.post(note(1)); });
    EXPECT_EQ(time.turn(), 1U);
    EXPECT_THAT(ran, IsEmpty());
    EXPECT_EQ(time.run(), 1U);
    EXPECT_THAT(ran, ElementsAre(1));
    EXPECT_TRUE(time.idle());
}

TEST_F(VirtualTimeTest, ATaskThatFeedsItselfEndsAtTheLimit) {
    std::function<void()> again = [&] { time.post_delayed(again, 1ns); };
    again();
    EXPECT_EQ(time.run_all(5), 5U);
    EXPECT_EQ(time.now().time_since_epoch(), 5ns);
}

TEST_F(VirtualTimeTest, ATaskMayDropTheOthers) {
    time.post([this] { time.drop_all(); });
    time.post(note(1));
    EXPECT_EQ(time.turn(), 1U);
    EXPECT_THAT(ran, IsEmpty());
}

}  // namespace
}  // namespace mimic
