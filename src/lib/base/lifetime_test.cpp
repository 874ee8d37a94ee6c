// SPDX-License-Identifier: Apache-2.0
// What keeps late work from touching what has gone: ThreadBound, WeakPtr and Timer.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/event_loop.h"
#include "base/testing/virtual_time.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "base/weak_ptr.h"

namespace mimic {
namespace {

using namespace std::chrono_literals;

// --- ThreadBound -----------------------------------------------------------------------------

TEST(ThreadBound, BelongsToTheFirstThreadThatChecks) {
    const ThreadBound bound;
    EXPECT_FALSE(bound.is_current());
    bound.check();
    EXPECT_TRUE(bound.is_current());
    bound.check();
    bool elsewhere = true;
    std::thread([&] { elsewhere = bound.is_current(); }).join();
    EXPECT_FALSE(elsewhere);
}

TEST(ThreadBoundDeathTest, AbortsOnAnyOtherThread) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            const ThreadBound bound;
            bound.check();
            std::thread([&] { bound.check(); }).join();
        },
        "bug in mimic: is_current");
}

TEST(ThreadBound, IsHandedOverByBindOrRelease) {
    ThreadBound bound;
    bound.check();
    std::thread([&] {
        bound.bind();
        bound.check();
        bound.release();
    }).join();
    EXPECT_FALSE(bound.is_current());
    bound.check();
}

TEST(ThreadBound, WhatAnEndedThreadHadBelongsToWhoComesNext) {
    const ThreadBound bound;
    std::thread([&] { bound.check(); }).join();
    bound.check();
    EXPECT_TRUE(bound.is_current());
}

TEST(ThreadBound, LivingThreadsHaveDifferentNumbers) {
    constexpr size_t kThreads = 70;  // more than one word of bits
    std::vector<uint32_t> numbers(kThreads);
    std::atomic<size_t> taken = 0;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kThreads; ++i) {
        threads.emplace_back([&, i] {
            numbers[i] = internal::thread_number();
            ++taken;
            while (taken < kThreads) std::this_thread::yield();
        });
    }
    for (auto& thread : threads) thread.join();
    std::sort(numbers.begin(), numbers.end());
    EXPECT_EQ(std::adjacent_find(numbers.begin(), numbers.end()), numbers.end());
    for (const uint32_t number : numbers) {
        EXPECT_NE(number, internal::kNoThread);
        EXPECT_FALSE(internal::thread_lives(number)) << "its thread was joined";
    }
}

// --- WeakPtr ---------------------------------------------------------------------------------

struct Thing {
    int value = 7;
    WeakOwner<Thing> weak{this};
};

TEST(WeakPtr, IsNullOnceTheObjectHasGone) {
    std::optional<Thing> thing(std::in_place);
    const WeakPtr<Thing> pointer = thing->weak.ptr();
    const WeakPtr<Thing> copy = pointer;
    EXPECT_EQ(pointer.get(), &*thing);
    EXPECT_EQ(copy->value, 7);
    thing.reset();
    EXPECT_FALSE(pointer);
    EXPECT_EQ(copy.get(), nullptr);
    EXPECT_FALSE(WeakPtr<Thing>());
}

TEST(WeakPtr, RevokeEndsThoseGivenOutBefore) {
    Thing thing;
    const auto before = thing.weak.ptr();
    thing.weak.revoke();
    EXPECT_FALSE(before);
    const auto after = thing.weak.ptr();
    EXPECT_EQ(after.get(), &thing);
    EXPECT_FALSE(before);
}

TEST(WeakPtrDeathTest, MayNotBeLookedThroughOnAnotherThread) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Thing thing;
            const auto pointer = thing.weak.ptr();
            (void)pointer.get();
            std::thread([&] { (void)pointer.get(); }).join();
        },
        "bug in mimic: is_current");
    EXPECT_DEATH((void)WeakPtr<Thing>()->value, "bug in mimic: object != nullptr");
}

