// SPDX-License-Identifier: Apache-2.0
// GuestAgent against agents that behave and agents that do not. Deadlines are real but short.
#include "guest_agent/guest_agent.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/unix_socket.h"
#include "guest_agent/agent_channel.h"
#include "guest_agent/base64.h"
#include "guest_agent/fake_guest_agent.h"

namespace mimic::guest_agent {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Replies in order; "$ID" becomes the request's id. Nothing once they are used up.
FakeGuestAgent::Answer script(std::deque<std::string> replies) {
    return [replies = std::move(replies)](const std::string& line) mutable -> std::string {
        if (replies.empty()) return {};
        std::string reply = replies.front();
        replies.pop_front();
        const Json request = Json::parse(line, nullptr, false);
        const std::string id = request.contains("id") ? request["id"].dump() : "0";
        if (const size_t at = reply.find("$ID"); at != std::string::npos) reply.replace(at, 3, id);
        return reply;
    };
}

std::string returned(const std::string& value) {
    return R"({"return": )" + value + R"(, "id": $ID})" + "\n";
}

struct Case {
    const char* name;
    std::deque<std::string> replies;
    std::errc code;
};

void PrintTo(const Case& one, std::ostream* out) {
    *out << one.name;
}

TEST(GuestAgentTest, PingAnswered) {
    FakeGuestAgent fake(script({returned("{}")}));
    GuestAgent agent(fake.take_client());
    EXPECT_TRUE(agent.ping(seconds(5)));
}

TEST(GuestAgentTest, AnswerWithoutIdIsAccepted) {
    FakeGuestAgent fake(script({"{\"return\": {}}\n"}));
    GuestAgent agent(fake.take_client());
    EXPECT_TRUE(agent.ping(seconds(5)));
}

TEST(GuestAgentTest, AnswerToAnotherRequestIsSkipped) {
    FakeGuestAgent fake(script({"{\"return\": 5, \"id\": 0}\n" + returned("{}")}));
    GuestAgent agent(fake.take_client());
    EXPECT_TRUE(agent.ping(seconds(5)));
}

TEST(GuestAgentTest, ExecReturnsOutputAndStatus) {
    FakeGuestAgent fake(script({
        returned(R"({"pid": 7})"),
        returned(R"({"exited": false})"),
        returned(R"({"exited": true, "exitcode": 3, "out-data": "aGk=", "err-data": "b2g="})"),
    }));
    GuestAgent agent(fake.take_client());
    const auto result = agent.exec({"x"}, {}, seconds(5));
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->exit_status, 3);
    EXPECT_EQ(result->signal, 0);
    EXPECT_EQ(result->out, "hi");
    EXPECT_EQ(result->err, "oh");
}

TEST(GuestAgentTest, ExecReturnsSignal) {
    FakeGuestAgent fake(
        script({returned(R"({"pid": 7})"), returned(R"({"exited": true, "signal": 9})")}));
    GuestAgent agent(fake.take_client());
    const auto result = agent.exec({"x"}, {}, seconds(5));
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->signal, 9);
}

TEST(GuestAgentTest, ExecSendsArgumentsAndInput) {
    std::mutex mutex;
    Json first;
    FakeGuestAgent fake([&](const std::string& line) {
        const std::lock_guard lock(mutex);
        const Json request = Json::parse(line, nullptr, false);
        const bool start = request["execute"] == "guest-exec";
        if (start) first = request;
        return Json{{"return", start ? Json{{"pid", 1}} : Json{{"exited", true}, {"exitcode", 0}}}}
                   .dump() +
               "\n";
    });
    GuestAgent agent(fake.take_client());
    ASSERT_TRUE(agent.exec({"cat", "a b", ""}, "in", seconds(5)));
    const std::lock_guard lock(mutex);
    EXPECT_EQ(first["arguments"]["path"], "cat");
    EXPECT_EQ(first["arguments"]["arg"], Json::array({"a b", ""}));
    EXPECT_EQ(first["arguments"]["input-data"], "aW4=");
}

