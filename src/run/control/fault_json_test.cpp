// SPDX-License-Identifier: Apache-2.0
// Bodies of POST .../faults, right and wrong in every field.
#include "control/fault_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mimic::control {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(FaultBody, TakesAllFields) {
    const auto fault = parse_fault_body(
        R"({"fault": "irq-late", "options": {"delay": "5ms", "vector": 3, "count": "2"},
            "after_accesses": 17, "seed": 18446744073709551615})");
    ASSERT_TRUE(fault) << fault.error().message;
    EXPECT_EQ(fault->kind, pci::FaultKind::kIrqLate);
    EXPECT_EQ(fault->delay, 5ms);
    EXPECT_EQ(fault->vector, 3U);
    EXPECT_EQ(fault->count, 2U);
    EXPECT_EQ(fault->after_accesses, 17U);
    EXPECT_EQ(fault->at, std::nullopt);
    EXPECT_EQ(fault->seed, UINT64_MAX);
    EXPECT_EQ(parse_fault_body(R"({"fault": "remove", "at_us": 1500})")->at, 1500us);
    EXPECT_EQ(parse_fault_body(R"({"fault": "remove"})")->seed, 1U);
}

TEST(FaultBody, IsWhatTheClientWrites) {
    pci::Fault triggers;
    triggers.at = 2s;
    triggers.seed = 9;
    const auto fault = parse_fault_body(fault_body("ecrc", {{"severity", "fatal"}}, triggers));
    ASSERT_TRUE(fault) << fault.error().message;
    EXPECT_EQ(fault->fatal, true);
    EXPECT_EQ(fault->at, 2s);
    EXPECT_EQ(fault->seed, 9U);
}

struct WrongBody {
    const char* body;
    const char* code;
    const char* message;
};

class WrongFaultBody : public testing::TestWithParam<WrongBody> {};

