// SPDX-License-Identifier: Apache-2.0
#include "kube/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mimic::kube {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string nested(int levels) {
    std::string text = "{\"a\":";
    for (int i = 1; i < levels; ++i) text += '[';
    for (int i = 1; i < levels; ++i) text += ']';
    return text + "}";
}

TEST(Answer, TakesObjectsWithinItsBoundsOnly) {
    EXPECT_TRUE(parse_object(R"({"a":[1,"]]]]",{"b":"\"[[["}]})", 100).is_object());
    for (const char* const text : {"", "[]", "1", "{", R"({"a":)", "<html>", R"({"a":"\u12"})",
                                   "{\"a\":\"\xff\"}", "{} {}", "null", "{]"})
        EXPECT_TRUE(parse_object(text, 100).is_null()) << text;
    EXPECT_TRUE(parse_object(nested(kMaxDepth), 100000).is_object());
    EXPECT_TRUE(parse_object(nested(kMaxDepth + 1), 100000).is_null());
    EXPECT_TRUE(parse_object(std::string(1000000, '['), 10000000).is_null());
    EXPECT_TRUE(parse_object(R"({"a":[0,0,0,0]})", 8).is_object());
    EXPECT_TRUE(parse_object(R"({"a":[0,0,0,0,0,0]})", 8).is_null());
}

TEST(Answer, RetryAfterIsSecondsOrADateAndAtMostAnHour) {
    const auto now = std::chrono::system_clock::from_time_t(784111777);  // of RFC 9110
    const auto parse = [now](std::string_view text) { return parse_retry_after(text, now); };
    EXPECT_EQ(parse(" 120\r\n"), 120s);
    EXPECT_EQ(parse("0"), 0s);
    EXPECT_EQ(parse("99999"), 1h);
    EXPECT_EQ(parse("99999999999999999999999999"), 1h);
    EXPECT_EQ(parse("Sun, 06 Nov 1994 08:50:37 GMT"), 60s);
    EXPECT_EQ(parse("Sun, 06 Nov 1994 08:00:00 GMT"), 0s);
    EXPECT_EQ(parse("Fri, 31 Dec 9999 23:59:59 GMT"), 1h);
    for (const char* const text : {"", " ", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:50:37 GMT+1"})
        EXPECT_EQ(parse(text), std::nullopt) << text;
}

TEST(Answer, AnErrorIsItsStatusObjectOrTheTextThatCame) {
    const auto conflict = error_of(409,
                                   R"({"kind":"Status","reason":"Conflict","message":"has)"
                                   "\\u001b[31m changed\",\"details\":{\"retryAfterSeconds\":2}}",
                                   std::nullopt);
    EXPECT_TRUE(conflict.conflict());
    EXPECT_EQ(conflict.reason, "Conflict");
    EXPECT_EQ(conflict.message, "has?[31m changed");
    EXPECT_EQ(conflict.retry_after, 2s);
    EXPECT_EQ(error_of(429, "{}", 5s).retry_after, 5s);
    EXPECT_EQ(error_of(404, "404 page not found\n", {}).message, "HTTP 404: 404 page not found");
    EXPECT_LE(error_of(502, std::string(1 << 20, '<'), {}).message.size(), 200u);
    // Of other types than they should be.
    const auto odd = error_of(
        500, R"({"kind":"Status","reason":[1],"message":{},"details":{"retryAfterSeconds":"x"}})",
        {});
    EXPECT_EQ(odd.reason, "");
    EXPECT_THAT(odd.message, HasSubstr("HTTP 500"));
    EXPECT_EQ(odd.retry_after, std::nullopt);
}

TEST(Answer, WhatIsTransientIsWorthAnotherTry) {
    for (const int status : {0, 408, 429, 500, 503, 504})
        EXPECT_TRUE((ApiError{status, "", "", {}}).transient()) << status;
    for (const int status : {301, 400, 401, 403, 404, 409, 410, 422})
        EXPECT_FALSE((ApiError{status, "", "", {}}).transient()) << status;
}

struct Taken {
    std::vector<std::string> events;
    ApiResult<void> result;
};

Taken take(std::string_view text, size_t piece, size_t limit = 1000) {
    Taken taken;
    WatchStream stream(limit);
    while (!text.empty() && taken.result) {
        taken.result = stream.take(text.substr(0, piece), [&taken](const WatchEvent& event) {
            taken.events.push_back(event.type + " " + event.object.dump());
        });
        text.remove_prefix(std::min(piece, text.size()));
    }
    return taken;
}

TEST(Answer, AWatchIsTheSameHoweverItIsCut) {
    constexpr std::string_view kText =
        "{\"type\":\"ADDED\",\"object\":{\"a\":1}}\n\r\n"
        "{\"type\":\"BOOKMARK\",\"object\":{}}\n"
        "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}"
        "\n"
        "{\"type\":\"ADDED\",\"object\":{\"a\":2}}\n";
    for (const size_t piece : {1u, 2u, 7u, 1000u}) {
        const auto taken = take(kText, piece);
        EXPECT_THAT(taken.events, ElementsAre("ADDED {\"a\":1}", "BOOKMARK {}"));
        ASSERT_FALSE(taken.result);
        EXPECT_TRUE(taken.result.error().gone());
        EXPECT_EQ(taken.result.error().reason, "Expired");
    }
}

TEST(Answer, WhatIsNoEventEndsTheWatch) {
    for (const std::string line :
         {"<html>", "[]", "{}", R"({"type":"ADDED"})", R"({"type":"ADDED","object":[]})",
          R"({"type":1,"object":{}})", R"({"type":"SOLD","object":{}})", "{\"type\":\"ADDED\""}) {
        const auto taken = take(line + "\n", 1000);
        EXPECT_THAT(taken.events, ElementsAre()) << line;
        ASSERT_FALSE(taken.result) << line;
        EXPECT_EQ(taken.result.error().status, 0) << line;
    }
    // A code that no server has is not passed on as one.
    const auto odd = take("{\"type\":\"ERROR\",\"object\":{\"code\":99999999999}}\n", 1000);
    ASSERT_FALSE(odd.result);
    EXPECT_EQ(odd.result.error().status, 0);
    // A line without an end.
    EXPECT_FALSE(take(std::string(1001, ' '), 1).result);
    EXPECT_FALSE(take(std::string(1001, ' '), 2000).result);
    EXPECT_TRUE(take(std::string(999, ' ') + "\n", 2000).result);
}

}  // namespace
}  // namespace mimic::kube
