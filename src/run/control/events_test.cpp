// SPDX-License-Identifier: Apache-2.0
// The stream of events: who hears what, who comes back, who is too slow, and that none of it holds
// up a request.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "control/api.h"
#include "control/test_targets.h"
#include "service/client.h"
#include "service/event_hub.h"

namespace mimic::control {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Json = nlohmann::ordered_json;

std::string read_all(service::EventQueue& queue) {
    std::string all;
    std::string chunk;
    while (queue.read(chunk) == service::HttpStream::Next::kData) all += chunk;
    return all;
}

TEST(EventFrame, IsOneLineOfData) {
    EXPECT_EQ(service::event_frame("7", "reset", {{"a", "b\nc"}}),
              "id: 7\nevent: reset\ndata: {\"a\":\"b\\nc\"}\n\n");
    EXPECT_EQ(service::event_frame("", "reset", {{"a", "\xff"}}),
              "event: reset\ndata: {\"a\":\"\xef\xbf\xbd\"}\n\n");
}

TEST(EventQueue, ASlowReaderLearnsWhatItMissed) {
    service::EventQueue queue;
    for (size_t i = 0; i < service::EventQueue::kMaxWaiting; ++i) EXPECT_FALSE(queue.push("e"));
    EXPECT_TRUE(queue.push("late"));
    for (int i = 0; i < 9; ++i) EXPECT_FALSE(queue.push("later"));
    const auto all = read_all(queue);
    EXPECT_EQ(all.substr(0, service::EventQueue::kMaxWaiting),
              std::string(service::EventQueue::kMaxWaiting, 'e'));
    EXPECT_THAT(all, HasSubstr("event: dropped\ndata: {\"count\":10}"));
    std::string chunk;
    EXPECT_EQ(queue.read(chunk), service::HttpStream::Next::kEnd);
    EXPECT_FALSE(queue.push("never"));
}

TEST(EventQueue, WakesItsReader) {
    service::EventQueue queue;
    int woken = 0;
    queue.set_waker([&woken] { ++woken; });
    queue.push("e");
    EXPECT_EQ(woken, 1);
    queue.set_waker({});
    queue.close();
    EXPECT_EQ(woken, 1);
    EXPECT_EQ(read_all(queue), "e");
}

TEST(EventHub, CostsNothingWithoutReaders) {
    service::EventHub hub("box");
    EXPECT_FALSE(hub.listening());
    hub.publish("reset", "gpu0", Json::object());
    EXPECT_EQ(hub.counters().published, 0U);
    EXPECT_EQ(read_all(*hub.subscribe(std::nullopt)), "");
}

TEST(EventHub, TellsAllAndKeepsForThoseWhoComeBack) {
    service::EventHub hub("box");
    const auto one = hub.subscribe(std::nullopt);
    const auto two = hub.subscribe(std::nullopt);
    hub.publish("vfs", "gpu0", {{"count", 3}});
    const auto text = read_all(*one);
    EXPECT_EQ(read_all(*two), text);
    EXPECT_THAT(text, HasSubstr("event: vfs\n"));
    const auto data = Json::parse(text.substr(text.find("data: ") + 6));
    EXPECT_EQ(data["machine"], "box");
    EXPECT_EQ(data["device"], "gpu0");
    EXPECT_EQ(data["count"], 3);
    EXPECT_GT(data["time_us"], 1'000'000'000'000'000);
    const auto id = service::event_id(text.substr(4, text.find('\n') - 4));
    ASSERT_TRUE(id);
    hub.publish("machine", "", {{"state", "ended"}});
    const auto back = read_all(*hub.subscribe(id));
    EXPECT_THAT(back, HasSubstr("\"device\":null,\"state\":\"ended\""));
    EXPECT_THAT(back, testing::Not(HasSubstr("vfs")));
    EXPECT_EQ(hub.counters().readers, 2U);
}

TEST(EventHub, HistoryIsBounded) {
    service::EventHub hub("box");
    const auto reader = hub.subscribe(std::nullopt);
    for (size_t i = 0; i < service::EventHub::kHistory + 10; ++i)
        hub.publish("reset", "a", {{"n", i}});
    const auto back = read_all(*hub.subscribe(1));
    EXPECT_THAT(back, testing::StartsWith("event: missed\n"));
    EXPECT_THAT(back, HasSubstr("\"n\":10}"));
    EXPECT_THAT(back, testing::Not(HasSubstr("\"n\":9}")));
}

// Who comes back is told unless all that came since is there.
TEST(EventHub, WhatMayBeMissingIsSaid) {
    const auto id_of = [](const std::string& text) {
        return *service::event_id(text.substr(4, text.find('\n') - 4));
    };
    service::EventHub hub("box");
    EXPECT_THAT(read_all(*hub.subscribe(0)), HasSubstr("\"machine\":\"box\",\"device\":null}"));
    const auto reader = hub.subscribe(std::nullopt);
    hub.publish("reset", "gpu0", {{"n", 0}});
    const uint64_t first = id_of(read_all(*reader));
    EXPECT_EQ(read_all(*hub.subscribe(first)), "");
    EXPECT_THAT(read_all(*hub.subscribe(first + 1)), HasSubstr("event: missed"))
        << "an id that another process gave";
    // The first is the one that is pushed out last: all after it is there.
    for (size_t i = 1; i <= service::EventHub::kHistory; ++i)
        hub.publish("reset", "gpu0", {{"n", i}});
    EXPECT_THAT(read_all(*hub.subscribe(first)), testing::StartsWith("id: "));
    hub.publish("reset", "gpu0", Json::object());
    EXPECT_THAT(read_all(*hub.subscribe(first)), testing::StartsWith("event: missed"));
}

TEST(EventHub, ReadersOfOneMachine) {
    service::EventHub hub("");
    const auto all = hub.subscribe(std::nullopt);
    const auto box = hub.subscribe(std::nullopt, "box");
    for (const char* machine : {"box", "crate", "box"})
        hub.pass_on("reset", {{"time_us", 1}, {"machine", machine}, {"device", "gpu0"}});
    EXPECT_EQ(hub.counters().published, 3U);
    const std::string text = read_all(*box);
    EXPECT_THAT(text, testing::Not(HasSubstr("crate")));
    EXPECT_THAT(read_all(*all), HasSubstr("crate"));
    const auto id = service::event_id(text.substr(4, text.find('\n') - 4));
    EXPECT_EQ(read_all(*hub.subscribe(id, "box")), text.substr(text.find("\n\n") + 2));
    EXPECT_FALSE(hub.forget_if_idle());
}

TEST(EventHub, IdsOfOthers) {
    for (const char* header : {"", "x", "-1", "1 ", " 1", "1x", "99999999999999999999999"})
        EXPECT_EQ(service::event_id(header).value_or(0), 0U) << header;
    EXPECT_FALSE(service::event_id(""));
    EXPECT_EQ(service::event_id("x"), 0U);
    EXPECT_EQ(service::event_id("18446744073709551615"), UINT64_MAX);
}

// Over a socket, as readers see it.
class EventStreamTest : public testing::Test {
protected:
    EventStreamTest() {
        std::string pattern = testing::TempDir() + "mimic-events-XXXXXX";
        dir = ::mkdtemp(pattern.data());
        server = *ControlServer::create({path(), 20s, &process}, {&group});
    }
    ~EventStreamTest() override {
        server.reset();
        std::filesystem::remove_all(dir);
    }
    std::string path() const { return dir + "/control-0.sock"; }

    UniqueFd open(const std::string& headers = "") {
        auto fd = *unix_connect(path());
        const std::string text = "GET /v1/events HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
        EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
        return fd;
    }
    // What comes until `end` is in it; all that came after 20 s.
    static std::string until(int fd, const std::string& end) {
        std::string all;
        std::array<char, 65536> buffer{};
        while (all.find(end) == std::string::npos) {
            pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
            if (::poll(&readable, 1, 20'000) <= 0) return all;
            const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
            if (count <= 0) return all + "<end>";
            all.append(buffer.data(), static_cast<size_t>(count));
        }
        return all;
    }
    int status(const std::string& method = "GET", const std::string& target = "/v1/version") {
        const auto answer = service::send_request({path(), method, target, "", 20s});
        return answer ? answer->status : 0;
    }

    std::string dir;
    service::ProcessContext process{"box"};
    std::unique_ptr<LoopPool> pool = *LoopPool::create(1);
    FakeGroup group{pool->loop(0), {"gpu0"}};
    std::unique_ptr<ControlServer> server;
};

TEST_F(EventStreamTest, EventsArriveWhenTheyHappen) {
    const auto fd = open();
    EXPECT_THAT(until(fd.get(), "retry: 1000\n\n"), HasSubstr("Content-Type: text/event-stream"));
    for (int i = 0; i < 100; ++i) {
        process.events.publish("reset", "gpu0", {{"n", i}});
        EXPECT_THAT(until(fd.get(), fmt::format("\"n\":{}}}\n\n", i)), HasSubstr("event: reset"));
    }
}

TEST_F(EventStreamTest, ManyPublishersOneReader) {
    const auto fd = open();
    until(fd.get(), "retry: 1000\n\n");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([this, t] {
            for (int i = 0; i < 200; ++i)
                process.events.publish("reset", "gpu0", {{"n", t * 200 + i}});
        });
    for (auto& thread : threads) thread.join();
    process.events.publish("machine", "", {{"state", "ended"}});
    const auto all = until(fd.get(), "ended");
    for (int i = 0; i < 800; ++i) EXPECT_THAT(all, HasSubstr(fmt::format("\"n\":{}}}", i)));
}

// Streams leave room for requests, and one too many is told so.
TEST_F(EventStreamTest, StreamsAreBounded) {
    std::vector<UniqueFd> readers;
    for (unsigned i = 0; i < service::kMaxHttpStreams; ++i) {
        readers.push_back(open());
        until(readers.back().get(), "retry: 1000\n\n");
    }
    EXPECT_EQ(process.events.counters().readers, service::kMaxHttpStreams);
    EXPECT_THAT(until(open().get(), "too_many_streams"), HasSubstr("503"));
    for (int i = 0; i < 20; ++i) EXPECT_EQ(status(), 200);
    readers.clear();
    // They are missed at the next thing that is sent to them.
    for (int i = 0; i < 2000 && process.events.counters().readers != 0; ++i) {
        process.events.publish("reset", "gpu0", Json::object());
        std::this_thread::sleep_for(5ms);
    }
    EXPECT_EQ(process.events.counters().readers, 0U);
    EXPECT_THAT(until(open().get(), "retry"), HasSubstr("200"));
}

// The reader's socket is full, then its queue; nobody else notices.
TEST_F(EventStreamTest, ASlowReaderIsDroppedWithACount) {
    const auto slow = open();
    until(slow.get(), "retry: 1000\n\n");
    const std::string text(2000, 'x');
    size_t published = 0;
    while (process.events.counters().dropped_readers == 0 && published < 20'000) {
        process.events.publish("reset", "gpu0", {{"text", text}});
        ++published;
        if (published % 500 == 0) {
            EXPECT_EQ(status(), 200);
        }
    }
    EXPECT_EQ(process.events.counters().dropped_readers, 1U);
    process.events.publish("reset", "gpu0", {{"text", text}});
    const auto all = until(slow.get(), "event: dropped");
    EXPECT_THAT(all.substr(all.size() - std::min<size_t>(all.size(), 200)),
                HasSubstr("event: dropped"));
    EXPECT_EQ(status("GET", "/v1/devices/gpu0"), 200);
    const auto metrics = service::send_request({path(), "GET", "/metrics", "", 20s});
    EXPECT_THAT(metrics->body, HasSubstr("mimic_control_event_readers_dropped_total 1\n"));
}

TEST_F(EventStreamTest, ComingBackResumes) {
    const auto first = open();
    until(first.get(), "retry: 1000\n\n");
    process.events.publish("reset", "gpu0", {{"n", 1}});
    const auto text = until(first.get(), "\"n\":1}");
    const size_t at = text.find("id: ") + 4;
    process.events.publish("reset", "gpu0", {{"n", 2}});
    const auto again = open("Last-Event-ID: " + text.substr(at, text.find('\n', at) - at) + "\r\n");
    const auto rest = until(again.get(), "\"n\":2}");
    EXPECT_THAT(rest, HasSubstr("\"n\":2}"));
    EXPECT_THAT(rest, testing::Not(HasSubstr("\"n\":1}")));
    EXPECT_THAT(until(open("Last-Event-ID: nonsense\r\n").get(), "retry"), HasSubstr("200"));
}

TEST_F(EventStreamTest, TheServerEndsWithReaders) {
    const auto quiet = open();
    until(quiet.get(), "retry: 1000\n\n");
    server.reset();
    EXPECT_THAT(until(quiet.get(), "never"), HasSubstr("<end>"));
    process.events.publish("reset", "gpu0", Json::object());  // nobody is there any more
}

TEST_F(EventStreamTest, SilenceIsKeptAlive) {
    const auto fd = open();
    EXPECT_THAT(until(fd.get(), ": keep-alive\n\n"), HasSubstr(": keep-alive\n\n"));
}

}  // namespace
}  // namespace mimic::control
