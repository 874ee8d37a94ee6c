// SPDX-License-Identifier: Apache-2.0
#include "sim/kernel/event_kernel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace mimic::sim {
namespace {

// What the kernel must do, said with a container that is ordered by itself.
class Reference {
public:
    void at(SimTime time, uint64_t number) {
        queue_.emplace(std::pair{std::max(time, now_), ++order_}, number);
    }
    bool cancel(uint64_t number) {
        for (auto entry = queue_.begin(); entry != queue_.end(); ++entry) {
            if (entry->second != number) continue;
            queue_.erase(entry);
            return true;
        }
        return false;
    }
    // The number of the next at most at `limit`; 0: none, time is `limit`.
    uint64_t next(SimTime limit) {
        if (queue_.empty() || queue_.begin()->first.first > limit) {
            if (limit != EventKernel::kNever) now_ = std::max(now_, limit);
            return 0;
        }
        const auto first = queue_.extract(queue_.begin());
        now_ = first.key().first;
        return first.mapped();
    }
    SimTime now() const { return now_; }
    SimTime next_time() const {
        return queue_.empty() ? EventKernel::kNever : queue_.begin()->first.first;
    }
    size_t pending() const { return queue_.size(); }

private:
    SimTime now_ = 0;
    uint64_t order_ = 0;
    std::map<std::pair<SimTime, uint64_t>, uint64_t> queue_;
};

// Both at once; each step compares them.
class Pair {
public:
    explicit Pair(uint64_t seed) : random_(seed) {}

