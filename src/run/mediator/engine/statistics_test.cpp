// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mediator/engine/engine.h"
#include "mediator/engine/share_window.h"

namespace mimic::mediator {
namespace {

using namespace std::chrono_literals;

TEST(Histogram, CountsInBucketsOfAFactorOfTwo) {
    Histogram histogram;
    histogram.add(999ns);
    histogram.add(1us);
    histogram.add(1999ns);
    histogram.add(2us);
    histogram.add(std::chrono::hours(1));
    histogram.add(-5ns);
    EXPECT_EQ(histogram.buckets[0], 2U);
    EXPECT_EQ(histogram.buckets[1], 2U);
    EXPECT_EQ(histogram.buckets[2], 1U);
    EXPECT_EQ(histogram.buckets[Histogram::kBuckets - 1], 1U);
    EXPECT_EQ(histogram.count, 6U);
}

TEST(Histogram, PercentileIsTheUpperBoundOfItsBucket) {
    Histogram histogram;
    EXPECT_EQ(histogram.percentile(0.5), 0ns);
    for (int i = 0; i < 99; ++i) histogram.add(10us);
    histogram.add(1ms);
    EXPECT_EQ(histogram.percentile(0.0), 16us);
    EXPECT_EQ(histogram.percentile(0.99), 16us);
    EXPECT_EQ(histogram.percentile(0.995), 1024us);
    EXPECT_EQ(histogram.percentile(7.0), 1024us);
}

TEST(ShareWindow, RemembersTenSeconds) {
    ShareWindow window;
    const TimePoint begin{};
    window.set_backlogged(true, begin);
    window.add_service(100ms, begin + 500ms);
    EXPECT_EQ(window.sum(begin + 1500ms).service, 100ms);
    EXPECT_EQ(window.sum(begin + 1500ms).backlogged, 1500ms);
    window.set_backlogged(false, begin + 2s);
    EXPECT_EQ(window.sum(begin + 9s).backlogged, 2s);
    EXPECT_EQ(window.sum(begin + 10s).service, 0ms);
    EXPECT_EQ(window.sum(begin + 10s).backlogged, 1s);
    EXPECT_EQ(window.sum(begin + 1h).backlogged, 0s);
}

TEST(ShareWindow, LongTimeWithoutALookIsBounded) {
    ShareWindow window;
    window.set_backlogged(true, TimePoint{});
    EXPECT_LE(window.sum(TimePoint{} + 1h).backlogged, 10s);
    EXPECT_GE(window.sum(TimePoint{} + 1h).backlogged, 9s);
}

}  // namespace
}  // namespace mimic::mediator
