// SPDX-License-Identifier: Apache-2.0
#include "dra/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "dra/agent/metrics.h"
#include "dra/plugin/testing/rig.h"
#include "kube/testing/fake_api.h"

namespace mimic::dra {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(HttpAddressTest, IsWhatChartsWrite) {
    EXPECT_EQ(parse_http_address(":8080")->port, 8080);
    EXPECT_EQ(parse_http_address(":8080")->host, "");
    EXPECT_EQ(parse_http_address("127.0.0.1:0")->host, "127.0.0.1");
    EXPECT_EQ(parse_http_address("[::1]:9")->host, "::1");
    for (const char* const text : {"", "8080", ":", ":x", ":65536", "::1:9", ":8080x"})
        EXPECT_FALSE(parse_http_address(text)) << text;
}

TEST(AgentMetricsTest, AreThoseOfTheDocument) {
    std::ifstream in(MIMIC_SOURCE_DIR "/docs/kubernetes/metrics.md");
    std::string documented;
    for (std::string line; std::getline(in, line);)
        if (line.rfind("| `mimic_dra_", 0) == 0) documented += line + "\n";
    std::string table;
    for (const auto& metric : agent_metrics())
        table += fmt::format("| `{}` | {} | {} | {} |\n", metric.name, metric.type, metric.labels,
                             metric.help);
    EXPECT_EQ(documented, table);
}

TEST(AgentMetricsTest, CountCallsInBuckets) {
    CallCounters calls;
    calls.begin(Method::kPrepare);
    calls.end(Method::kPrepare, std::chrono::milliseconds(3), 2, 1);
    calls.begin(Method::kPrepare);
    calls.end(Method::kPrepare, std::chrono::minutes(1), 1, 0);
    calls.begin(Method::kPrepare);
    AgentFigures figures{.driver = "d"};
    figures.calls = &calls;
    const auto text = metrics_text({&figures, 1});
    const auto line = [](std::string_view end, std::string_view more, std::string_view value) {
        return fmt::format("mimic_dra_call{}{{driver=\"d\",method=\"prepare\"{}}} {}\n", end, more,
                           value);
    };
    EXPECT_THAT(text, HasSubstr(line("_duration_seconds_bucket", ",le=\"0.0025\"", "0")));
    EXPECT_THAT(text, HasSubstr(line("_duration_seconds_bucket", ",le=\"0.005\"", "1")));
    EXPECT_THAT(text, HasSubstr(line("_duration_seconds_bucket", ",le=\"10\"", "1")));
    EXPECT_THAT(text, HasSubstr(line("_duration_seconds_bucket", ",le=\"+Inf\"", "2")));
    EXPECT_THAT(text, HasSubstr(line("s_inflight", "", "1")));
    EXPECT_THAT(text, HasSubstr("mimic_dra_claims_total{driver=\"d\",method=\"prepare\"} 3\n"));
    EXPECT_THAT(text,
                HasSubstr("mimic_dra_claim_errors_total{driver=\"d\",method=\"prepare\"} 1\n"));
}

class AgentTest : public ::testing::Test {
protected:
    AgentTest() : node_(folder_.path() + "/root") {
        std::filesystem::create_directories(folder_.path() + "/kubelet/plugins_registry");
        api_.put("nodes", {{"metadata", {{"name", "n1"}, {"uid", "u"}}}});
        node_.add_pf("gpu0", 0);
    }

    AgentOptions options() {
        return {.kinds = {&testing::facts()},
                .node = "n1",
                .api = api_.config(),
                .root = folder_.path() + "/root",
                .kubelet_dir = folder_.path() + "/kubelet",
                .cdi_dir = folder_.path() + "/run/cdi",
                .http = HttpAddress{.host = "127.0.0.1", .port = 0},
                .boot_id = "boot"};
    }

    testing::TemporaryFolder folder_;
    kube::testing::FakeApi api_;
    testing::FakeNode node_;
};

TEST_F(AgentTest, PublishesServesAndEnds) {
    auto agent = Agent::create(options());
    ASSERT_TRUE(agent) << agent.error().message();
    EXPECT_TRUE((*agent)->check_health());
    EXPECT_NE((*agent)->http_port(), 0);
    // Nobody has registered it: there is no kubelet.
    EXPECT_THAT((*agent)->check_ready().error().message(), HasSubstr("does not know the driver"));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (api_.objects("resourceslices").empty() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const auto slices = api_.objects("resourceslices");
    ASSERT_EQ(slices.size(), 1U);
    EXPECT_EQ(slices[0]["spec"]["devices"][0]["name"], "gpu0");
    EXPECT_THAT((*agent)->metrics(),
                HasSubstr("mimic_dra_registered{driver=\"gpu.example.com\"} 0"));
    agent->reset();
    EXPECT_EQ(api_.objects("resourceslices").size(), 1U);
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path() + "/kubelet/plugins_registry"));
}

TEST_F(AgentTest, SaysWhatItLacks) {
    auto wrong = options();
    wrong.kubelet_dir = "kubelet";
    EXPECT_THAT(Agent::create(wrong).error().message(), HasSubstr("no absolute path"));
    wrong = options();
    std::filesystem::remove(folder_.path() + "/kubelet/plugins_registry");
    EXPECT_THAT(Agent::create(wrong).error().message(), HasSubstr("plugins_registry"));
    std::filesystem::create_directory(folder_.path() + "/kubelet/plugins_registry");
    wrong.http->host = "no.address";
    EXPECT_THAT(Agent::create(wrong).error().message(), HasSubstr("no address in numbers"));
    const auto first = Agent::create(options());
    ASSERT_TRUE(first);
    EXPECT_THAT(Agent::create(options()).error().message(), HasSubstr("another instance"));
}

}  // namespace
}  // namespace mimic::dra
