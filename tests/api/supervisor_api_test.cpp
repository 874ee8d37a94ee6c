// SPDX-License-Identifier: Apache-2.0
// The control API of a supervisor, over its socket.
#include "machine/supervisor_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "control/test_document.h"
#include "gateway/gateway_events.h"
#include "gateway/test_hosts.h"
#include "machine/machine_api.h"
#include "service/client.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

MachineState box() {
    MachineState state;
    state.name = "box";
    state.phase = "starting";
    state.started = "2026-01-31T12:00:00Z";
    state.functions = 2;
    state.supervisor = ProcessId::of(::getpid());
    state.qemu = {.pid = 1, .start_time = 1};  // another process has that number
    state.device_hosts = {ProcessId::of(::getpid())};
    return state;
}

class SupervisorApiTest : public testing::Test {
protected:
    SupervisorApiTest() {
        std::ofstream(folder / "plan.json") << R"({"nodes":[]})";
        api = std::move(SupervisorApi::create(folder.path, box()).value());
    }
    std::pair<int, std::string> ask(const std::string& path, const std::string& method = "GET",
                                    const std::string& body = "") const {
        const auto answer = service::send_request(
            {supervisor_socket_path(folder.path), method, path, body, 20s});
        return answer ? std::pair(answer->status, answer->body) : std::pair(0, std::string());
    }

    gateway::TestFolder folder;
    std::unique_ptr<SupervisorApi> api;
};

TEST_F(SupervisorApiTest, HasTheRoutesOfTheDocument) {
    EXPECT_EQ(control::documented_routes("supervisor"), control::served_routes(api->routes()));
}

TEST_F(SupervisorApiTest, SaysWhatItLooksAfter) {
    const auto [status, body] = ask("/v1/machine");
    ASSERT_EQ(status, 200);
    const auto machine = json::parse(body);
    EXPECT_EQ(machine["name"], "box");
    EXPECT_EQ(machine["state"], "starting");
    EXPECT_EQ(machine["started_us"], 1769860800000000);
    EXPECT_EQ(machine["reason"], "");
    EXPECT_EQ(machine["plan"], json::parse(R"({"nodes":[]})"));
    ASSERT_EQ(machine["processes"].size(), 3U);
    EXPECT_EQ(machine["processes"][0]["socket"], "control");
    EXPECT_EQ(machine["processes"][1]["socket"], "control-0");
    EXPECT_EQ(machine["processes"][1]["alive"], true);
    EXPECT_EQ(machine["processes"][2]["kind"], "qemu");
    EXPECT_EQ(machine["processes"][2]["alive"], false);
}

TEST_F(SupervisorApiTest, AStateThatChangesIsAnEvent) {
    service::EventHub hub("");
    gateway::GatewayEvents events(
        [this] {
            return std::vector{gateway::EventSource{"box", supervisor_socket_path(folder.path)}};
        },
        hub);
    const auto reader = events.subscribe(std::nullopt, "");
    auto state = box();
    state.functions = 3;
    api->update(state, "");  // no other state than before
    state.phase = "running";
    api->update(state, "");
    state.phase = "stopping";
    api->update(state, "qemu ended");
    const auto text = gateway::read_until(*reader, "ended\",");
    EXPECT_THAT(text, HasSubstr(R"("device":null,"state":"running","reason":""})"));
    EXPECT_THAT(text, HasSubstr(R"("device":null,"state":"ended","reason":"qemu ended"})"));
    EXPECT_EQ(text.find("starting"), std::string::npos);
    EXPECT_EQ(json::parse(ask("/v1/machine").second)["reason"], "qemu ended");
}

TEST_F(SupervisorApiTest, Metrics) {
    ask("/v1/nothing");
    const auto [status, text] = ask("/metrics");
    EXPECT_EQ(status, 200);
    EXPECT_THAT(text, HasSubstr("mimic_machine_state{machine=\"box\",state=\"starting\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("mimic_machine_state{machine=\"box\",state=\"running\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("kind=\"qemu\",pid=\"1\"} 0\n"));
    EXPECT_THAT(text,
                HasSubstr("kind=\"device-host\",pid=\"" + std::to_string(::getpid()) + "\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("mimic_control_requests_total{code=\"404\"} 1\n"));
}

TEST_F(SupervisorApiTest, WhatIsWrongIsRefused) {
    EXPECT_EQ(ask("/v1/machines").first, 404);
    EXPECT_EQ(ask("/v1/devices").first, 404);
    EXPECT_EQ(ask("/v1/machine", "DELETE").first, 405);
    EXPECT_EQ(ask("/v1/machine", "POST", std::string(100'000, 'x')).first, 413);
    struct stat info {};
    ASSERT_EQ(::stat(supervisor_socket_path(folder.path).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    std::ofstream(folder / "plan.json", std::ios::trunc) << "no JSON";
    EXPECT_TRUE(json::parse(ask("/v1/machine").second)["plan"].is_null());
}

}  // namespace
}  // namespace mimic::machine
