// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/simulate/fairness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mediator/schedule/jain_index.h"

namespace mimic::mediator::schedule {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

double jain_of(const std::vector<double>& values) {
    return jain_index(values);
}

TEST(JainIndex, IsOneForEqualValuesAndOneOverNForASingleOne) {
    EXPECT_DOUBLE_EQ(jain_of({3, 3, 3}), 1.0);
    EXPECT_DOUBLE_EQ(jain_of({5, 0, 0, 0}), 0.25);
    EXPECT_DOUBLE_EQ(jain_of({}), 1.0);
    EXPECT_DOUBLE_EQ(jain_of({0, 0}), 1.0);
    // The fact sheet's second row: 0, 0.1, 0.2 and 99.7 % at weights of 10 to 40.
    EXPECT_NEAR(jain_of({0, 0.1 / 20, 0.2 / 30, 99.7 / 40}), 0.253, 0.001);
}

TEST(MinMaxRatio, IsTheSmallestOverTheLargest) {
    EXPECT_DOUBLE_EQ(min_max_ratio({2, 4, 3}), 0.5);
    EXPECT_DOUBLE_EQ(min_max_ratio({2, 0}), 0);
    EXPECT_DOUBLE_EQ(min_max_ratio({}), 1);
}

TEST(Quantile, IsTheNearestRank) {
    std::vector<Time> values = {50, 10, 40, 20, 30};
    EXPECT_EQ(quantile(values, 50), 30);
    EXPECT_EQ(quantile(values, 99), 50);
    EXPECT_EQ(quantile(values, 0), 10);
    std::vector<Time> none;
    EXPECT_EQ(quantile(none, 50), 0);
}

TEST(MaxMinShares, AreByWeightWhereEverybodyAsksForMore) {
    EXPECT_THAT(max_min_shares({10, 20, 30, 40}, {100, 100, 100, 100}, 100),
                ElementsAre(DoubleNear(10, 1e-9), DoubleNear(20, 1e-9), DoubleNear(30, 1e-9),
                            DoubleNear(40, 1e-9)));
}

TEST(MaxMinShares, LeaveToOthersWhatIsNotAskedFor) {
    // 40 asks for 10 only; what is left, 90, is shared 1:2 by the others, of whom one asks for 50.
    EXPECT_THAT(max_min_shares({10, 20, 40}, {100, 50, 10}, 100),
                ElementsAre(DoubleNear(40, 1e-9), DoubleNear(50, 1e-9), DoubleNear(10, 1e-9)));
    EXPECT_THAT(max_min_shares({1, 1}, {0, 5}, 100), ElementsAre(0, 5));
}

}  // namespace
}  // namespace mimic::mediator::schedule
