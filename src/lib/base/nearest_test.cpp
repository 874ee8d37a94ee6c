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
    EXPECT_THAT(nearest_names("gpu1", {"gpu123", "gpu2", "gpu1x", "nic0"}),
                ElementsAre("gpu2", "gpu1x", "gpu123"));
    EXPECT_THAT(nearest_names("gpu1", {"gpu2", "gpu3", "gpu4"}, 2), ElementsAre("gpu2", "gpu3"));
    EXPECT_THAT(nearest_names("unrelated", {"a", "b"}), IsEmpty());
    EXPECT_THAT(nearest_names("", {}), IsEmpty());
}

TEST(NearestNames, SentenceNamesTheNearestOrAll) {
    EXPECT_EQ(did_you_mean("remov", {"add", "remove"}), "; did you mean remove?");
    EXPECT_EQ(did_you_mean("unrelated", {"a", "b"}), "; there are a, b");
    EXPECT_EQ(did_you_mean("unrelated", {"a"}), "; there is a");
    EXPECT_EQ(did_you_mean("x", {}), "");
}

}  // namespace
}  // namespace mimic
