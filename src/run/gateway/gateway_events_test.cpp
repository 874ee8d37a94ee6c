// SPDX-License-Identifier: Apache-2.0
// One stream out of those of processes that come, die, are slow to answer or talk nonsense.
#include "gateway/gateway_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/test_hosts.h"
#include "service/peer_json.h"

namespace mimic::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

std::string event(const std::string& device, const std::string& type = "reset") {
    return "id: 7\nevent: " + type + "\ndata: {\"time_us\":1,\"machine\":\"x\",\"device\":\"" +
           device + "\"}\n\n";
}

uint64_t last_id(const std::string& text) {
    const size_t at = text.rfind("id: ") + 4;
    return *service::event_id(text.substr(at, text.find('\n', at) - at));
}

// Of machine "box", with as many processes as the test makes at control-<n>.sock.
class GatewayEventsTest : public testing::Test {
protected:
    explicit GatewayEventsTest(Duration keep = service::EventHub::kKeepHistory,
                               Duration patience = 10s)
        : hub("", keep),
          events([this] { return find(); }, hub, {.rescan = 20ms, .patience = patience}) {}

    std::string socket(int n) const { return folder / fmt::format("control-{}.sock", n); }
    std::unique_ptr<TestHost> host(int n, const std::vector<std::string>& devices) const {
        return std::make_unique<TestHost>(socket(n), "box", devices);
    }
    std::vector<EventSource> find() const {
        return {{"box", socket(0)}, {"box", socket(1)}, {"box", socket(2)}};
    }
    // Publishes at `host` until `reader` has heard it: for what is not connected yet.
    static std::string until_heard(TestHost& host, const std::string& device,
                                   service::HttpStream& reader) {
        std::string all;
        std::string chunk;
        for (int i = 0; i < 2000 && all.find(device) == std::string::npos; ++i) {
            host.reset(device);
            std::this_thread::sleep_for(5ms);
            while (reader.read(chunk) == service::HttpStream::Next::kData) all += chunk;
        }
        return all;
    }

    TestFolder folder;
    service::EventHub hub;
    GatewayEvents events;
};

TEST_F(GatewayEventsTest, NothingIsMissedFromTheReturnOn) {
    const auto one = host(0, {"gpu0"});
    const auto two = host(1, {"gpu1"});
    const auto reader = events.subscribe(std::nullopt, "");
    one->reset("gpu0");
    two->reset("gpu1");
    std::string all = read_until(*reader, "gpu0");
    if (all.find("gpu1") == std::string::npos) all += read_until(*reader, "gpu1");
    EXPECT_THAT(all, HasSubstr(R"("machine":"box","device":"gpu0"})"));
    EXPECT_THAT(all, HasSubstr(R"("machine":"box","device":"gpu1"})"));
}

TEST_F(GatewayEventsTest, ManyReadersAreOneAtAHost) {
    const auto one = host(0, {"gpu0"});
    std::vector<std::shared_ptr<service::EventQueue>> readers;
    for (int i = 0; i < 20; ++i) readers.push_back(events.subscribe(std::nullopt, ""));
    EXPECT_EQ(one->process.events.counters().readers, 1U);
    EXPECT_EQ(hub.counters().readers, 20U);
    one->reset("gpu0");
    for (const auto& reader : readers) EXPECT_THAT(read_until(*reader, "gpu0"), HasSubstr("gpu0"));
}

TEST_F(GatewayEventsTest, OneDiesAndComesBack) {
    auto one = host(0, {"gpu0"});
    const auto two = host(1, {"gpu1"});
    const auto reader = events.subscribe(std::nullopt, "box");
    one->reset("gpu0");
    read_until(*reader, "gpu0");
    one.reset();
    two->reset("gpu1");
    EXPECT_THAT(read_until(*reader, "gpu1"), HasSubstr("gpu1"));
    one = host(0, {"gpu2"});
    // What the new process did before it was asked, it cannot tell.
    EXPECT_THAT(until_heard(*one, "gpu2", *reader), HasSubstr("event: missed"));
    two->reset("gpu3");
    EXPECT_THAT(read_until(*reader, "gpu3"), Not(HasSubstr("missed")));
}

