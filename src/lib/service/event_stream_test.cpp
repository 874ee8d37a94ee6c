// SPDX-License-Identifier: Apache-2.0
#include "service/event_stream.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/event_queue.h"

namespace mimic::service {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kHead = "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

// A stream and what came out of it, "type id machine" each.
struct Taken {
    bool take(std::string_view bytes) {
        return stream.take(bytes, [this](const StreamEvent& event) {
            events.push_back(fmt::format(
                "{} {} {}", event.type, event.id.value_or(0),
                event.data.is_object() ? event.data.value("machine", "none") : "nothing"));
        });
    }
    EventStream stream;
    std::vector<std::string> events;
};

std::string event(const std::string& type, const std::string& data) {
    return "id: 7\nevent: " + type + "\ndata: " + data + "\n\n";
}

TEST(EventStreamRequest, ContinuesBehindAnEvent) {
    EXPECT_THAT(event_stream_request(std::nullopt), Not(HasSubstr("Last-Event-ID")));
    EXPECT_THAT(event_stream_request(12), HasSubstr("\r\nLast-Event-ID: 12\r\n\r\n"));
}

TEST(EventStream, TakesEventsHoweverTheyAreCut) {
    const std::string all = kHead + std::string("retry: 1000\n\n: keep-alive\n\n") +
                            event("vfs", R"({"time_us":1,"machine":"box","count":2})") +
                            event("dropped", R"({"count":2})");
    for (size_t piece = 1; piece <= all.size(); ++piece) {
        Taken taken;
        for (size_t at = 0; at < all.size(); at += piece)
            ASSERT_TRUE(taken.take(std::string_view(all).substr(at, piece)));
        EXPECT_TRUE(taken.stream.subscribed());
        EXPECT_THAT(taken.events, ElementsAre("vfs 7 box", "dropped 7 none")) << piece;
    }
}

TEST(EventStream, TakesWhatTheServerWrites) {
    Taken taken;
    EXPECT_TRUE(taken.take(kHead + event_frame("3", "reset", {{"time_us", 5}, {"machine", "a"}})));
    EXPECT_THAT(taken.events, ElementsAre("reset 3 a"));
}

TEST(EventStream, AnotherAnswerIsNone) {
    for (const char* head : {"HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/2 200 OK\r\n\r\n",
                             "200 \r\n\r\n", "\r\n\r\n", "HTTP/1.12 200 OK\r\n\r\n"}) {
        Taken taken;
        EXPECT_FALSE(taken.take(head)) << head;
        EXPECT_FALSE(taken.stream.subscribed());
    }
}

TEST(EventStream, WhatIsNoEventEndsIt) {
    const std::string good = R"({"time_us":1})";
    for (const auto& bad :
         {event("vfs", "nothing"), event("vfs", "[]"), event("vfs", R"({"time_us":"1"})"),
          event("vfs", R"({"time_us":-1})"), event("vfs", "{}"), event("dropped", "\xff"),
          event("V", good), event("a b", good), event(std::string(33, 'a'), good),
          event("vfs", std::string(2000, '[')), "event: vfs\n\n" + event("vfs", good)}) {
        Taken taken;
        const bool took = taken.take(kHead + bad);
        EXPECT_EQ(took, bad.starts_with("id: 7\nevent: dropped")) << bad;
        EXPECT_EQ(taken.events.empty(), !took) << bad;
    }
}

TEST(EventStream, LinesWithoutAnEndAreBounded) {
    Taken head;
    EXPECT_FALSE(head.take(std::string(EventStream::kMaxEvent + 1, 'x')));
    Taken body;
    EXPECT_TRUE(body.take(kHead));
    const std::string some(EventStream::kMaxEvent / 2, 'x');
    EXPECT_TRUE(body.take(some));
    EXPECT_TRUE(body.take(some));
    EXPECT_FALSE(body.take("x"));
    Taken whole;
    EXPECT_FALSE(
        whole.take(kHead + event("vfs", R"({"time_us":1,"x":")" +
                                            std::string(EventStream::kMaxEvent, 'x') + "\"}")));
    EXPECT_THAT(whole.events, IsEmpty());
}

}  // namespace
}  // namespace mimic::service
