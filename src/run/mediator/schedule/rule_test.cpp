// SPDX-License-Identifier: Apache-2.0
// What every rule promises, and what fair and fifo choose in the simplest cases.
#include "mediator/schedule/rule.h"
#include "mediator/schedule/time_units.h"

#include <map>
#include <vector>

#include <gtest/gtest.h>

namespace mimic::mediator::schedule {
namespace {

constexpr RuleName kAllRules[] = {RuleName::kFair, RuleName::kFifo, RuleName::kStrict,
                                  RuleName::kUrgency, RuleName::kDrmFair};

class EveryRule : public ::testing::TestWithParam<RuleName> {
protected:
    std::unique_ptr<Rule> rule_ = make_rule(GetParam(), {});
};

INSTANTIATE_TEST_SUITE_P(All, EveryRule, ::testing::ValuesIn(kAllRules));

TEST_P(EveryRule, HasNothingToStartWhenNothingWaits) {
    rule_->set_vm(1, {}, 0);
    EXPECT_EQ(rule_->next(0, 0), std::nullopt);
    EXPECT_EQ(rule_->waiting(), 0u);
}

TEST_P(EveryRule, KeepsJobsOfAVmInOrderAndOneAtATime) {
    rule_->set_vm(1, {}, 0);
    for (JobId job : {10u, 11u, 12u}) rule_->submit({job, 1}, 0);
    EXPECT_EQ(rule_->waiting(1), 3u);
    EXPECT_EQ(rule_->next(0, 0), 10u);
    EXPECT_EQ(rule_->running(1), 1u);
    EXPECT_EQ(rule_->next(1, 0), std::nullopt) << "parallel is 1";
    rule_->finished(10, kMs, kMs);
    EXPECT_EQ(rule_->service(1), kMs);
    EXPECT_EQ(rule_->next(0, kMs), 11u);
    rule_->finished(11, 2 * kMs, 3 * kMs);
    EXPECT_EQ(rule_->next(0, 3 * kMs), 12u);
    EXPECT_EQ(rule_->service(1), 3 * kMs);
    EXPECT_EQ(rule_->waiting(), 0u);
}

TEST_P(EveryRule, StartsAsManyJobsOfAVmAsItsParallelLimitSays) {
    rule_->set_vm(1, {.parallel = 2}, 0);
    for (JobId job : {1u, 2u, 3u}) rule_->submit({job, 1}, 0);
    EXPECT_EQ(rule_->next(0, 0), 1u);
    EXPECT_EQ(rule_->next(1, 0), 2u);
    EXPECT_EQ(rule_->next(2, 0), std::nullopt);
    rule_->set_vm(1, {.parallel = 3}, 0);
    EXPECT_EQ(rule_->next(2, 0), 3u);
}

TEST_P(EveryRule, RunsJobsOfAVmOnItsHomeOnly) {
    rule_->set_vm(1, {}, 0);
    rule_->submit({1, 1}, 0);
    rule_->set_home(1, 2);
    EXPECT_EQ(rule_->next(0, 0), std::nullopt);
    EXPECT_EQ(rule_->next(2, 0), 1u);
    rule_->submit({2, 1}, 0);
    rule_->finished(1, kMs, kMs);
    EXPECT_EQ(rule_->next(1, kMs), std::nullopt);
    rule_->set_home(1, std::nullopt);
    EXPECT_EQ(rule_->next(1, kMs), 2u);
}

TEST_P(EveryRule, TakesBackWhatWaitsAndNothingElse) {
    rule_->set_vm(1, {}, 0);
    for (JobId job : {1u, 2u, 3u}) rule_->submit({job, 1}, 0);
    EXPECT_EQ(rule_->next(0, 0), 1u);
    EXPECT_FALSE(rule_->cancel(1)) << "it runs";
    EXPECT_TRUE(rule_->cancel(2));
    EXPECT_FALSE(rule_->cancel(2)) << "it is gone";
    EXPECT_FALSE(rule_->cancel(77));
    rule_->finished(1, kMs, kMs);
    EXPECT_EQ(rule_->next(0, kMs), 3u);
    rule_->finished(3, kMs, 2 * kMs);
    EXPECT_EQ(rule_->next(0, 2 * kMs), std::nullopt);
}

TEST_P(EveryRule, PutsBackJobsInFrontInTheOrderOfTheirArrival) {
    rule_->set_vm(1, {.parallel = 3}, 0);
    for (JobId job : {1u, 2u, 3u, 4u}) rule_->submit({job, 1}, 0);
    for (BackendIndex backend : {0u, 1u, 2u}) rule_->next(backend, 0);
    rule_->put_back(2, 0);
    rule_->put_back(1, 0);
    rule_->put_back(3, 0);
    EXPECT_EQ(rule_->waiting(1), 4u);
    EXPECT_EQ(rule_->running(1), 0u);
    for (JobId job : {1u, 2u, 3u, 4u}) {
        ASSERT_EQ(rule_->next(0, 0), job);
        rule_->finished(job, kMs, 0);
    }
    EXPECT_EQ(rule_->service(1), 4 * kMs) << "what was put back costs nothing";
}

TEST_P(EveryRule, ForgetsTheJobsOfARemovedVmButThoseThatRun) {
    rule_->set_vm(1, {}, 0);
    rule_->set_vm(2, {}, 0);
    for (JobId job : {1u, 2u}) rule_->submit({job, 1}, 0);
    EXPECT_EQ(rule_->next(0, 0), 1u);
    rule_->submit({3, 2}, 0);
    rule_->remove_vm(1);
    EXPECT_EQ(rule_->waiting(), 1u);
    EXPECT_EQ(rule_->running(1), 1u);
    rule_->finished(1, kMs, kMs);
    EXPECT_EQ(rule_->next(0, kMs), 3u);
    rule_->finished(3, kMs, 2 * kMs);
    EXPECT_EQ(rule_->next(0, 2 * kMs), std::nullopt);
    rule_->set_vm(1, {}, 2 * kMs);
    rule_->submit({2, 1}, 2 * kMs);
    EXPECT_EQ(rule_->next(0, 2 * kMs), 2u) << "it may come back";
}

TEST_P(EveryRule, DropsAPutBackJobOfAVmThatWasRemoved) {
    rule_->set_vm(1, {}, 0);
    rule_->submit({1, 1}, 0);
    EXPECT_EQ(rule_->next(0, 0), 1u);
    rule_->remove_vm(1);
    rule_->put_back(1, 0);
    EXPECT_EQ(rule_->waiting(), 0u);
    EXPECT_EQ(rule_->next(0, 0), std::nullopt);
}

TEST_P(EveryRule, UsesABackendForVmsWithAndWithoutAHome) {
    rule_->set_vm(1, {}, 0);
    rule_->set_vm(2, {}, 0);
    rule_->set_home(1, 0);
    JobId id = 0;
    for (int i = 0; i < 20; ++i)
        for (VmId vm : {1u, 2u}) rule_->submit({id++, vm}, 0);
    std::map<VmId, int> started;
    for (int i = 0; i < 20; ++i) {
        const auto job = rule_->next(0, i * kMs);
        ASSERT_TRUE(job);
        ++started[*job % 2 + 1];
        rule_->finished(*job, kMs, (i + 1) * kMs);
    }
    EXPECT_EQ(started[1], 10);
    EXPECT_EQ(started[2], 10);
}

TEST(Fifo, ServesInTheOrderOfArrivalWhateverWeightsSay) {
    auto rule = make_rule(RuleName::kFifo, {});
    rule->set_vm(1, {.weight = 1}, 0);
    rule->set_vm(2, {.weight = 10'000, .priority = Priority::kHigh}, 0);
    rule->submit({1, 1}, 0);
    rule->submit({2, 1}, 0);
    rule->submit({3, 2}, 0);
    for (JobId job : {1u, 2u, 3u}) {
        EXPECT_EQ(rule->next(0, 0), job);
        rule->finished(job, kMs, 0);
    }
}

TEST(Strict, ServesHighBeforeMediumBeforeLow) {
    auto rule = make_rule(RuleName::kStrict, {});
    rule->set_vm(1, {.priority = Priority::kLow}, 0);
    rule->set_vm(2, {.priority = Priority::kMedium}, 0);
    rule->set_vm(3, {.priority = Priority::kHigh}, 0);
    for (VmId vm : {1u, 2u, 3u}) rule->submit({vm, vm}, 0);
    for (JobId job : {3u, 2u, 1u}) {
        EXPECT_EQ(rule->next(0, 0), job);
        rule->finished(job, kMs, 0);
    }
}

TEST(Fair, GivesServiceByWeight) {
    auto rule = make_rule(RuleName::kFair, {});
    rule->set_vm(1, {.weight = 10}, 0);
    rule->set_vm(2, {.weight = 30}, 0);
    JobId id = 0;
    for (int i = 0; i < 100; ++i)
        for (VmId vm : {1u, 2u}) rule->submit({id++, vm}, 0);
    for (int i = 0; i < 80; ++i) {
        const auto job = rule->next(0, i * kMs);
        ASSERT_TRUE(job);
        rule->finished(*job, kMs, (i + 1) * kMs);
    }
    EXPECT_EQ(rule->service(1), 20 * kMs);
    EXPECT_EQ(rule->service(2), 60 * kMs);
}

TEST(Fair, WithStrictClassesServesTheHigherClassFirstAndIsFairWithinIt) {
    auto rule = make_rule(RuleName::kFair, {.strict_classes = true});
    rule->set_vm(1, {.weight = 10'000, .priority = Priority::kLow}, 0);
    rule->set_vm(2, {.weight = 10, .priority = Priority::kHigh}, 0);
    rule->set_vm(3, {.weight = 20, .priority = Priority::kHigh}, 0);
    JobId id = 0;
    for (int i = 0; i < 50; ++i)
        for (VmId vm : {1u, 2u, 3u}) rule->submit({id++, vm}, 0);
    for (int i = 0; i < 30; ++i) rule->finished(*rule->next(0, 0), kMs, 0);
    EXPECT_EQ(rule->service(1), 0);
    EXPECT_EQ(rule->service(2), 10 * kMs);
    EXPECT_EQ(rule->service(3), 20 * kMs);
}

}  // namespace
}  // namespace mimic::mediator::schedule
