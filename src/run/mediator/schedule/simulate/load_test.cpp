// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/simulate/load.h"

#include <sstream>

#include <gtest/gtest.h>

namespace mimic::mediator::schedule {
namespace {

constexpr const char* kHeader = "{\"mimic_load\":1,\"duration_us\":1000}\n";
constexpr const char* kVm = "{\"vm\":1}\n";

Result<Load> read(const std::string& text) {
    std::istringstream in(text);
    return read_load(in, "test");
}

std::string problem(const std::string& text) {
    const auto load = read(text);
    return load ? "" : load.error().message();
}

TEST(ReadLoad, TakesEverythingThatTheFormatHas) {
    const auto load = read(
        "# a comment\n"
        "{\"mimic_load\":1,\"name\":\"all\",\"backends\":2,\"duration_us\":5000000,\"seed\":7,"
        "\"strict_classes\":true}\n"
        "\n"
        "{\"vm\":3,\"weight\":10,\"priority\":\"high\",\"parallel\":2,\"home\":1}\n"
        "{\"vm\":4}\n"
        "{\"client\":3,\"depth\":8,\"job_us\":[1000,20000],\"think_us\":{\"from\":0,\"to\":5},"
        "\"from_us\":10,\"until_us\":4000000}\n"
        "{\"submit\":4,\"at_us\":100,\"job_us\":1500}\n"
        "{\"set\":3,\"at_us\":200,\"weight\":20}\n");
    ASSERT_TRUE(load) << load.error().message();
    EXPECT_EQ(load->name, "all");
    EXPECT_EQ(load->backends, 2u);
    EXPECT_EQ(load->duration, 5'000'000'000);
    EXPECT_EQ(load->seed, 7u);
    EXPECT_TRUE(load->strict_classes);
    ASSERT_EQ(load->vms.size(), 2u);
    EXPECT_EQ(load->vms[0].share.weight, 10u);
    EXPECT_EQ(load->vms[0].share.priority, Priority::kHigh);
    EXPECT_EQ(load->vms[0].share.parallel, 2u);
    EXPECT_EQ(load->vms[0].home, 1u);
    EXPECT_EQ(load->vms[1].home, std::nullopt);
    ASSERT_EQ(load->clients.size(), 1u);
    EXPECT_EQ(load->clients[0].depth, 8u);
    EXPECT_EQ(load->clients[0].job, (Lengths{{1'000'000, 20'000'000}, false}));
    EXPECT_EQ(load->clients[0].think, (Lengths{{0, 5'000}, true}));
    EXPECT_EQ(load->clients[0].from, 10'000);
    ASSERT_EQ(load->events.size(), 2u);
    EXPECT_EQ(load->events[0].job, 1'500'000);
    ASSERT_TRUE(load->events[1].share);
    EXPECT_EQ(load->events[1].share->weight, 20u);
    EXPECT_EQ(load->events[1].share->priority, Priority::kHigh) << "what is not said stays";
    const auto again = read(write_load(*load));
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(write_load(*again), write_load(*load));
}

struct BadLoad {
    std::string text;
    std::string problem;
};

class BadLoads : public ::testing::TestWithParam<BadLoad> {};

TEST_P(BadLoads, AreRefusedWithTheLine) {
    EXPECT_EQ(problem(GetParam().text), GetParam().problem);
}

const std::string kStart = std::string(kHeader) + kVm;

INSTANTIATE_TEST_SUITE_P(
    All, BadLoads,
    ::testing::Values(
        BadLoad{"", "test: line 1: no header"},
        BadLoad{"{}\n", "test: line 1: mimic_load is missing"},
        BadLoad{"{\"mimic_load\":2,\"duration_us\":1}\n",
                "test: line 1: the load is of format 2, this program reads format 1"},
        BadLoad{"{\"mimic_load\":1}\n", "test: line 1: duration_us is missing"},
        BadLoad{"{\"mimic_load\":1,\"duration_us\":0}\n",
                "test: line 1: duration_us is a whole number from 1 to 604800000000"},
        BadLoad{"{\"mimic_load\":1,\"duration_us\":1,\"backends\":257}\n",
                "test: line 1: backends is a whole number from 1 to 256"},
        BadLoad{"{\"mimic_load\":1,\"duration_us\":1,\"strict_classes\":1}\n",
                "test: line 1: strict_classes is true or false"},
        BadLoad{"{\"mimic_load\":1,\"duration_us\":1,\"name\":3}\n",
                "test: line 1: name is a text of at most 128 bytes"},
        BadLoad{std::string(kHeader) + "{\"vm\":1}",
                "test: line 2: ends without a newline: the file is cut off"},
        BadLoad{std::string(kHeader) + "{\"vm\":1,\"vm\":1}\n",
                "test: line 2: a member is there twice"},
        BadLoad{std::string(kHeader) + "[1]\n", "test: line 2: no JSON object"},
        BadLoad{std::string(kHeader) + "{\"vm\":1} x\n", "test: line 2: no JSON object"},
        BadLoad{std::string(kHeader) + "{\"x\":1}\n",
                "test: line 2: a line has one of the members vm, client, submit and set"},
        BadLoad{std::string(kHeader) + "{\"vm\":-1}\n",
                "test: line 2: vm is a whole number from 0 to 4294967295"},
        BadLoad{std::string(kHeader) + "{\"vm\":1.5}\n",
                "test: line 2: vm is a whole number from 0 to 4294967295"},
        BadLoad{std::string(kHeader) + "{\"vm\":1,\"weight\":0}\n",
                "test: line 2: weight is a whole number from 1 to 10000"},
        BadLoad{std::string(kHeader) + "{\"vm\":1,\"priority\":\"urgent\"}\n",
                "test: line 2: priority is low, medium or high"},
        BadLoad{std::string(kHeader) + "{\"vm\":1,\"priority\":2}\n",
                "test: line 2: priority is low, medium or high"},
        BadLoad{std::string(kHeader) + "{\"vm\":1,\"home\":1}\n",
                "test: line 2: home is a whole number from 0 to 0"},
        BadLoad{std::string(kHeader) + "{\"vm\":1,\"wieght\":1}\n",
                "test: line 2: \"wieght\" is not known here"},
        BadLoad{kStart + kVm, "test: line 3: VM 1 is there already"},
        BadLoad{kStart + "{\"client\":1}\n", "test: line 3: job_us is missing"},
        BadLoad{kStart + "{\"client\":2,\"job_us\":1}\n",
                "test: line 3: there is no VM 2 before this line"},
        BadLoad{kStart + "{\"client\":1,\"job_us\":1,\"depth\":16385}\n",
                "test: line 3: depth is a whole number from 1 to 16384"},
        BadLoad{kStart + "{\"client\":1,\"job_us\":{\"from\":2,\"to\":1}}\n",
                "test: line 3: job_us goes from more to less"},
        BadLoad{kStart + "{\"submit\":1,\"job_us\":1}\n", "test: line 3: at_us is missing"},
        BadLoad{kStart + "{\"submit\":1,\"at_us\":1}\n", "test: line 3: job_us is missing"},
        BadLoad{kStart + "{\"submit\":1,\"at_us\":5,\"job_us\":0}\n",
                "test: line 3: job_us is a whole number from 1 to 3600000000"},
        BadLoad{kStart + "{\"submit\":1,\"at_us\":5,\"job_us\":1}\n"
                         "{\"submit\":1,\"at_us\":4,\"job_us\":1}\n",
                "test: line 4: at_us goes back, from 5 to 4"},
        BadLoad{kStart + "{\"set\":9,\"at_us\":5}\n",
                "test: line 3: there is no VM 9 before this line"}));

TEST(ReadLoad, RefusesLengthsThatAreNone) {
    for (const char* lengths : {"[]", "\"1\"", "[1,-1]", "[[1]]", "{\"from\":1}", "0", "null",
                                "{\"from\":1,\"to\":2,\"by\":1}"}) {
        const std::string text = kStart + "{\"client\":1,\"job_us\":" + lengths + "}\n";
        EXPECT_NE(problem(text), "") << lengths;
    }
}

TEST(ReadLoad, RefusesWhatIsTooLongOrTooMuch) {
    EXPECT_EQ(problem(std::string(kMaxLoadLine + 1, 'x') + "\n"),
              "test: line 1: longer than 4096 bytes");
    std::string many = kHeader;
    for (size_t vm = 0; vm <= kMaxLoadVms; ++vm) many += "{\"vm\":" + std::to_string(vm) + "}\n";
    EXPECT_EQ(problem(many), "test: line 1026: more than 1024 VMs");
}

TEST(ReadLoadFile, SaysWhyThereIsNone) {
    const auto load = read_load_file("/nowhere/load.jsonl");
    ASSERT_FALSE(load);
    EXPECT_EQ(load.error().message(), "open /nowhere/load.jsonl: No such file or directory");
}

}  // namespace
}  // namespace mimic::mediator::schedule
