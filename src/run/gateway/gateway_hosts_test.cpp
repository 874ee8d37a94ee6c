// SPDX-License-Identifier: Apache-2.0
// The gateway over processes that answer, and ones that do not, or with nonsense.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/gateway.h"
#include "gateway/test_hosts.h"
#include "machine/machine_api.h"
#include "mediator/control/run_folder.h"

namespace mimic::gateway {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

// A run root with the machine "box".
class GatewayHosts : public testing::Test {
protected:
    GatewayHosts() {
        const RuntimeFolder ours(folder.path);
        gateway = std::move(
            Gateway::create({.patience = 3s, .events = {.rescan = 20ms, .patience = 3s}}).value());
        box = std::move(gateway->root().claim("box").value());
    }

    std::string socket(int n) const { return fmt::format("{}/control-{}.sock", box.path, n); }
    std::unique_ptr<TestHost> host(int n, const std::string& device) const {
        return std::make_unique<TestHost>(socket(n), "box", std::vector{device});
    }
    service::HttpResponse ask(const std::string& path) {
        service::HttpRequest request;
        request.method = "GET";
        request.path = path;
        return gateway->handle(request);
    }

    TestFolder folder;
    std::unique_ptr<Gateway> gateway;
    machine::ClaimedDir box;
};

// The families of all processes once, each sample with what tells it from the others.
TEST_F(GatewayHosts, MetricsAreMerged) {
    const auto one = host(0, "gpu0");
    const auto two = host(1, "gpu1");
    const std::string text = ask("/metrics").body;
    EXPECT_THAT(text, HasSubstr("mimic_device_connected{machine=\"box\",device=\"gpu0\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("mimic_device_connected{machine=\"box\",device=\"gpu1\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("mimic_loops{machine=\"box\",process=\"control-0\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("mimic_loops{machine=\"box\",process=\"control-1\"} 1\n"));
    EXPECT_THAT(text,
                HasSubstr("mimic_trace_dumps_total{machine=\"box\",process=\"control-1\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("mimic_gateway_unreachable_processes 0\n"));
    for (const char* type : {"# TYPE mimic_loops ", "# TYPE mimic_device_connected "}) {
        const size_t first = text.find(type);
        ASSERT_NE(first, std::string::npos) << type;
        EXPECT_EQ(text.find(type, first + 1), std::string::npos) << type;
    }
}

// Those of the run root's user session, and not of whoever asks.
TEST_F(GatewayHosts, MediatorsOfItsOwnRuntimeFolder) {
    const auto claim = [](const std::string& path) {
        const RuntimeFolder there(path);
        return mediator::RunFolder::claim("default", "").value();
    };
    const TestFolder other;
    const RuntimeFolder theirs(other.path);
    const auto of_others = claim(other.path);  // nobody answers for it
    EXPECT_THAT(ask("/metrics").body, HasSubstr("mimic_gateway_unreachable_processes 0\n"));
    EXPECT_EQ(json::parse(ask("/v1/mediators").body)["unreachable"], json::array());
    const auto ours = claim(folder.path);
    EXPECT_THAT(ask("/metrics").body, HasSubstr("mimic_gateway_unreachable_processes 1\n"));
    EXPECT_EQ(json::parse(ask("/v1/mediators").body)["unreachable"], json({"default"}));
}

// A process that is dead, silent, or talks nonsense takes nothing from the others.
TEST_F(GatewayHosts, MetricsOfBadHosts) {
    auto dead = host(0, "gpu0");
    const auto good = host(1, "gpu1");
    const auto file = socket(0) + ".kept";
    std::filesystem::create_hard_link(socket(0), file);  // as a killed process leaves it
    dead.reset();
    std::filesystem::rename(file, socket(0));
    const ScriptedHost silent(socket(2), "", ScriptedHost::Then::kHolds);
    const ScriptedHost rubbish(socket(3), "rubbish\n\n", ScriptedHost::Then::kHangsUp);
    const ScriptedHost half(socket(4), "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nmimic_loops",
                            ScriptedHost::Then::kHangsUp);
    const ScriptedHost foreign(socket(5),
                               "HTTP/1.1 200 OK\r\n\r\n# TYPE x counter\nno_family_of_ours 1\n"
                               "mimic_loops\nmimic_loops{x=\"\nmimic_loops 7\n",
                               ScriptedHost::Then::kHangsUp);
    const std::string text = ask("/metrics").body;
    EXPECT_THAT(text, HasSubstr("mimic_gateway_unreachable_processes 4\n"));
    EXPECT_THAT(text, HasSubstr("mimic_device_connected{machine=\"box\",device=\"gpu1\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("mimic_loops{machine=\"box\",process=\"control-5\"} 7\n"));
    EXPECT_THAT(text, Not(HasSubstr("no_family_of_ours")));
}

TEST_F(GatewayHosts, DevicesOfBadHosts) {
    const auto good = host(1, "gpu1");
    const std::string head = "HTTP/1.1 200 OK\r\n\r\n";
    const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
    const ScriptedHost nested(socket(2), head + R"({"devices":)" + deep + "}",
                              ScriptedHost::Then::kHangsUp);
    const ScriptedHost endless(socket(3), head + std::string(60'000, 'x'),
                               ScriptedHost::Then::kRepeats);
    const ScriptedHost list(socket(4), head + "[]", ScriptedHost::Then::kHangsUp);
    const ScriptedHost other(socket(5), head + R"({"devices":{"a":1}})",
                             ScriptedHost::Then::kHangsUp);
    const auto answer = json::parse(ask("/v1/machines/box/devices").body);
    ASSERT_EQ(answer["devices"].size(), 1U);
    EXPECT_EQ(answer["devices"][0]["name"], "gpu1");
    EXPECT_EQ(answer["unreachable"], json({"control-2", "control-3", "control-4", "control-5"}));
}

TEST_F(GatewayHosts, EventsOfOneMachineOrAll) {
    const auto one = host(0, "gpu0");
    const auto other = std::move(gateway->root().claim("crate").value());
    TestHost two(other.path + "/control-0.sock", "crate", {"gpu1"});
    const auto all = ask("/v1/events");
    const auto some = ask("/v1/machines/box/events");
    ASSERT_NE(all.stream, nullptr);
    ASSERT_NE(some.stream, nullptr);
    EXPECT_EQ(one->process.events.counters().readers, 1U);
    EXPECT_THAT(ask("/metrics").body, HasSubstr("mimic_control_event_readers 2\n"));
    one->reset("gpu0");
    const auto first = read_until(*all.stream, "gpu0");
    two.reset("gpu1");
    EXPECT_THAT(read_until(*all.stream, "gpu1"), HasSubstr(R"("machine":"crate")"));
    one->reset("last");
    EXPECT_THAT(read_until(*some.stream, "last"), Not(HasSubstr("crate")));
    service::HttpRequest request;
    request.method = "HEAD";
    request.path = "/v1/events";
    EXPECT_EQ(gateway->handle(request).stream, nullptr) << "a HEAD reads nothing";
}

}  // namespace
}  // namespace mimic::gateway
