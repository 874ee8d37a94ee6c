// SPDX-License-Identifier: Apache-2.0
// The loads of examples/mediator/loads are the rows of a published table: closed-loop simulations
// of the public mediator's urgency rule and of start-time fair queueing. Ours must give its
// numbers.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "mediator/schedule/simulate/report.h"

namespace mimic::mediator::schedule {
namespace {

struct Row {
    std::string load;
    double urgency_jain;
    std::vector<double> urgency_shares;  // per cent; empty: not in the table
    double urgency_gap_s;                // of the VM with the longest; 0: not in the table
    double gap_within_s;                 // the table rounds, and says not how long its runs were
};

const std::vector<Row>& rows() {
    static const std::vector<Row> kRows = {
        {"equal-deep", 1.000, {}, 0.03, 0.01},
        {"weights-deep", 0.253, {0, 0.1, 0.2, 99.7}, 30, 0.5},
        {"weights-thinking", 0.495, {0, 0.2, 49.8, 50}, 20, 0.5},
        {"depth-1-and-64", 0.500, {0, 100}, 58, 0.5},
        {"short-and-long", 0.550, {5, 95}, 0, 0},
        {"low-and-high", 0.500, {}, 30, 0.5},
    };
    return kRows;
}

class Table : public ::testing::TestWithParam<Row> {
protected:
    static SimulatedRule play(RuleName rule) {
        const auto load = read_load_file(std::string(MIMIC_SOURCE_DIR "/examples/mediator/loads/") +
                                         GetParam().load + ".jsonl");
        EXPECT_TRUE(load) << load.error().message();
        auto report = simulate_rules(*load, {rule});
        EXPECT_TRUE(report);
        return std::move(report->rules[0]);
    }
};

INSTANTIATE_TEST_SUITE_P(Rows, Table, ::testing::ValuesIn(rows()), [](const auto& row) {
    std::string name = row.param.load;
    for (char& c : name)
        if (c == '-') c = '_';
    return name;
});

TEST_P(Table, UrgencyIsAsUnfairAsThePublicRule) {
    const auto [result, fairness] = play(RuleName::kUrgency);
    EXPECT_NEAR(fairness.jain, GetParam().urgency_jain, 0.0015);
    for (size_t i = 0; i < GetParam().urgency_shares.size(); ++i)
        EXPECT_NEAR(fairness.shares[i] * 100, GetParam().urgency_shares[i], 0.25) << "VM " << i;
    if (GetParam().urgency_gap_s == 0) return;
    double gap = 0;
    for (const SimulatedVm& vm : result.vms)
        gap = std::max(gap, static_cast<double>(vm.longest_gap) / 1e9);
    EXPECT_NEAR(gap, GetParam().urgency_gap_s, GetParam().gap_within_s);
}

TEST_P(Table, FairGivesEachWhatItIsDue) {
    const auto [result, fairness] = play(RuleName::kFair);
    EXPECT_GE(fairness.jain, 0.999);
    EXPECT_GE(fairness.min_max, 0.99);
    EXPECT_EQ(result.idle_with_work, 0);
    for (const SimulatedVm& vm : result.vms)
        EXPECT_LE(vm.longest_gap, 110 * 1'000'000) << "the table's longest is 0.11 s";
}

// Jobs of 1 and 20 ms that nobody knows beforehand. With a round trip a VM with one request in
// flight has no job at the moment in which a choice is made, and yet it gets its share.
TEST(MixedJobs, FairGivesEachWhatItIsDueAtEveryDepth) {
    for (const char* name : {"mixed-depth-1", "mixed-depth-1-round-trip", "mixed-depth-64"}) {
        auto load = read_load_file(std::string(MIMIC_SOURCE_DIR "/examples/mediator/loads/") +
                                   name + ".jsonl");
        ASSERT_TRUE(load) << load.error().message();
        const auto report = simulate_rules(*load, {RuleName::kFair});
        ASSERT_TRUE(report);
        EXPECT_GE(report->rules[0].fairness.min_max, 0.99) << name;
        EXPECT_GE(report->rules[0].fairness.jain, 0.999) << name;
        EXPECT_GE(report->rules[0].result.conservation(), 0.98) << name;
    }
}

}  // namespace
}  // namespace mimic::mediator::schedule
