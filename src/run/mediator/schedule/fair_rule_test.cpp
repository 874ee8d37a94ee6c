// SPDX-License-Identifier: Apache-2.0
// Fair in the cases that no random load hits for sure: homes that change, limits that end, VMs that
// leave, numbers at their ends.
#include <limits>

#include <gtest/gtest.h>

#include "mediator/schedule/rule.h"
#include "mediator/schedule/time_units.h"

namespace mimic::mediator::schedule {
namespace {

constexpr Time kHour = 3600 * kS;

class FairTest : public ::testing::Test {
protected:
    void keep_busy(VmId vm, int jobs = 4) {
        while (jobs-- > 0) rule_->submit({next_job_++ * 16 + vm, vm}, 0);
    }

    // Runs one job of `took` on a backend, and gives its VM another. The VM, or 0.
    VmId run_one(BackendIndex backend, Time took) {
        const auto job = rule_->next(backend, 0);
        if (!job) return 0;
        rule_->finished(*job, took, 0);
        const auto vm = static_cast<VmId>(*job % 16);
        keep_busy(vm, 1);
        return vm;
    }

    // Service of `vm` in `jobs` jobs of 1 ms on a backend, in jobs.
    Time served(VmId vm, BackendIndex backend, int jobs) {
        const Time before = rule_->service(vm);
        for (int i = 0; i < jobs; ++i) run_one(backend, kMs);
        return (rule_->service(vm) - before) / kMs;
    }

