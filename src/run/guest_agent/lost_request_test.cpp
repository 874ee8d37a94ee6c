// SPDX-License-Identifier: Apache-2.0
// GuestAgent with a guest that loses requests, as Linux' virtio_console does while devices freeze,
// and with an agent that is restarted.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "guest_agent/agent_channel.h"
#include "guest_agent/base64.h"
#include "guest_agent/fake_guest_agent.h"
#include "guest_agent/guest_agent.h"

namespace mimic::guest_agent {
namespace {

using Json = nlohmann::json;
using std::chrono::seconds;

constexpr auto kDoubt = std::chrono::milliseconds(20);
constexpr auto kPatience = seconds(60);  // nothing here waits that long unless it fails

/// Answers as qemu-guest-agent does, but loses the first `lost[COMMAND]` requests of a command.
class ForgetfulGuest {
public:
    explicit ForgetfulGuest(std::map<std::string, int> lost, std::string uptime = "1000.00 0.0")
        : lost_(std::move(lost)),
          uptime_(std::move(uptime)),
          fake_([this](const std::string& line) { return answer(line); }) {}

    UniqueFd take_client() { return fake_.take_client(); }
    void forget_ids() { repeats_ids_ = false; }  // as agents before QEMU 4.0
    int count(const std::string& command) {
        const std::lock_guard lock(mutex_);
        return carried_out_[command];
    }

private:
    std::string answer(const std::string& line) {
        const std::lock_guard lock(mutex_);
        const Json request = Json::parse(line.substr(line.find('{')), nullptr, false);
        const std::string command = request["execute"];
        if (lost_[command] > 0) {
            --lost_[command];
            return {};
        }
        ++carried_out_[command];
        std::string text;
        // The byte that resets the parser has an answer of its own.
        if (line.front() != '{') text = "{\"error\": {\"desc\": \"JSON parse error\"}}\n\xff";
        Json reply = {{"return", result(command, request.value("arguments", Json::object()))}};
        if (repeats_ids_) {
            reply["id"] = request["id"];
        } else {
            text.erase(0, text.find('\xff'));
        }
        return text + reply.dump() + "\n";
    }
    Json result(const std::string& command, const Json& arguments) {
        if (command == "guest-sync-delimited") return arguments["id"];
        if (command == "guest-exec") return {{"pid", 7}};
        if (command == "guest-exec-status") return {{"exited", true}, {"exitcode", 3}};
        if (command == "guest-file-open") {
            path_ = arguments["path"];
            return 5;
        }
        if (command != "guest-file-read") return Json::object();
        // Its name ends in what looks like fields; started 10 s after boot.
        const std::string stat =
            "812 (qemu ga) S) S 1 1 1 0 -1 4194560 9 0 0 0 1 2 0 0 20 0 2 0 1000 9 9\n";
        const std::string data = path_ == "/proc/uptime" ? uptime_ : stat;
        return {{"count", data.size()}, {"buf-b64", base64_encode(data)}, {"eof", true}};
    }