TEST_F(GatewayEventsTest, OneThatComesLaterIsHeard) {
    const auto reader = events.subscribe(std::nullopt, "");
    const auto late = host(2, {"gpu0"});
    EXPECT_THAT(until_heard(*late, "gpu0", *reader), Not(HasSubstr("missed")));
}

TEST_F(GatewayEventsTest, ComingBackResumes) {
    const auto one = host(0, {"gpu0"});
    auto reader = events.subscribe(std::nullopt, "");
    one->reset("gpu0");
    const uint64_t id = last_id(read_until(*reader, "gpu0"));
    reader.reset();
    one->reset("gpu1");
    const auto again = events.subscribe(id, "");
    const auto text = read_until(*again, "gpu1");
    EXPECT_THAT(text, Not(HasSubstr("gpu0")));
    EXPECT_THAT(text, Not(HasSubstr("missed")));
    // An id of a gateway that has ended, or of nobody.
    EXPECT_THAT(read_until(*events.subscribe(1, ""), "missed"), HasSubstr("event: missed"));
    EXPECT_THAT(read_until(*events.subscribe(UINT64_MAX, "box"), "missed"),
                HasSubstr(R"("machine":"box")"));
}

TEST_F(GatewayEventsTest, ASlowReaderIsDroppedAlone) {
    const auto one = host(0, {"gpu0"});
    const auto slow = events.subscribe(std::nullopt, "");
    const auto quick = events.subscribe(std::nullopt, "");
    for (size_t i = 0; i < service::EventQueue::kMaxWaiting + 10; ++i) {
        one->reset(fmt::format("gpu{};", i));
        if (i % 300 == 0) read_until(*quick, fmt::format("gpu{};", i));
    }
    read_until(*quick, fmt::format("gpu{};", service::EventQueue::kMaxWaiting + 9));
    EXPECT_EQ(hub.counters().dropped_readers, 1U);
    EXPECT_THAT(read_until(*slow, "dropped"), HasSubstr("event: dropped\ndata: {\"count\":10}"));
    one->reset("last");
    EXPECT_THAT(read_until(*quick, "last"), Not(HasSubstr("dropped")));
    EXPECT_EQ(hub.counters().readers, 1U);
}

// Whatever one process does: who subscribes does not wait for long, and hears the other.
class BadHosts : public GatewayEventsTest {
protected:
    BadHosts() : GatewayEventsTest(service::EventHub::kKeepHistory, 300ms) {}

    // What a reader hears of both, of a bad one that does `then` after `answer`.
    std::string heard(const std::string& answer, ScriptedHost::Then then,
                      const std::string& wanted = "good") {
        const ScriptedHost bad(socket(0), answer, then);
        const auto good = host(1, {"good"});
        const auto begun = SteadyClock().now();
        const auto reader = events.subscribe(std::nullopt, "");
        EXPECT_LT(SteadyClock().now() - begun, 10s);
        std::string all = until_heard(*good, "good", *reader);  // a busy one may have no reader yet
        if (all.find(wanted) == std::string::npos) all += read_until(*reader, wanted);
        return all;
    }
};

TEST_F(BadHosts, Silence) {
    EXPECT_THAT(heard("", ScriptedHost::Then::kHolds), HasSubstr("good"));
}

TEST_F(BadHosts, Rubbish) {
    EXPECT_THAT(heard(std::string("\0\xff\r\n\r\nid: 1\n\n", 14), ScriptedHost::Then::kHangsUp),
                HasSubstr("good"));
}

TEST_F(BadHosts, RubbishWithoutEnd) {
    EXPECT_THAT(heard("rubbish ", ScriptedHost::Then::kRepeats), HasSubstr("good"));
}

