// SPDX-License-Identifier: Apache-2.0
// Result, UniqueFd and RateLimit.
#include <sys/mman.h>

#include <gtest/gtest.h>

#include "base/log.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic {
namespace {

using namespace std::chrono_literals;

Result<int> half(int value) {
    if (value % 2 != 0) return fail(std::errc::invalid_argument, "{} is odd", value);
    return value / 2;
}

Result<int> quarter(int value) {
    MIMIC_ASSIGN_OR_RETURN(const int h, half(value));
    return half(h);
}

TEST(Result, ErrorTravelsUpWithItsMessage) {
    EXPECT_EQ(quarter(8).value(), 2);
    EXPECT_EQ(quarter(6).error().message(), "3 is odd");
}

TEST(RateLimit, CountsWhatItDrops) {
    log::RateLimit limit(2);
    uint64_t dropped = 99;
    const TimePoint t0 = TimePoint{} + 10s;
    EXPECT_TRUE(limit.allow(t0, dropped));
    EXPECT_TRUE(limit.allow(t0, dropped));
    EXPECT_FALSE(limit.allow(t0, dropped));
    EXPECT_TRUE(limit.allow(t0 + 1s, dropped));
    EXPECT_EQ(dropped, 1u);
}

// The flood of an hour, at one event in 10 ms and at one in 3 s.
TEST(RateLimit, OneWhoNeverStopsIsHeardEverMoreSeldom) {
    for (const Duration step : {Duration(10ms), Duration(3s)}) {
        log::RateLimit limit;
        uint64_t lines = 0;
        uint64_t reported = 0;
        const TimePoint start = TimePoint{} + 10s;
        TimePoint now = start;
        for (; now < start + 1h; now += step) {
            uint64_t dropped = 0;
            if (!limit.allow(now, dropped)) continue;
            ++lines;
            reported += dropped;
        }
        EXPECT_GE(lines, 10u);
        EXPECT_LE(lines, 5u + 10u + 6u);  // the burst, the doublings to ten minutes, the rest
        EXPECT_GT(reported, static_cast<uint64_t>(40min / step));
    }
}

TEST(RateLimit, BeginsAnewAfterAQuietTime) {
    log::RateLimit limit(2);
    uint64_t dropped = 0;
    TimePoint now = TimePoint{} + 10s;
    for (int i = 0; i < 1000; ++i, now += 10ms) limit.allow(now, dropped);
    EXPECT_FALSE(limit.allow(now, dropped));
    EXPECT_TRUE(limit.allow(now + 61s, dropped));
    EXPECT_EQ(dropped, 299u);  // since the last, which came after 1 + 2 + 4 s
    EXPECT_TRUE(limit.allow(now + 61s, dropped));
    EXPECT_EQ(dropped, 0u);
    EXPECT_FALSE(limit.allow(now + 61s, dropped));
    EXPECT_EQ(log::more_like_it(0), "");
    EXPECT_EQ(log::more_like_it(7), " (7 more like it)");
}

}  // namespace
}  // namespace mimic