    std::mutex mutex_;
    std::map<std::string, int> lost_;
    std::map<std::string, int> carried_out_;
    const std::string uptime_;
    std::string path_;
    std::atomic<bool> repeats_ids_ = true;
    FakeGuestAgent fake_;  // last: its thread uses the rest
};

TEST(LostRequestTest, StatusIsAskedAgain) {
    ForgetfulGuest guest({{"guest-exec-status", 2}});
    GuestAgent agent(guest.take_client(), kDoubt);
    const auto result = agent.exec({"x"}, {}, kPatience);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->exit_status, 3);
    EXPECT_EQ(guest.count("guest-exec"), 1);
}

// Who hangs up before makes QEMU lose an entry of the port's queue.
TEST(LostRequestTest, AnAnswerIsNotTheEndWhileASignOfLifeIsOnItsWay) {
    std::string answer;
    std::atomic<bool> is_given = false;
    FakeGuestAgent fake([&](const std::string& line) -> std::string {
        const Json request = Json::parse(line.substr(line.find('{')), nullptr, false);
        if (request["execute"] == "guest-ping") {
            answer = Json{{"return", Json::object()}, {"id", request["id"]}}.dump() + "\n";
            return {};
        }
        if (!answer.empty()) return std::exchange(answer, {});  // late; this sync has none
        is_given = true;
        return Json{{"return", request["id"]}, {"id", request["id"]}}.dump() + "\n";
    });
    GuestAgent agent(fake.take_client(), kDoubt);
    const Status done = agent.ping(kPatience);
    EXPECT_TRUE(done) << done.error().message();
    EXPECT_TRUE(is_given);
}

TEST(LostRequestTest, SignOfLifeMayBeLostToo) {
    ForgetfulGuest guest({{"guest-ping", 1}, {"guest-sync-delimited", 1}});
    GuestAgent agent(guest.take_client(), kDoubt);
    const Status done = agent.ping(kPatience);
    EXPECT_TRUE(done) << done.error().message();
}

TEST(LostRequestTest, CommandIsSentAgainToTheSameAgent) {
    ForgetfulGuest guest({{"guest-exec", 1}, {"guest-file-read", 1}});
    GuestAgent agent(guest.take_client(), kDoubt);
    const auto pid = agent.start({"x"}, {});
    ASSERT_TRUE(pid) << pid.error().message();
    EXPECT_EQ(*pid, 7);
    EXPECT_EQ(guest.count("guest-exec"), 1);
}

TEST(LostRequestTest, CommandIsNotSentAgainToAnAgentThatWasRestarted) {
    ForgetfulGuest guest({{"guest-exec", 1}}, "10.00 0.0");  // it has just begun
    GuestAgent agent(guest.take_client(), kDoubt);
    const auto pid = agent.start({"x"}, {});
    ASSERT_FALSE(pid);
    EXPECT_EQ(pid.error().code(), kRequestLost) << pid.error().message();
    EXPECT_EQ(guest.count("guest-exec"), 0);
    EXPECT_TRUE(agent.ping(kPatience)) << "the connection is still in step";
}

TEST(LostRequestTest, CommandIsNotSentAgainWhenTheAgentsAgeIsNonsense) {
    for (const char* uptime : {"", "x", "1.0", "nan", "1e300", "-5"}) {
        ForgetfulGuest guest({{"guest-exec", 1}}, uptime);
        GuestAgent agent(guest.take_client(), kDoubt);
        EXPECT_EQ(agent.start({"x"}, {}).error().code(), kRequestLost) << uptime;
        EXPECT_EQ(guest.count("guest-exec"), 0) << uptime;
    }
}

TEST(LostRequestTest, PartOfAFileIsNotAskedForAgain) {
    ForgetfulGuest guest({{"guest-file-write", 1}});
    GuestAgent agent(guest.take_client(), kDoubt);
    EXPECT_EQ(agent.write_file("/x", "data", 0644).error().code(), kRequestLost);
    EXPECT_EQ(guest.count("guest-file-write"), 0);
    EXPECT_EQ(guest.count("guest-file-close"), 1);
}

TEST(LostRequestTest, AgentWithoutIdsStaysInStep) {
    ForgetfulGuest guest({{"guest-ping", 1}});
    guest.forget_ids();
    GuestAgent agent(guest.take_client(), kDoubt);
    ASSERT_TRUE(agent.ping(kPatience));
    const auto pid = agent.start({"x"}, {});
    ASSERT_TRUE(pid) << pid.error().message();
    EXPECT_EQ(*pid, 7);
}

/// An answer that takes long is waited for, and no other call gets what was asked meanwhile.
TEST(LostRequestTest, LateAnswerIsTaken) {
    for (const bool repeats_ids : {true, false}) {
        std::vector<Json> held;
        FakeGuestAgent fake([&](const std::string& line) -> std::string {
            const Json request = Json::parse(line.substr(line.find('{')), nullptr, false);
            Json reply = {{"return", Json{{"pid", 9}}}};
            if (request["execute"] == "guest-sync-delimited")
                reply = {{"return", request["arguments"]["id"]}};
            if (repeats_ids) reply["id"] = request["id"];
            // qemu-guest-agent 10.0 on riscv64 said this of the byte that resets its parser.
            if (line.front() != '{')
                held.push_back(
                    {{"error",
                      {{"class", "GenericError"}, {"desc", "JSON parse error, stray '\ufffd'"}}}});
            held.push_back(reply);
            if (held.size() == 1) return {};  // the agent is busy until it has been asked again
            std::string text;
            for (const Json& one : held) text += one.dump() + "\n";
            held.clear();
            return text;
        });
        GuestAgent agent(fake.take_client(), kDoubt);
        const auto first = agent.start({"x"}, {});
        ASSERT_TRUE(first) << first.error().message();
        EXPECT_EQ(*first, 9);
        const auto second = agent.start({"x"}, {});
        ASSERT_TRUE(second) << second.error().message();
        EXPECT_EQ(*second, 9);
    }
}

}  // namespace
}  // namespace mimic::guest_agent