TEST(GuestAgentTest, LargeOutputArrivesWhole) {
    const std::string data(20u << 20, 'x');
    FakeGuestAgent fake([&](const std::string& line) -> std::string {
        if (line.find("guest-exec-status") == std::string::npos)
            return "{\"return\": {\"pid\": 1}}\n";
        return R"({"return": {"exited": true, "exitcode": 0, "out-data": ")" + base64_encode(data) +
               "\"}}\n";
    });
    // No doubt while a busy machine carries it: this fake knows no sync.
    GuestAgent agent(fake.take_client(), seconds(120));
    const auto result = agent.exec({"x"}, {}, seconds(120));
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE(result->out == data);
}

TEST(GuestAgentTest, EmptyCommandIsRefused) {
    FakeGuestAgent fake(script({}));
    GuestAgent agent(fake.take_client());
    EXPECT_EQ(agent.exec({}, {}, seconds(1)).error().code(), std::errc::invalid_argument);
}

TEST(GuestAgentTest, ConnectionIsDeadAfterATimeout) {
    FakeGuestAgent fake(script({}));
    GuestAgent agent(fake.take_client());
    EXPECT_EQ(agent.ping(milliseconds(20)).error().code(), std::errc::timed_out);
    EXPECT_EQ(agent.ping(seconds(5)).error().code(), std::errc::protocol_error);
}

TEST(GuestAgentTest, EndlessChatterDoesNotOutliveTheDeadline) {
    FakeGuestAgent fake([](const std::string&) {
        std::string flood;
        for (int i = 0; i < 2000; ++i) flood += "{\"return\": 1, \"id\": 0}\n";
        return flood;
    });
    GuestAgent agent(fake.take_client());
    EXPECT_EQ(agent.ping(milliseconds(50)).error().code(), std::errc::timed_out);
}

TEST(GuestAgentTest, ReadFileJoinsChunksAndCloses) {
    FakeGuestAgent fake(
        script({returned("1000"), returned(R"({"count": 2, "buf-b64": "aGk=", "eof": false})"),
                returned(R"({"count": 2, "buf-b64": "b2g=", "eof": true})"), returned("{}")}));
    GuestAgent agent(fake.take_client());
    const auto data = agent.read_file("/x");
    ASSERT_TRUE(data) << data.error().message();
    EXPECT_EQ(*data, "hioh");
}

TEST(GuestAgentTest, ReadFileThatNeverEndsIsRefused) {
    FakeGuestAgent fake(script(
        {returned("1"), returned(R"({"count": 0, "buf-b64": "", "eof": false})"), returned("{}")}));
    GuestAgent agent(fake.take_client());
    EXPECT_EQ(agent.read_file("/x").error().code(), std::errc::protocol_error);
}

TEST(GuestAgentTest, WriteFileSendsRestAfterShortWrite) {
    std::string written;
    std::mutex mutex;
    FakeGuestAgent fake([&](const std::string& line) -> std::string {
        const std::lock_guard lock(mutex);
        const Json request = Json::parse(line, nullptr, false);
        const std::string command = request["execute"];
        if (command == "guest-file-open") return "{\"return\": 4}\n";
        if (command == "guest-exec") return "{\"return\": {\"pid\": 1}}\n";
        if (command == "guest-exec-status")
            return R"({"return": {"exited": true, "exitcode": 0}})"
                   "\n";
        if (command != "guest-file-write") return "{\"return\": {}}\n";
        const std::string data = base64_decode(request["arguments"]["buf-b64"].get<std::string>())
                                     .value_or("?");
        written += data.substr(0, 2);
        return Json{{"return", {{"count", std::min<size_t>(2, data.size())}, {"eof", false}}}}
                   .dump() +
               "\n";
    });
    GuestAgent agent(fake.take_client());
    const Status done = agent.write_file("/x", "abcde", 0755);
    ASSERT_TRUE(done) << done.error().message();
    const std::lock_guard lock(mutex);
    EXPECT_EQ(written, "abcde");
}

TEST(GuestAgentTest, ConnectFailsInTimeWithoutSocket) {
    const auto agent = GuestAgent::connect("/nonexistent/qga.sock", milliseconds(50));
    EXPECT_EQ(agent.error().code(), std::errc::timed_out);
}