    std::unique_ptr<Rule> rule_ = make_rule(RuleName::kFair, {});
    JobId next_job_ = 1;
};

TEST_F(FairTest, AHomeThatChangesTakesNeitherDebtsNorCreditsAlong) {
    for (VmId vm : {1u, 2u, 3u}) rule_->set_vm(vm, {}, 0);
    rule_->set_home(1, 0);
    rule_->set_home(2, 1);
    rule_->set_home(3, 1);
    for (VmId vm : {1u, 2u, 3u}) keep_busy(vm);
    for (int i = 0; i < 3600; ++i) run_one(0, 1000 * kMs);  // an hour alone
    for (int i = 0; i < 10; ++i) run_one(1, 1000 * kMs);
    rule_->set_home(1, 1);
    EXPECT_NEAR(static_cast<double>(served(1, 1, 300)), 100, 2);
    rule_->set_home(2, 0);
    rule_->set_home(1, 0);
    EXPECT_NEAR(static_cast<double>(served(2, 0, 300)), 150, 2);
}

TEST_F(FairTest, VmsWithAndWithoutAHomeShareABackendByWeight) {
    rule_->set_vm(1, {.weight = 10}, 0);
    rule_->set_vm(2, {.weight = 30}, 0);
    rule_->set_vm(3, {.weight = 40}, 0);
    rule_->set_home(1, 0);
    for (VmId vm : {1u, 2u, 3u}) keep_busy(vm);
    EXPECT_NEAR(static_cast<double>(served(1, 0, 800)), 100, 2);
    const Time second = rule_->service(2) / kMs;
    EXPECT_NEAR(static_cast<double>(second), 300, 2);
}

// VM 1 had backend 0 for itself for an hour, VM 2 runs anywhere. Neither waits for that hour.
TEST_F(FairTest, NobodyWaitsForAnothersHistoryElsewhere) {
    for (VmId vm : {1u, 2u, 3u}) rule_->set_vm(vm, {}, 0);
    rule_->set_home(1, 0);
    rule_->set_home(3, 1);
    keep_busy(1);
    keep_busy(3);
    for (int i = 0; i < 3600; ++i) run_one(0, 1000 * kMs);
    run_one(1, kMs);
    keep_busy(2);
    for (int i = 0; i < 1000; ++i) run_one(0, kMs);  // what VM 1's last job of a second is worth
    const Time before = rule_->service(2);
    for (int i = 0; i < 200; ++i) {
        run_one(0, kMs);
        run_one(1, kMs);
    }
    // 400 jobs, two backends, three equal VMs: the one without a home has half its weight on each.
    EXPECT_NEAR(static_cast<double>(rule_->service(2) - before) / kMs, 133, 5);
    // Backend 1 goes away; the VM goes on with its part of what is left.
    EXPECT_GT(served(2, 0, 300), 90);
}

TEST_F(FairTest, LeavingAndComingBackForgetsNothing) {
    rule_->set_vm(1, {}, 0);
    rule_->set_vm(2, {}, 0);
    keep_busy(1);
    for (int i = 0; i < 200; ++i) {
        rule_->submit({next_job_++ * 16 + 2, 2}, 0);
        for (int turns = 0; turns < 100; ++turns) {
            const auto job = rule_->next(0, 0);
            ASSERT_TRUE(job);
            const auto vm = static_cast<VmId>(*job % 16);
            rule_->finished(*job, vm == 2 ? 20 * kMs : kMs, 0);
            if (vm == 1) keep_busy(1, 1);
            if (vm == 2) break;
        }
        // A new connection for each job.
        rule_->remove_vm(2);
        rule_->set_vm(2, {}, 0);
        // What the counter said is gone with the VM, so count VM 1: it has as much by now.
    }
    EXPECT_NEAR(static_cast<double>(rule_->service(1)) / kMs, 200 * 20, 25);
}

TEST_F(FairTest, AVmThatWasHeldBackByItsLimitHasNoClaimToThePast) {
    // Of weight 9 : 1 on two backends, one job at a time: it gets one of the two, and is due more.
    rule_->set_vm(1, {.weight = 90}, 0);
    rule_->set_vm(2, {.weight = 10, .parallel = 2}, 0);
    keep_busy(1, 8);
    keep_busy(2, 8);
    std::optional<JobId> jobs[2];
    const auto turn = [&] {
        for (BackendIndex backend : {0u, 1u}) {
            if (jobs[backend]) {
                rule_->finished(*jobs[backend], kMs, 0);
                keep_busy(static_cast<VmId>(*jobs[backend] % 16), 1);
            }
            jobs[backend] = rule_->next(backend, 0);
        }
    };
    for (int i = 0; i < 10'000; ++i) turn();
    EXPECT_NEAR(static_cast<double>(rule_->service(1)) / kMs, 10'000, 10);
    // With its weight lowered the other gets the larger part at once, not after 80 seconds.
    rule_->set_vm(1, {.weight = 10, .parallel = 2}, 0);
    rule_->set_vm(2, {.weight = 90, .parallel = 2}, 0);
    const Time before = rule_->service(2);
    for (int i = 0; i < 200; ++i) turn();
    EXPECT_NEAR(static_cast<double>(rule_->service(2) - before) / kMs, 360, 25);
}

TEST_F(FairTest, ANewWeightScalesWhatAVmHasHadTooMuch) {
    rule_->set_vm(1, {.weight = 1}, 0);
    rule_->set_vm(2, {.weight = 100}, 0);
    keep_busy(1);
    keep_busy(2);
    while (run_one(0, 100 * kMs) != 1) {
    }
    // One job of 100 ms at weight 1 is worth 10 s of VM 2. At equal weights it is 100 ms.
    rule_->set_vm(1, {.weight = 100}, 0);
    EXPECT_NEAR(static_cast<double>(served(1, 0, 400)), 150, 2);
}

TEST_F(FairTest, NobodyIsAheadAfterAllWereIdle) {
    rule_->set_vm(1, {.weight = 1}, 0);
    rule_->set_vm(2, {.weight = 1}, 0);
    rule_->submit({1, 1}, 0);
    rule_->finished(*rule_->next(0, 0), 1000 * kMs, 0);
    keep_busy(1);
    keep_busy(2);
    EXPECT_EQ(served(1, 0, 100), 50) << "its long job disturbed nobody";
}

TEST_F(FairTest, AChangeOfClassKeepsThePlaceWithinIt) {
    rule_ = make_rule(RuleName::kFair, {.strict_classes = true});
    for (VmId vm : {1u, 2u}) rule_->set_vm(vm, {.priority = Priority::kHigh}, 0);
    rule_->set_vm(3, {.priority = Priority::kLow}, 0);
    for (VmId vm : {1u, 2u, 3u}) keep_busy(vm);
    for (int i = 0; i < 1000; ++i) run_one(0, kMs);
    EXPECT_EQ(rule_->service(3), 0);
    rule_->set_vm(3, {.priority = Priority::kHigh}, 0);
    EXPECT_NEAR(static_cast<double>(served(3, 0, 300)), 100, 2);
    rule_->set_vm(1, {.priority = Priority::kLow}, 0);
    EXPECT_EQ(served(1, 0, 100), 0);
}

TEST_F(FairTest, CountsJobsOfAnyLengthWithoutOverflow) {
    rule_->set_vm(1, {.weight = 1}, 0);
    rule_->set_vm(2, {.weight = 1}, 0);
    keep_busy(1);
    keep_busy(2);
    // What no clock gives: cut to the longest job that is charged, 13 days, and to 0.
    for (int i = 0; i < 1000; ++i) run_one(0, std::numeric_limits<Time>::max());
    EXPECT_EQ(rule_->service(1), rule_->service(2));
    const Time before = rule_->service(1);
    EXPECT_GT(before, kHour);
    run_one(0, std::numeric_limits<Time>::min());
    EXPECT_EQ(rule_->service(1), before);
    EXPECT_EQ(served(1, 0, 1000), 500);
}

// One request in flight at weight 90 against a deep queue at weight 10: it cannot have more than
// every other job. What it is due beyond that is not kept for the day on which it asks for more at
// once.
TEST_F(FairTest, WhoIsAwayForAMomentKeepsItsTagForOneJobOnly) {
    rule_->set_vm(1, {.weight = 90}, 0);
    rule_->set_vm(2, {.weight = 10}, 0);
    keep_busy(2);
    const auto end_and_start = [this](JobId job) {
        rule_->finished(job, kMs, 0);
        if (job % 16 == 2) keep_busy(2, 1);
        const auto next = rule_->next(0, 0);
        // The answer of VM 1 has come back by now, and its next request is here.
        if (job % 16 == 1) rule_->submit({next_job_++ * 16 + 1, 1}, 0);
        return *next;
    };
    JobId running = *rule_->next(0, 0);
    rule_->submit({next_job_++ * 16 + 1, 1}, 0);
    for (int i = 0; i < 2000; ++i) running = end_and_start(running);
    EXPECT_NEAR(static_cast<double>(rule_->service(1)) / kMs, 1000, 10);
    // Equal weights and a deep queue from now on.
    rule_->set_vm(1, {.weight = 10}, 0);
    const Time before = rule_->service(1);
    keep_busy(1, 8);
    for (int i = 0; i < 200; ++i) {
        running = end_and_start(running);
        if (running % 16 == 1) keep_busy(1, 1);
    }
    EXPECT_NEAR(static_cast<double>(rule_->service(1) - before) / kMs, 100, 4);
}

TEST_F(FairTest, ChargesAtTheStartSoThatBackendsTakeDifferentVms) {
    for (VmId vm : {1u, 2u}) {
        rule_->set_vm(vm, {.parallel = 2}, 0);
        keep_busy(vm);
    }
    const auto first = rule_->next(0, 0);
    const auto second = rule_->next(1, 0);
    ASSERT_TRUE(first && second);
    EXPECT_NE(*first % 16, *second % 16);
}

}  // namespace
}  // namespace mimic::mediator::schedule
