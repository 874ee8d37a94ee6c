// SPDX-License-Identifier: Apache-2.0
// Which names are near enough to be what was meant.
#include "base/nearest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mimic {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(NearestNames, OrdersByDistanceAndLimits) {
    EXPECT_THAT(nearest_names("gpu001", {"gpu00123", "gpu002", "gpu001x", "nic0"}),
                ElementsAre("gpu002", "gpu001x", "gpu00123"));
    EXPECT_THAT(nearest_names("gpu1", {"gpu2", "gpu3", "gpu4"}, 2), ElementsAre("gpu2", "gpu3"));
    EXPECT_THAT(nearest_names("unrelated", {"a", "b"}), IsEmpty());
    EXPECT_THAT(nearest_names("", {}), IsEmpty());
}

TEST(NearestNames, IsNoGuess) {
    EXPECT_THAT(nearest_names("nope", {"node1", "top", "one"}), IsEmpty());
    EXPECT_THAT(nearest_names("x", {"a", "xy"}), IsEmpty());
    EXPECT_THAT(nearest_names("otehr", {"other", "outer"}), ElementsAre("other"));
}

TEST(NearestNames, CountsWhatIsExchanged) {
    EXPECT_EQ(edit_distance("", "abc"), 3u);
    EXPECT_EQ(edit_distance("abc", ""), 3u);
    EXPECT_EQ(edit_distance("single", "sinlge"), 1u);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
    EXPECT_EQ(edit_distance("ca", "abc"), 3u);
}

TEST(NearestNames, SentenceNamesTheNearestOrAll) {
    EXPECT_EQ(did_you_mean("remov", {"add", "remove"}), "; did you mean remove?");
    EXPECT_EQ(did_you_mean("unrelated", {"a", "b"}), "; there are a, b");
    EXPECT_EQ(did_you_mean("unrelated", {"a"}), "; there is a");
    EXPECT_EQ(did_you_mean("x", {}), "");
    EXPECT_EQ(nearest_hint("remov", {"add", "remove"}), "; did you mean remove?");
    EXPECT_EQ(nearest_hint("unrelated", {"a", "b"}), "");
}

}  // namespace
}  // namespace mimic
