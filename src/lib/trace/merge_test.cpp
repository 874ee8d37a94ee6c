// SPDX-License-Identifier: Apache-2.0
#include "trace/merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mimic::trace {
namespace {

using ::testing::ElementsAre;

Slice slice(const std::vector<int64_t>& times, bool more, int64_t until = 1000) {
    Slice result{.events = {}, .more = more, .until_ns = until};
    for (const int64_t time : times) {
        result.events.emplace_back();
        result.events.back().time_ns = time;
    }
    return result;
}

std::vector<int64_t> times(const Merged& merged) {
    std::vector<int64_t> result;
    for (const Event& event : merged.events) result.push_back(event.time_ns);
    return result;
}

TEST(MergeSlices, ByTime) {
    const Merged merged = merge_slices({slice({1, 5, 9}, false), slice({2, 3, 10}, false)}, 100);
    EXPECT_THAT(times(merged), ElementsAre(1, 2, 3, 5, 9, 10));
    EXPECT_THAT(merged.taken, ElementsAre(3U, 3U));
    EXPECT_FALSE(merged.more);
}

// The first ring may have an event at 4 that did not fit its slice.
TEST(MergeSlices, NotPastWhatIsKnownOfEachRing) {
    const Merged merged = merge_slices({slice({1, 3}, true), slice({2, 8}, false)}, 100);
    EXPECT_THAT(times(merged), ElementsAre(1, 2, 3));
    EXPECT_THAT(merged.taken, ElementsAre(2U, 1U));
    EXPECT_TRUE(merged.more);
}

// The second ring was read later than the first.
TEST(MergeSlices, NotPastWhenARingWasRead) {
    const Merged merged = merge_slices({slice({}, false, 5), slice({4, 6}, false, 9)}, 100);
    EXPECT_THAT(times(merged), ElementsAre(4));
    EXPECT_TRUE(merged.more);
    EXPECT_EQ(merged.until_ns, 5);
}

TEST(MergeSlices, NoMoreThanTheLimit) {
    const Merged merged = merge_slices({slice({1, 2}, false), slice({1, 2}, false)}, 3);
    EXPECT_THAT(times(merged), ElementsAre(1, 1, 2));
    EXPECT_TRUE(merged.more);
    EXPECT_EQ(merged.until_ns, 2);
}

TEST(MergeSlices, Nothing) {
    EXPECT_TRUE(merge_slices({}, 10).events.empty());
    EXPECT_TRUE(merge_slices({slice({}, false)}, 10).events.empty());
}

}  // namespace
}  // namespace mimic::trace
