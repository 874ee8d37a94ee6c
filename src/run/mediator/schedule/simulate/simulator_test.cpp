// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/simulate/simulator.h"

#include <gtest/gtest.h>

#include "mediator/schedule/simulate/report.h"
#include "mediator/schedule/time_units.h"

namespace mimic::mediator::schedule {
namespace {

Load one_vm() {
    Load load;
    load.duration = 10 * kMs;
    load.vms = {{.id = 1}};
    return load;
}

TEST(Simulate, CountsServiceLatencyAndGapsOfArrivals) {
    Load load = one_vm();
    load.vms.push_back({.id = 2});
    load.events = {{.at = 0, .vm = 1, .job = 4 * kMs},
                   {.at = 1 * kMs, .vm = 2, .job = 2 * kMs},
                   {.at = 9 * kMs, .vm = 1, .job = 5 * kMs}};
    const auto result = simulate(load, {.rule = RuleName::kFair, .pieces = 10});
    ASSERT_TRUE(result);
    const SimulatedVm& first = result->vms[0];
    const SimulatedVm& second = result->vms[1];
    EXPECT_EQ(first.service, 5 * kMs) << "the last job until the end";
    EXPECT_EQ(first.done, 1u);
    EXPECT_EQ(first.submitted, 2u);
    EXPECT_EQ(first.p50, 4 * kMs);
    EXPECT_EQ(first.longest_gap, 0);
    EXPECT_EQ(second.service, 2 * kMs);
    EXPECT_EQ(second.p50, 5 * kMs);
    EXPECT_EQ(second.longest_gap, 3 * kMs);
    EXPECT_EQ(result->busy, 7 * kMs);
    EXPECT_EQ(result->idle_with_work, 0);
    EXPECT_EQ(result->decisions, 3u);
    EXPECT_EQ(result->switches, 2u);
}

TEST(Simulate, ClientsKeepTheirDepthAndThink) {
    Load load = one_vm();
    load.clients = {{.vm = 1, .depth = 1, .job = {{kMs}}, .think = {{kMs}}}};
    const auto result = simulate(load, {});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->vms[0].service, 5 * kMs);
    load.clients[0].depth = 2;
    EXPECT_EQ(simulate(load, {})->vms[0].service, 10 * kMs);
    load.clients[0].until = 3 * kMs;
    EXPECT_EQ(simulate(load, {})->vms[0].service, 3 * kMs) << "nothing comes from then on";
}

TEST(Simulate, PiecesAddUpToTheService) {
    Load load = one_vm();
    load.vms.push_back({.id = 2, .share = {.weight = 7}});
    for (VmId vm : {1u, 2u})
        load.clients.push_back({.vm = vm, .depth = 3, .job = {{700'000, 1'300'000}, true}});
    const auto result = simulate(load, {.rule = RuleName::kFair, .pieces = 7});
    ASSERT_TRUE(result);
    Time sum = 0;
    for (const SimulatedVm& vm : result->vms) {
        Time of_vm = 0;
        for (const SimulatedPiece& piece : vm.pieces) of_vm += piece.service;
        EXPECT_EQ(of_vm, vm.service);
        sum += of_vm;
    }
    EXPECT_EQ(sum, load.duration);
}

TEST(Simulate, RefusesMoreJobsThanItCanHold) {
    Load load = one_vm();
    load.clients = {{.vm = 1, .depth = 1, .job = {{1'000}}}};
    const auto result = simulate(load, {.most_jobs = 1'000});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), std::errc::argument_out_of_domain);
}

TEST(SimulateRules, TellsWhatEachVmIsDueFromWhatItAsksFor) {
    Load load = one_vm();
    load.duration = kS;
    load.vms[0].share.weight = 50;
    load.vms.push_back({.id = 2, .share = {.weight = 50}});
    load.clients = {{.vm = 1, .depth = 1, .job = {{kMs}}, .think = {{4 * kMs}}},
                    {.vm = 2, .depth = 8, .job = {{kMs}}}};
    const auto report = simulate_rules(load, {RuleName::kFair});
    ASSERT_TRUE(report);
    const Fairness& fairness = report->rules[0].fairness;
    EXPECT_NEAR(fairness.due[0], 0.2, 0.001) << "one of five milliseconds is all it asks for";
    EXPECT_NEAR(fairness.due[1], 0.8, 0.001);
    EXPECT_NE(simulation_table(load, *report).find("fair"), std::string::npos);
    EXPECT_NE(simulation_json(load, *report).find("\"mimic_simulation\": 1"), std::string::npos);
}

}  // namespace
}  // namespace mimic::mediator::schedule
