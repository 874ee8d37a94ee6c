// SPDX-License-Identifier: Apache-2.0
// The text exposition format: a strict reader of it, what is exported, and what merging believes.
#include "service/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "control/api.h"
#include "control/test_targets.h"

namespace mimic::control {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

// Reads an exposition as strictly as its description: every family has HELP and TYPE once, before
// its samples, which stand together; no sample twice; names, labels and values are well formed.
std::map<std::string, double> read_strictly(const std::string& text) {
    static const std::regex kHelp(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*))");
    static const std::regex kType(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram))");
    static const std::regex kSample(
        R"re(([a-zA-Z_:][a-zA-Z0-9_:]*))re"
        R"re((\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\[\\"n])*",?)+\})? (\S+))re");
    std::map<std::string, double> samples;
    std::set<std::string> seen;
    std::string family;
    std::string helped;
    bool histogram = false;
    EXPECT_TRUE(text.empty() || text.back() == '\n');
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (std::regex_match(line, match, kHelp)) {
            EXPECT_TRUE(seen.insert(match[1]).second) << "family twice: " << line;
            helped = match[1];
        } else if (std::regex_match(line, match, kType)) {
            EXPECT_EQ(match[1], helped) << line;
            family = match[1];
            histogram = match[2] == "histogram";
            if (match[2] == "counter")
                EXPECT_TRUE(family.ends_with("_total")) << line;
            else
                EXPECT_FALSE(family.ends_with("_total")) << line;
        } else if (std::regex_match(line, match, kSample)) {
            std::string name = match[1];
            if (histogram) name = std::regex_replace(name, std::regex("_(bucket|sum|count)$"), "");
            EXPECT_EQ(name, family) << "out of its family: " << line;
            const std::string value = match[5];
            EXPECT_TRUE(
                samples.emplace(line.substr(0, line.size() - value.size() - 1), std::stod(value))
                    .second)
                << "sample twice: " << line;
        } else {
            ADD_FAILURE() << "no line of the format: " << line;
        }
    }
    return samples;
}

TEST(Metrics, OneFamilyStandsTogether) {
    service::Metrics metrics;
    metrics.add("mimic_device_vfs", {{"device", "a"}}, 1);
    metrics.add("mimic_device_connected", {{"device", "a"}}, 1);
    metrics.add("mimic_device_vfs", {{"device", "b"}}, UINT64_MAX);
    metrics.add_real("process_cpu_seconds_total", {}, 0.25);
    const auto samples = read_strictly(metrics.text());
    EXPECT_EQ(samples.size(), 4U);
    EXPECT_EQ(samples.at("process_cpu_seconds_total"), 0.25);
    EXPECT_THAT(metrics.text(), HasSubstr("{device=\"b\"} 18446744073709551615\n"));
}

TEST(Metrics, HistogramsHaveTheirParts) {
    service::Metrics metrics;
    const double bounds[] = {0.5, 1};
    const uint64_t counts[] = {2, 3};
    metrics.add_histogram("mimic_mediator_vm_latency_seconds", {{"vm", "1"}}, bounds, counts, 2.25,
                          4);
    const auto samples = read_strictly(metrics.text());
    const std::string name = "mimic_mediator_vm_latency_seconds";
    EXPECT_EQ(samples.at(name + R"(_bucket{vm="1",le="0.5"})"), 2);
    EXPECT_EQ(samples.at(name + R"(_bucket{vm="1",le="1"})"), 3);
    EXPECT_EQ(samples.at(name + R"(_bucket{vm="1",le="+Inf"})"), 4);
    EXPECT_EQ(samples.at(name + R"(_sum{vm="1"})"), 2.25);
    EXPECT_EQ(samples.at(name + R"(_count{vm="1"})"), 4);
    // Through a gateway, which takes only what belongs to a family.
    service::Metrics merged;
    EXPECT_EQ(merged.merge(metrics.text() + name + " 1\nmimic_device_vfs_bucket 1\n",
                           {{"mediator", "m"}}, {}),
              2U);
    EXPECT_EQ(read_strictly(merged.text()).size(), 5U);
}

TEST(Metrics, LabelValuesAreEscaped) {
    service::Metrics metrics;
    metrics.add("mimic_device_vfs", {{"device", "a\"b\\c\nd"}}, 1);
    EXPECT_THAT(metrics.text(), HasSubstr(R"({device="a\"b\\c\nd"} 1)"));
    read_strictly(metrics.text());
}