TEST_F(BadHosts, NoStreamForUs) {
    EXPECT_THAT(heard("HTTP/1.1 503 Busy\r\n\r\n" + event("bad"), ScriptedHost::Then::kHolds),
                Not(HasSubstr("bad")));
}

TEST_F(BadHosts, HalfAnEvent) {
    const std::string whole = event("half");
    EXPECT_THAT(heard(kHead + whole.substr(0, whole.size() - 1), ScriptedHost::Then::kHangsUp),
                Not(HasSubstr("half")));
}

TEST_F(BadHosts, ALineWithoutEnd) {
    const auto all = heard(kHead + event("before") + "data: " + std::string(100'000, 'x'),
                           ScriptedHost::Then::kHolds, "before");
    EXPECT_THAT(all, HasSubstr("before"));
    EXPECT_THAT(all, Not(HasSubstr("xxx")));
}

TEST_F(BadHosts, EventsThatAreNone) {
    const std::string deep = std::string(20'000, '[') + std::string(20'000, ']');
    for (const std::string& bad :
         {event("bad", "Reset"), event("bad", std::string(33, 'a')), event("bad", "a\r"),
          std::string("event: reset\n\n"), std::string("event: reset\ndata: bad\n\n"),
          std::string("event: reset\ndata: [\"bad\"]\n\n"),
          std::string("event: reset\ndata: {\"time_us\":\"bad\"}\n\n"),
          "event: reset\ndata: {\"time_us\":1,\"bad\":" + deep + "}\n\n"})
        EXPECT_THAT(heard(kHead + bad + event("bad"), ScriptedHost::Then::kHolds),
                    Not(HasSubstr("bad")))
            << bad.substr(0, 80);
}

// It speaks for its own machine only, and its ids are its own affair.
TEST_F(BadHosts, AnotherName) {
    const auto all = heard(kHead + event("liar"), ScriptedHost::Then::kHolds, "liar");
    EXPECT_THAT(all, HasSubstr(R"("machine":"box","device":"liar"})"));
    EXPECT_THAT(all, Not(HasSubstr("id: 7\n")));
}

// A process from which nobody reads is let go of.
class ForgetfulEvents : public GatewayEventsTest {
protected:
    ForgetfulEvents() : GatewayEventsTest(20ms) {}
};

TEST_F(ForgetfulEvents, NobodyIsAskedForNobody) {
    const auto one = host(0, {"gpu0"});
    events.subscribe(std::nullopt, "");
    for (int i = 0; i < 2000 && one->process.events.counters().readers != 0; ++i) {
        one->reset("gpu0");  // sending is how a host notices
        std::this_thread::sleep_for(5ms);
    }
    EXPECT_EQ(one->process.events.counters().readers, 0U);
    const auto reader = events.subscribe(std::nullopt, "");
    one->reset("gpu1");
    EXPECT_THAT(read_until(*reader, "gpu1"), HasSubstr("gpu1"));
}

TEST(PeerJson, IsAnObjectOfFewLevels) {
    EXPECT_EQ(service::parse_peer_json(R"({"a":[1]})")["a"][0], 1);
    for (const char* text : {"", "1", "[]", "null", "{", "{}x", "\xff", "\"{}\""})
        EXPECT_TRUE(service::parse_peer_json(text).is_null()) << text;
    const auto nested = [](size_t levels) {
        return R"({"a":)" + std::string(levels, '[') + std::string(levels, ']') + "}";
    };
    EXPECT_TRUE(service::parse_peer_json(nested(service::kMaxJsonDepth - 1)).is_object());
    EXPECT_TRUE(service::parse_peer_json(nested(service::kMaxJsonDepth + 1)).is_null());
    EXPECT_TRUE(service::parse_peer_json(nested(200'000)).is_null());
}

}  // namespace
}  // namespace mimic::gateway