// As a loop does that is destroyed with tasks in its queue.
TEST(WeakPtr, MayBeDroppedOnAnotherThread) {
    Thing thing;
    auto pointer = std::make_unique<WeakPtr<Thing>>(thing.weak.ptr());
    EXPECT_TRUE(*pointer);
    std::thread([&] { pointer.reset(); }).join();
    EXPECT_TRUE(thing.weak.ptr());
}

// --- Timer -----------------------------------------------------------------------------------

class TimerTest : public testing::Test {
protected:
    TaskRunner::Task count() {
        return [this] { ++fired; };
    }

    VirtualTime time;
    std::optional<Timer> timer{std::in_place};
    int fired = 0;
};

TEST_F(TimerTest, FiresOnceAtItsTime) {
    timer->start(time, 10ns, count());
    EXPECT_TRUE(timer->is_pending());
    time.advance(9ns);
    EXPECT_EQ(fired, 0);
    time.advance(1ns);
    EXPECT_EQ(fired, 1);
    EXPECT_FALSE(timer->is_pending());
    time.advance(1h);
    EXPECT_EQ(fired, 1);
}

TEST_F(TimerTest, PostRunsBehindWhatWasPostedBefore) {
    time.post([&] { EXPECT_EQ(fired++, 0); });
    timer->post(time, count());
    time.advance(0ns);
    EXPECT_EQ(fired, 2);
}

TEST_F(TimerTest, NeverFiresOnceCancelledOrDestroyed) {
    timer->start(time, 10ns, count());
    timer->cancel();
    EXPECT_FALSE(timer->is_pending());
    timer->start(time, 20ns, count());
    timer.reset();
    time.advance(1h);
    EXPECT_EQ(fired, 0);
    EXPECT_TRUE(time.idle()) << "the runner had them, and they did nothing";
}

TEST_F(TimerTest, StartingAgainReplacesTheTask) {
    int other = 0;
    timer->start(time, 10ns, count());
    timer->start(time, 20ns, [&] { ++other; });
    time.advance(15ns);
    EXPECT_EQ(fired, 0);
    EXPECT_EQ(other, 0);
    timer->start(time, 1ns, count());  // earlier than what it replaces
    time.advance(1h);
    EXPECT_EQ(fired, 1);
    EXPECT_EQ(other, 0);
}

TEST_F(TimerTest, ItsTaskMayStartOrDestroyIt) {
    timer->start(time, 1ns, [&] {
        ++fired;
        timer->start(time, 1ns, [&, three = std::make_shared<int>(3)] {
            timer.reset();
            EXPECT_EQ(*three, 3) << "what the task has captured is there until it returns";
            ++fired;
        });
    });
    time.advance(1h);
    EXPECT_EQ(fired, 2);
    EXPECT_FALSE(timer);
}

TEST_F(TimerTest, OwnsWhatItsTaskHasCaptured) {
    auto captured = std::make_shared<int>(1);
    timer->start(time, 10ns, [captured] {});
    EXPECT_EQ(captured.use_count(), 2);
    timer->cancel();
    EXPECT_EQ(captured.use_count(), 1) << "though the runner's time has not come";
}

// As a device does that another loop serves next. Both threads live all the while.
TEST_F(TimerTest, MayChangeItsThreadOnceCancelled) {
    timer->post(time, count());
    time.run();
    timer->cancel();
    std::thread([&] {
        timer->post(time, count());
        time.run();
        timer->cancel();
    }).join();
    EXPECT_EQ(fired, 2);
    timer->post(time, count());
    time.run();
    EXPECT_EQ(fired, 3);
}

TEST_F(TimerTest, WorksOnAnEventLoop) {
    auto loop = EventLoop::create().value();
    Timer other;
    other.start(*loop, 1ms, [&] { loop->stop(); });
    timer->post(*loop, count());
    timer->cancel();
    loop->run();
    EXPECT_EQ(fired, 0);
}

}  // namespace
}  // namespace mimic
