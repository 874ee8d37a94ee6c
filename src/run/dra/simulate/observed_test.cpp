// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/observed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "dra/simulate/work_queue.h"

namespace mimic::dra {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(Observed, ComparesVersionsAsNumbers) {
    EXPECT_TRUE(is_later_version("10", "9"));
    EXPECT_TRUE(is_later_version("18446744073709551616", "18446744073709551615"));
    EXPECT_FALSE(is_later_version("9", "10"));
    EXPECT_FALSE(is_later_version("10", "10"));
    EXPECT_FALSE(is_later_version("0010", "10"));
    EXPECT_FALSE(is_later_version("0", "0"));
    EXPECT_TRUE(is_later_version("1", "0"));
    // What is no number is looked at.
    EXPECT_TRUE(is_later_version("x", "10"));
    EXPECT_TRUE(is_later_version("", "10"));
    EXPECT_FALSE(is_later_version("x", "x"));
}

TEST(Observed, KnowsItsOwnWork) {
    Observed observed(2);
    observed.begin(0);
    ASSERT_FALSE(observed.finish(0, {{"b", "u2", "12"}, {"a", "u1", "11"}}));
    EXPECT_EQ(observed.total(), 2u);
    EXPECT_FALSE(observed.see(0, false, {"a", "u1", "11"}));
    EXPECT_FALSE(observed.see(0, false, {"a", "u1", "10"}));  // older than what we left
    EXPECT_FALSE(observed.differs(0, {{"a", "u1", "11"}, {"b", "u2", "12"}}));
}

TEST(Observed, NoticesOthers) {
    Observed observed(2);
    observed.begin(0);
    ASSERT_FALSE(observed.finish(0, {{"a", "u1", "11"}}));
    EXPECT_TRUE(observed.see(0, false, {"a", "u1", "13"}));  // changed
    EXPECT_TRUE(observed.see(0, true, {"a", "u1", "14"}));   // deleted
    EXPECT_TRUE(observed.see(0, false, {"z", "u9", "2"}));   // one more
    EXPECT_TRUE(observed.see(1, false, {"a", "u1", "11"}));  // on a node without slices
    EXPECT_FALSE(observed.see(0, true, {"z", "u9", "3"}));   // gone again
    EXPECT_TRUE(observed.differs(0, {}));
    EXPECT_TRUE(observed.differs(0, {{"a", "u1", "12"}}));
    EXPECT_TRUE(observed.differs(0, {{"a", "u1", "11"}, {"z", "u9", "2"}}));
    EXPECT_FALSE(observed.differs(1, {}));
}

// The event may come before the answer to the request that caused it.
TEST(Observed, JudgesWhatItSawWhileWorkingAfterwards) {
    Observed observed(1);
    observed.begin(0);
    EXPECT_FALSE(observed.see(0, false, {"a", "u1", "11"}));
    EXPECT_FALSE(observed.finish(0, {{"a", "u1", "11"}}));

    observed.begin(0);
    EXPECT_FALSE(observed.see(0, false, {"a", "u1", "12"}));
    EXPECT_FALSE(observed.see(0, false, {"a", "u1", "13"}));  // somebody else's
    EXPECT_TRUE(observed.finish(0, {{"a", "u1", "12"}}));

    observed.begin(0);  // replaced by the worker
    EXPECT_FALSE(observed.see(0, true, {"a", "u1", "14"}));
    EXPECT_FALSE(observed.see(0, false, {"b", "u2", "15"}));
    EXPECT_FALSE(observed.finish(0, {{"b", "u2", "15"}}));

    observed.begin(0);  // somebody made one, and the worker deleted it
    EXPECT_FALSE(observed.see(0, false, {"c", "u3", "16"}));
    EXPECT_FALSE(observed.see(0, true, {"c", "u3", "17"}));
    EXPECT_FALSE(observed.finish(0, {{"b", "u2", "15"}}));

    observed.begin(0);  // somebody deleted it
    EXPECT_FALSE(observed.see(0, true, {"b", "u2", "18"}));
    EXPECT_TRUE(observed.finish(0, {{"b", "u2", "15"}}));
}

TEST(Observed, BoundsWhatItKeepsMeanwhile) {
    Observed observed(1);
    observed.begin(0);
    for (int count = 0; count < 1000; ++count) {
        EXPECT_FALSE(observed.see(0, false, {"a", "u1", "5"}));
    }
    EXPECT_TRUE(observed.finish(0, {{"a", "u1", "5"}}));  // it cannot know, so it looks
}

TEST(WorkQueue, GivesAnItemToOneWorkerAndAgain) {
    WorkQueue queue(3);
    queue.add(2);
    queue.add(2);
    queue.add(1);
    EXPECT_EQ(queue.length(), 2u);
    EXPECT_EQ(queue.take(), 2u);
    queue.add(2);  // while it is with us
    queue.add(2);
    EXPECT_EQ(queue.take(), 1u);
    queue.done(1);
    queue.done(2);
    EXPECT_EQ(queue.take(), 2u);
    queue.done(2);
    EXPECT_EQ(queue.length(), 0u);
    EXPECT_TRUE(queue.wait_idle({}));
}

TEST(WorkQueue, DelaysAndHurries) {
    WorkQueue queue(3);
    queue.add(0, hours(1));
    queue.add(1, milliseconds(1));
    EXPECT_EQ(queue.take(), 1u);
    queue.done(1);
    EXPECT_FALSE(queue.wait_idle(milliseconds(1)));
    queue.add(0, hours(2));  // later than it comes anyway
    queue.add(0);            // sooner
    EXPECT_EQ(queue.take(), 0u);
    queue.add(0, hours(1));
    queue.add(0);  // the sooner one counts, also for one that is worked on
    queue.done(0);
    EXPECT_EQ(queue.take(), 0u);
    queue.done(0);
    EXPECT_TRUE(queue.wait_idle({}));
}

TEST(WorkQueue, HoldsEverybodyBack) {
    WorkQueue queue(1);
    queue.add(0);
    const auto until = WorkQueue::Clock::now() + milliseconds(20);
    queue.hold_until(until);
    EXPECT_EQ(queue.take(), 0u);
    EXPECT_GE(WorkQueue::Clock::now(), until);
    queue.done(0);
}

TEST(WorkQueue, SomeWaitForTheSameDelayedItem) {
    constexpr int kTimes = 20;
    WorkQueue queue(1);
    std::vector<std::thread> workers;
    std::atomic<int> taken = 0;
    for (int i = 0; i < 4; ++i) {
        workers.emplace_back([&] {
            while (const auto item = queue.take()) {
                queue.done(*item);
                if (++taken == kTimes) return queue.close();
                queue.add(*item, milliseconds(5));
            }
        });
    }
    queue.add(0, milliseconds(5));
    for (std::thread& worker : workers) worker.join();
    EXPECT_EQ(taken, kTimes);
}

TEST(WorkQueue, EndsThoseWhoWait) {
    WorkQueue queue(1);
    std::thread worker([&queue] { EXPECT_EQ(queue.take(), std::nullopt); });
    std::thread waiter([&queue] { EXPECT_EQ(queue.take(), std::nullopt); });
    queue.close();
    worker.join();
    waiter.join();
    queue.add(0);
    EXPECT_EQ(queue.take(), std::nullopt);
    EXPECT_FALSE(queue.wait_idle({}));
}

}  // namespace
}  // namespace mimic::dra