// As QEMU's port after a client that was killed: nobody answers the first who comes.
TEST(GuestAgentTest, ASilentConnectionIsGivenUpForAnother) {
    const std::string path = testing::TempDir() + "agent-silent-" + std::to_string(::getpid());
    auto listener = UnixListener::listen(path);
    ASSERT_TRUE(listener) << listener.error().message();
    std::atomic<bool> done = false;
    std::thread qemu([&] {
        UniqueFd silent;
        std::vector<std::unique_ptr<FakeGuestAgent>> answering;
        while (!done) {
            std::this_thread::sleep_for(milliseconds(1));
            UniqueFd fd = listener->accept().value();
            if (!fd) continue;
            if (!silent) {
                silent = std::move(fd);
                continue;
            }
            ::fcntl(fd.get(), F_SETFL, 0);  // the fake blocks
            answering.push_back(std::make_unique<FakeGuestAgent>(
                [](const std::string& line) {
                    const Json request = Json::parse(line.substr(line.find('{')));
                    const Json& id = request["id"];
                    return Json{{"return", id}, {"id", id}}.dump() + "\n";
                },
                std::move(fd)));
        }
    });
    const auto agent = GuestAgent::connect(path, seconds(60), milliseconds(100));
    done = true;
    qemu.join();
    EXPECT_TRUE(agent) << agent.error().message();
}

class HostilePing : public testing::TestWithParam<Case> {};

// A busy machine may need long for an answer; only one that does not come is waited for shortly.
Duration patience(const Case& one) {
    return one.code == std::errc::timed_out ? Duration(milliseconds(200)) : Duration(seconds(60));
}

// Several `mimic exec` in one guest: QEMU serves one, and its backlog has room for few.
TEST(GuestAgentTest, ConnectFailsInTimeWhenTooManyWait) {
    const std::string path = testing::TempDir() + "agent-crowd-" + std::to_string(::getpid());
    auto listener = UnixListener::listen(path);
    ASSERT_TRUE(listener) << listener.error().message();
    ASSERT_EQ(::listen(listener->fd(), 0), 0);
    std::vector<UniqueFd> waiting;
    for (auto fd = unix_connect_now(path); fd; fd = unix_connect_now(path))
        waiting.push_back(std::move(*fd));
    EXPECT_EQ(GuestAgent::connect(path, milliseconds(50)).error().code(), std::errc::timed_out);
}

TEST_P(HostilePing, IsAnError) {
    FakeGuestAgent fake(script(GetParam().replies));
    GuestAgent agent(fake.take_client());
    const Status status = agent.ping(patience(GetParam()));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), GetParam().code) << status.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    GuestAgent, HostilePing,
    testing::Values(
        Case{"silence", {}, std::errc::timed_out},
        Case{"half a line", {"{\"return\""}, std::errc::timed_out},
        Case{"hang up", {std::string(FakeGuestAgent::kHangUp)}, std::errc::connection_reset},
        Case{"no JSON", {"hello\n"}, std::errc::protocol_error},
        Case{"empty line", {"\n"}, std::errc::protocol_error},
        Case{"an array", {"[]\n"}, std::errc::protocol_error},
        Case{"deep nesting", {std::string(100000, '[') + "\n"}, std::errc::protocol_error},
        Case{"bad UTF-8", {"{\"return\": \"\xc3\x28\"}\n"}, std::errc::protocol_error},
        Case{"neither return nor error", {"{}\n"}, std::errc::operation_not_supported},
        Case{"error is a number", {"{\"error\": 1}\n"}, std::errc::operation_not_supported},
        Case{"desc is a list",
             {"{\"error\": {\"desc\": []}}\n"},
             std::errc::operation_not_supported},
        Case{"an errno in words",
             {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"x: Permission denied\"}}\n"},
             std::errc::permission_denied}));

class HostileExec : public testing::TestWithParam<Case> {};

TEST_P(HostileExec, IsAnError) {
    FakeGuestAgent fake(script(GetParam().replies));
    GuestAgent agent(fake.take_client());
    const auto result = agent.exec({"x"}, {}, patience(GetParam()));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), GetParam().code) << result.error().message();
}