    void schedule(SimTime time) {
        const uint64_t number = ++numbers_;
        handles_[number] = kernel_.at(time, [this, number] { ran_ = number; });
        reference_.at(time, number);
    }
    void cancel_one() {
        if (numbers_ == 0) return;
        // Also those that have run or were cancelled.
        const uint64_t number = 1 + random_() % numbers_;
        ASSERT_EQ(kernel_.cancel(handles_[number]), reference_.cancel(number));
    }
    void run_one(SimTime limit) {
        ran_ = 0;
        const uint64_t expected = reference_.next(limit);
        ASSERT_EQ(kernel_.run_one(limit), expected != 0);
        ASSERT_EQ(ran_, expected);
        ASSERT_EQ(kernel_.now(), reference_.now());
    }
    void compare() {
        ASSERT_EQ(kernel_.pending(), reference_.pending());
        ASSERT_EQ(kernel_.next_time(), reference_.next_time());
    }
    SimTime random_time() {
        // Of all sizes: equal times, neighbours, and the end of time.
        const SimTime delay = random_() >> (random_() % 64);
        const SimTime now = reference_.now();
        if (random_() % 16 == 0) return random_();  // also past
        return delay > EventKernel::kNever - now ? EventKernel::kNever : now + delay;
    }
    uint64_t random() { return random_(); }
    size_t pending() const { return reference_.pending(); }
    SimTime now() const { return reference_.now(); }

private:
    std::mt19937_64 random_;
    EventKernel kernel_;
    Reference reference_;
    std::map<uint64_t, EventKernel::Handle> handles_;
    uint64_t numbers_ = 0;
    uint64_t ran_ = 0;
};

class EventKernelSeeds : public testing::TestWithParam<uint64_t> {};

TEST_P(EventKernelSeeds, DoesWhatAPriorityQueueDoes) {
    Pair pair(GetParam());
    for (int step = 0; step < 4000; ++step) {
        const uint64_t what = pair.random() % 8;
        if (what < 3) {
            pair.schedule(pair.random_time());
        } else if (what == 3) {
            pair.schedule(pair.now() + pair.random() % 4);
        } else if (what == 4) {
            pair.cancel_one();
        } else if (what == 5) {
            pair.run_one(pair.random_time());
        } else {
            // Near: the times of the long ones must not always be used up.
            pair.run_one(pair.now() + (pair.random() >> (24 + pair.random() % 40)));
        }
        pair.compare();
        if (HasFatalFailure()) FAIL() << "step " << step;
    }
    while (pair.pending() != 0) {
        pair.run_one(EventKernel::kNever);
        if (HasFatalFailure()) FAIL();
    }
}
INSTANTIATE_TEST_SUITE_P(, EventKernelSeeds, testing::Range<uint64_t>(1, 25));

TEST(EventKernel, CallbacksOfOneTimeRunInOrderEvenIfScheduledFromThere) {
    EventKernel kernel;
    std::vector<int> order;
    kernel.at(1'000'000, [&] {
        order.push_back(1);
        kernel.after(0, [&] { order.push_back(3); });
    });
    kernel.at(999'999, [&] { kernel.at(1'000'000, [&] { order.push_back(2); }); });
    EXPECT_EQ(kernel.run_until(1'000'000), 4u);
    EXPECT_EQ(order, (std::vector{1, 2, 3}));
    EXPECT_EQ(kernel.now(), 1'000'000u);
}

TEST(EventKernel, ChainOfManyAtOnceKeepsTheMemoryOfTheFirstRound) {
    EventKernel kernel;
    std::mt19937_64 random(7);
    uint64_t ran = 0;
    struct Again {
        EventKernel* kernel;
        std::mt19937_64* random;
        uint64_t* ran;
        void operator()() const {
            if (++*ran < 100'000) kernel->after(1 + (*random)() % 1'000'000, *this);
        }
    };
    for (int i = 0; i < 2000; ++i)
        kernel.after(static_cast<SimTime>(i), Again{&kernel, &random, &ran});
    const size_t capacity = kernel.capacity();
    SimTime last = 0;
    while (kernel.run_one()) {
        ASSERT_GE(kernel.now(), last);
        last = kernel.now();
    }
    EXPECT_EQ(ran, 100'000u + 1999u);
    EXPECT_EQ(kernel.capacity(), capacity);
}

TEST(EventKernel, CancelDestroysWhatWasCaptured) {
    EventKernel kernel;
    const auto token = std::make_shared<int>(1);
    auto handle = kernel.at(5, [token] { FAIL(); });
    kernel.at(1ull << 60, [token] { FAIL(); });
    EXPECT_EQ(token.use_count(), 3);
    EXPECT_TRUE(kernel.cancel(handle));
    EXPECT_FALSE(kernel.cancel(handle));
    EXPECT_EQ(token.use_count(), 2);
    kernel.clear();
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_EQ(kernel.pending(), 0u);
    EXPECT_EQ(kernel.now(), 0u);
}

TEST(EventKernel, CallbackMayCancelItsNeighboursButNotItself) {
    struct {
        EventKernel kernel;
        EventKernel::Handle first;
        EventKernel::Handle second;
        int ran = 0;
    } all;
    all.first = all.kernel.at(10, [&all] {
        ++all.ran;
        EXPECT_FALSE(all.kernel.cancel(all.first));
        EXPECT_TRUE(all.kernel.cancel(all.second));
    });
    all.second = all.kernel.at(10, [&all] { all.ran += 100; });
    all.kernel.at(11, [&all] { all.ran += 10; });
    all.kernel.run_until(EventKernel::kNever);
    EXPECT_EQ(all.ran, 11);
}

TEST(EventKernel, HandleOfOneThatRanDoesNotNameItsSuccessor) {
    EventKernel kernel;
    const auto old = kernel.at(1, [] {});
    kernel.run_until(1);
    int ran = 0;
    kernel.at(2, [&] { ++ran; });  // takes the same memory
    EXPECT_FALSE(kernel.cancel(old));
    kernel.run_until(2);
    EXPECT_EQ(ran, 1);
}

TEST(EventKernel, RunUntilStopsAfterMost) {
    EventKernel kernel;
    int ran = 0;
    for (int i = 0; i < 5; ++i) kernel.at(7, [&] { ++ran; });
    EXPECT_EQ(kernel.run_until(100, 3), 3u);
    EXPECT_EQ(kernel.now(), 7u);
    EXPECT_EQ(kernel.run_until(100, 3), 2u);
    EXPECT_EQ(ran, 5);
    EXPECT_EQ(kernel.now(), 100u);
}

TEST(EventKernel, TimeThatCannotBeReachedIsTheEndOfTime) {
    EventKernel kernel;
    kernel.run_until(1000);
    int ran = 0;
    kernel.after(EventKernel::kNever, [&] { ++ran; });
    EXPECT_EQ(kernel.next_time(), EventKernel::kNever);
    EXPECT_FALSE(kernel.run_one(EventKernel::kNever - 1));
    EXPECT_TRUE(kernel.run_one());
    EXPECT_EQ(ran, 1);
    EXPECT_EQ(kernel.now(), EventKernel::kNever);
}

}  // namespace
}  // namespace mimic::sim
