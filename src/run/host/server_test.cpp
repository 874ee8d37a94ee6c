// SPDX-License-Identifier: Apache-2.0
// A function of somebody's own, served with all that Mimic has for devices: asked over the control
// socket, as tools ask.
#include "host/server.h"

#include <signal.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/stop_signals.h"
#include "pci/testing/function.h"
#include "service/client.h"

namespace mimic::host {
namespace {

using testing::HasSubstr;

class ServerTest : public testing::Test {
protected:
    ServerTest() {
        EXPECT_NE(::mkdtemp(folder.data()), nullptr);
        auto made = Server::create(std::make_unique<pci::TestFunction>(), path("device"),
                                   {.control_socket = path("control")});
        EXPECT_TRUE(made) << made.error().message();
        server = std::move(made).value();
    }
    ~ServerTest() override {
        server.reset();
        EXPECT_EQ(::rmdir(folder.c_str()), 0) << "no socket may be left";
    }
    std::string path(const std::string& name) const { return folder + "/" + name; }
    service::ClientAnswer ask(const std::string& what, const std::string& method = "GET",
                              const std::string& body = "") const {
        const auto answer = service::send_request({path("control"), method, what, body});
        EXPECT_TRUE(answer) << answer.error().message();
        return answer.value_or(service::ClientAnswer{});
    }

    std::string folder = "/tmp/mimic-server.XXXXXX";
    std::unique_ptr<Server> server;
};

TEST_F(ServerTest, NamesItsFunction) {
    EXPECT_EQ(server->size(), 1U);
    EXPECT_EQ(::access(path("device").c_str(), F_OK), 0);
    const auto answer = ask("/v1/devices");
    ASSERT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, HasSubstr("\"test0\""));
    EXPECT_EQ(ask("/v1/devices/other").status, 404);
}

TEST_F(ServerTest, ShowsRegisters) {
    const auto answer = ask("/v1/devices/test0/registers");
    ASSERT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, HasSubstr("VENDOR_ID"));
}

TEST_F(ServerTest, TracesTheFaultThatItIsAskedFor) {
    ASSERT_EQ(ask("/v1/trace", "PUT", R"({"enabled": true})").status, 200);
    const auto armed = ask("/v1/devices/test0/faults", "POST", R"({"fault": "all-ones"})");
    ASSERT_EQ(armed.status / 100, 2) << armed.body;
    const auto trace = ask("/v1/trace/events");
    ASSERT_EQ(trace.status, 200);
    EXPECT_THAT(trace.body, HasSubstr("all-ones"));
    EXPECT_THAT(ask("/metrics").body, HasSubstr("mimic_"));
    EXPECT_THAT(ask("/v1/devices/test0/faults").body, HasSubstr("all-ones"));
}

TEST_F(ServerTest, ASocketThatIsTakenLeavesNothing) {
    const auto second = Server::create(std::make_unique<pci::TestFunction>(), path("second"),
                                       {.control_socket = path("control")});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), std::errc::address_in_use);
    EXPECT_NE(::access(path("second").c_str(), F_OK), 0);
    EXPECT_EQ(ask("/v1/devices").status, 200) << "the first goes on";
}

TEST(StopSignalsTest, TermAndHangUpArriveHereAndNotWhereTheyAreIgnored) {
    EXPECT_EXIT(
        {
            ::signal(SIGHUP, SIG_IGN);
            const StopSignals stop;
            ::kill(::getpid(), SIGHUP);
            ::kill(::getpid(), SIGTERM);
            ::_exit(stop.wait());
        },
        testing::ExitedWithCode(SIGTERM), "");
    EXPECT_EXIT(
        {
            ::signal(SIGHUP, SIG_DFL);
            const StopSignals stop;
            ::kill(::getpid(), SIGHUP);
            ::_exit(stop.wait());
        },
        testing::ExitedWithCode(SIGHUP), "");
}

}  // namespace
}  // namespace mimic::host