const std::string kPid = "{\"return\": {\"pid\": 1}}\n";

INSTANTIATE_TEST_SUITE_P(
    GuestAgent, HostileExec,
    testing::Values(
        Case{"no pid", {"{\"return\": {}}\n"}, std::errc::protocol_error},
        Case{"pid is text", {"{\"return\": {\"pid\": \"1\"}}\n"}, std::errc::protocol_error},
        Case{"pid is huge",
             {"{\"return\": {\"pid\": 18446744073709551615}}\n"},
             std::errc::protocol_error},
        Case{"return is text", {"{\"return\": \"pid\"}\n"}, std::errc::protocol_error},
        Case{"status is a list", {kPid, "{\"return\": []}\n"}, std::errc::protocol_error},
        Case{"neither code nor signal",
             {kPid, "{\"return\": {\"exited\": true}}\n"},
             std::errc::protocol_error},
        Case{"code out of range",
             {kPid, "{\"return\": {\"exited\": true, \"exitcode\": 256}}\n"},
             std::errc::protocol_error},
        Case{"signal out of range",
             {kPid, "{\"return\": {\"exited\": true, \"signal\": -1}}\n"},
             std::errc::protocol_error},
        Case{"output is a number",
             {kPid, "{\"return\": {\"exited\": true, \"exitcode\": 0, \"out-data\": 1}}\n"},
             std::errc::protocol_error},
        Case{"output is no base64",
             {kPid, "{\"return\": {\"exited\": true, \"exitcode\": 0, \"out-data\": \"a?==\"}}\n"},
             std::errc::protocol_error},
        Case{"never ends", {kPid, "{\"return\": {\"exited\": false}}\n"}, std::errc::timed_out},
        Case{"hangs up", {kPid, std::string(FakeGuestAgent::kHangUp)}, std::errc::connection_reset},
        Case{"no such program",
             {"{\"error\": {\"desc\": \"Failed to execute child process (No such file or "
              "directory)\"}}\n"},
             std::errc::no_such_file_or_directory}));

TEST(AgentChannelTest, SynchronizeSkipsWhatOthersLeft) {
    FakeGuestAgent fake([](const std::string& line) {
        const Json request = Json::parse(line.substr(line.find('{')), nullptr, false);
        return "garbage\n{\"return\": 1}\n{\"ret\xff{\"return\": " +
               request["arguments"]["id"].dump() + "}\n";
    });
    AgentChannel channel(fake.take_client(), 1 << 20, GuestAgent::kDoubt);
    const Status synced = channel.synchronize(SteadyClock().now() + seconds(5));
    EXPECT_TRUE(synced) << synced.error().message();
}

TEST(AgentChannelTest, OversizedAnswerIsRefused) {
    FakeGuestAgent fake([](const std::string&) { return std::string(1 << 20, 'x'); });
    AgentChannel channel(fake.take_client(), 1 << 16, GuestAgent::kDoubt);
    const auto answer = channel.call("guest-ping", {}, SteadyClock().now() + seconds(5));
    EXPECT_EQ(answer.error().code(), std::errc::message_size);
}

TEST(JsonIsSmallTest, CountsOutsideStringsOnly) {
    EXPECT_TRUE(json_is_small("{\"a\": \"" + std::string(10000, '[') + "\"}"));
    EXPECT_TRUE(json_is_small(R"({"a": "\"[[["})"));
    EXPECT_FALSE(json_is_small(std::string(10000, '[')));
    EXPECT_FALSE(json_is_small("[" + std::string(10000, ',') + "]"));
}

TEST(Base64Test, RoundTrip) {
    std::string data;
    for (int i = 0; i < 300; ++i) {
        EXPECT_EQ(base64_decode(base64_encode(data)), data);
        data += static_cast<char>(i * 7);
    }
}

TEST(Base64Test, RefusesBrokenText) {
    for (const char* text :
         {"a", "ab", "abc", "ab=c", "a===", "====", "ab?=", "aGl=", "aG==", "YQ==\n",
          "YQ=="
          "YQ=="}) {
        EXPECT_FALSE(base64_decode(text)) << text;
    }
}

}  // namespace
}  // namespace mimic::guest_agent