TEST_P(WrongFaultBody, IsRefused) {
    const auto fault = parse_fault_body(GetParam().body);
    ASSERT_FALSE(fault);
    EXPECT_EQ(fault.error().status, 400);
    EXPECT_EQ(fault.error().code, GetParam().code);
    EXPECT_THAT(fault.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    EachField, WrongFaultBody,
    testing::Values(
        WrongBody{"", "bad_json", "no JSON"}, WrongBody{"{", "bad_json", "no JSON"},
        WrongBody{"{\"fault\": \"\xff\"}", "bad_json", "no JSON"},
        WrongBody{"null", "bad_request", "no JSON object"},
        WrongBody{"[\"remove\"]", "bad_request", "no JSON object"},
        WrongBody{"{}", "bad_request", "\"fault\" is missing"},
        WrongBody{R"({"fault": 7})", "bad_request", "\"fault\" is no string"},
        WrongBody{R"({"fault": null})", "bad_request", "\"fault\" is no string"},
        WrongBody{R"({"fault": "remov"})", "unknown_fault", "no fault \"remov\""},
        WrongBody{R"({"fault": "Remove"})", "unknown_fault", "no fault"},
        WrongBody{R"({"fault": "remove", "sed": 1})", "bad_request", "did you mean seed?"},
        WrongBody{R"({"fault": "remove", "options": []})", "bad_request",
                  "\"options\" is no object"},
        WrongBody{R"({"fault": "remove", "options": "x"})", "bad_request", "is no object"},
        WrongBody{R"({"fault": "remove", "options": {"count": 1}})", "bad_request", "takes none"},
        WrongBody{R"({"fault": "irq-lost", "options": {"count": -1}})", "bad_request",
                  "option \"count\""},
        WrongBody{R"({"fault": "irq-lost", "options": {"count": 1.5}})", "bad_request",
                  "option \"count\""},
        WrongBody{R"({"fault": "irq-lost", "options": {"count": null}})", "bad_request",
                  "option \"count\""},
        WrongBody{R"({"fault": "irq-lost", "options": {"count": 1000001}})", "bad_request",
                  "from 0 to 1000000"},
        WrongBody{R"({"fault": "irq-lost", "options": {"vector": {}}})", "bad_request",
                  "option \"vector\""},
        WrongBody{R"({"fault": "remove", "at_us": -1})", "bad_request", "\"at_us\""},
        WrongBody{R"({"fault": "remove", "at_us": "1"})", "bad_request", "\"at_us\""},
        WrongBody{R"({"fault": "remove", "at_us": 1e3})", "bad_request", "\"at_us\""},
        WrongBody{R"({"fault": "remove", "at_us": 86400000001})", "bad_request", "\"at_us\""},
        WrongBody{R"({"fault": "remove", "after_accesses": true})", "bad_request",
                  "\"after_accesses\""},
        WrongBody{R"({"fault": "remove", "after_accesses": 1000000000001})", "bad_request",
                  "\"after_accesses\""},
        WrongBody{R"({"fault": "remove", "seed": 18446744073709551616})", "bad_request",
                  "\"seed\""},
        WrongBody{R"({"fault": "remove", "seed": []})", "bad_request", "\"seed\""},
        WrongBody{R"({"fault": "remove", "at_us": 1, "after_accesses": 1})", "bad_request",
                  "exclude"}));

TEST(FaultBody, NamesTheNearest) {
    EXPECT_THAT(parse_fault_body(R"({"fault": "irq-lots"})").error().nearest, Contains("irq-lost"));
    EXPECT_THAT(parse_fault_body(R"({"fault": "qqqqqqqqqq"})").error().nearest, IsEmpty());
}

TEST(FaultBody, SurvivesDepthAndLength) {
    EXPECT_FALSE(parse_fault_body(std::string(60'000, '[')));
    EXPECT_FALSE(parse_fault_body("{\"fault\": \"" + std::string(60'000, 'x') + "\"}"));
    std::string many = "{\"fault\": \"remove\", \"options\": {";
    for (int i = 0; i < 5000; ++i) many += fmt::format("\"{}\": 1, ", i);
    const auto refused = parse_fault_body(many + "\"x\": 1}}");
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("too many"));
    std::string keys = "{";
    for (int i = 0; i < 5000; ++i) keys += fmt::format("\"k{}\": 1, ", i);
    EXPECT_FALSE(parse_fault_body(keys + "\"fault\": \"remove\"}"));
}

TEST(ErrorBody, IsAlwaysJson) {
    const auto answer = nlohmann::json::parse(
        service::error_body({404, "x", "bytes \xff\xc3", {"a"}}));
    EXPECT_EQ(answer["error"]["code"], "x");
    EXPECT_EQ(answer["error"]["nearest"][0], "a");
    EXPECT_TRUE(
        nlohmann::json::parse(service::error_body({404, "x", "y"}))["error"]["nearest"].is_array());
}

TEST(FaultReportJson, SaysWhatMatters) {
    pci::FaultReport report;
    report.id = 3;
    report.fault = *pci::parse_fault("ecrc", {{"severity", "nonfatal"}});
    report.fault.after_accesses = 10;
    report.accesses_left = 4;
    auto answer = fault_report_json(report);
    EXPECT_EQ(answer["fault"], "ecrc");
    EXPECT_EQ(answer["state"], "armed");
    EXPECT_EQ(answer["severity"], "nonfatal");
    EXPECT_EQ(answer["accesses_left"], 4);
    EXPECT_FALSE(answer.contains("vector"));
    EXPECT_FALSE(answer.contains("note"));
    report.fault = *pci::parse_fault("irq-late", {{"vector", "2"}});
    report.note = "why";
    answer = fault_report_json(report);
    EXPECT_EQ(answer["vector"], 2);
    EXPECT_EQ(answer["delay_us"], 10'000);
    EXPECT_EQ(answer["note"], "why");
}

}  // namespace
}  // namespace mimic::control
