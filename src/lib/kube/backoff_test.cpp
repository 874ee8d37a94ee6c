// SPDX-License-Identifier: Apache-2.0
#include "kube/backoff.h"

#include <gtest/gtest.h>

#include <thread>

namespace mimic::kube {
namespace {

using namespace std::chrono_literals;

TEST(KubeBackoff, DoublesUpToItsLimitWithinItsJitter) {
    Backoff backoff({100ms, 1s}, 7);
    for (const auto most : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms, 1000ms}) {
        const auto wait = backoff.next();
        EXPECT_GE(wait, most / 2);
        EXPECT_LE(wait, most);
    }
    EXPECT_EQ(backoff.failures(), 7u);
    backoff.reset();
    EXPECT_LE(backoff.next(), 100ms);
    for (int i = 0; i < 1000; ++i) EXPECT_LE(backoff.next(), 1s);
}

TEST(KubeBackoff, TheSameSeedGivesTheSameWaitsAndAnotherOthers) {
    Backoff a({1s, 1h}, 1), b({1s, 1h}, 1), c({1s, 1h}, 2);
    bool differs = false;
    for (int i = 0; i < 10; ++i) {
        const auto wait = a.next();
        EXPECT_EQ(wait, b.next());
        differs = differs || wait != c.next();
    }
    EXPECT_TRUE(differs);
}

TEST(KubeBackoff, WaitsAsLongAsTheServerAsks) {
    Backoff backoff({100ms, 1s}, 7);
    const auto wait = backoff.next(20s);
    EXPECT_GE(wait, 20s);
    EXPECT_LE(wait, 21s);
    EXPECT_LE(backoff.next(0s), 200ms);
}

TEST(KubeBackoff, AStopEndsTheWait) {
    std::stop_source stop;
    std::thread other([&stop] { stop.request_stop(); });
    EXPECT_FALSE(wait_for(1h, stop.get_token()));
    other.join();
    EXPECT_FALSE(wait_for(1h, stop.get_token()));
    EXPECT_TRUE(wait_for(1ms, std::stop_token()));
}

}  // namespace
}  // namespace mimic::kube