TEST(Metrics, MergingAddsLabelsAndKeepsValues) {
    service::Metrics one;
    one.add("mimic_device_vfs", {{"machine", "box"}, {"device", "a\"b\\c\nd"}}, 7);
    one.add("process_open_fds", {}, 3);
    service::Metrics merged;
    merged.add("process_open_fds", {}, 4);
    EXPECT_EQ(merged.merge(one.text(), {{"machine", "other"}}, {{"process", "control-0"}}), 0U);
    const auto text = merged.text();
    read_strictly(text);
    EXPECT_THAT(text, HasSubstr(R"(mimic_device_vfs{machine="box",device="a\"b\\c\nd"} 7)"));
    EXPECT_THAT(text, HasSubstr(R"(process_open_fds{machine="other",process="control-0"} 3)"));
    EXPECT_THAT(text, HasSubstr("process_open_fds 4\n"));
}

TEST(Metrics, MergingBelievesNothing) {
    for (const char* line : {"no_such_family 1",
                             "mimic_device_vfs",
                             "mimic_device_vfs ",
                             "mimic_device_vfs x",
                             "mimic_device_vfs 1 2",
                             "mimic_device_vfs{} ",
                             "mimic_device_vfs{",
                             "mimic_device_vfs{a",
                             "mimic_device_vfs{a=\"",
                             "mimic_device_vfs{a=\"b",
                             "mimic_device_vfs{a=\"b\\",
                             "mimic_device_vfs{a=\"b\"",
                             "mimic_device_vfs{a=\"b\"x} 1",
                             "mimic_device_vfs{a b=\"c\"} 1",
                             "mimic_device_vfs{=\"c\"} 1",
                             "mimic_device_vfs{a=\"b\"}1",
                             "mimic_device_vfs\t1",
                             " 1",
                             "mimic_device_vfs 1\r",
                             "}{"}) {
        service::Metrics metrics;
        EXPECT_EQ(metrics.merge(line, {}, {}), 1U) << line;
        EXPECT_EQ(metrics.text(), "") << line;
    }
    service::Metrics metrics;
    EXPECT_EQ(metrics.merge("mimic_device_vfs{a=\"" + std::string(5000, 'x') +
                                "\"} 1\n\n# x\n"
                                "mimic_device_vfs 1\n",
                            {}, {}),
              1U);
    EXPECT_EQ(read_strictly(metrics.text()).size(), 1U);
}

// A device host's answer, with everything that a fake device has.
TEST(Metrics, OfADeviceHost) {
    const auto pool = *LoopPool::create(1);
    FakeGroup group{pool->loop(0), {"gpu0", "g\"1"}};
    service::ProcessContext process("box");
    process.requests.count(200);
    process.requests.count(404);
    ControlApi api({&group}, 20s, &process);
    ASSERT_EQ(api.handle({"POST", "/v1/devices/gpu0/faults", "", R"({"fault": "bad-tlp"})"}).status,
              201);
    const auto answer = api.handle({"GET", "/metrics", "", ""});
    EXPECT_EQ(answer.content_type, service::kMetricsContentType);
    const auto samples = read_strictly(answer.body);
    EXPECT_EQ(samples.at(R"(mimic_device_connected{machine="box",device="gpu0"})"), 1);
    EXPECT_EQ(samples.at(R"(mimic_device_vfs{machine="box",device="g\"1"})"), 2);
    EXPECT_EQ(samples.at(R"(mimic_device_faults_struck_total{machine="box",device="gpu0"})"), 1);
    EXPECT_EQ(samples.at(R"(mimic_control_requests_total{code="404"})"), 1);
    EXPECT_EQ(samples.at("mimic_loops"), 1);
    EXPECT_GT(samples.at("process_resident_memory_bytes"), 1 << 20);
    EXPECT_GT(samples.at("process_start_time_seconds"), 1.6e9);
    EXPECT_GT(samples.at("process_open_fds"), 3);
}

// docs/metrics.md has a row for each family, with its type, and no others.
TEST(Metrics, AreDocumented) {
    std::ifstream file(MIMIC_SOURCE_DIR "/docs/metrics.md");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::set<std::string> documented;
    static const std::regex kRow(R"(\| `([a-z0-9_]+)` \| (counter|gauge|histogram) \|)");
    for (std::sregex_iterator at(text.begin(), text.end(), kRow), end; at != end; ++at)
        documented.insert((*at)[1].str() + " " + (*at)[2].str());
    std::set<std::string> exported;
    for (const auto& family : service::metric_families())
        exported.insert(fmt::format("{} {}", family.name, family.type));
    EXPECT_EQ(documented, exported);
}

}  // namespace
}  // namespace mimic::control
