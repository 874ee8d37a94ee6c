// SPDX-License-Identifier: Apache-2.0
// Answers that no API server gives: each is an error in bounded time and memory, and the next
// request works.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "kube/client.h"
#include "kube/testing/http_peer.h"

namespace mimic::kube {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::HttpPeer;
using testing::PeerReply;
using testing::PeerRequest;

constexpr size_t kLimit = size_t{1} << 20;

std::shared_ptr<ClientConfig> bounded_config(const HttpPeer& peer) {
    auto config = std::make_shared<ClientConfig>();
    config->server = peer.address();
    config->timeout = 60s;
    config->max_answer = kLimit;
    return config;
}

// Answers "bad" with `answer`, everything else well. What `bad` asks for is the error.
ApiError error_of_answer(const std::function<void(PeerReply&)>& answer) {
    HttpPeer peer([&answer](const PeerRequest& request, PeerReply& reply) {
        if (!request.path.ends_with("/bad")) return reply.answer(200, "{}");
        answer(reply);
    });
    Client client(bounded_config(peer));
    const auto bad = client.get(kNodes, "", "bad");
    EXPECT_FALSE(bad);
    EXPECT_TRUE(client.get(kNodes, "", "good"));
    return bad ? ApiError{} : bad.error();
}

ApiError error_of_bytes(std::string_view bytes) {
    return error_of_answer([bytes](PeerReply& reply) {
        reply.write(bytes);
        reply.close();
    });
}

TEST(KubeHostile, BodiesThatAreNoObject) {
    for (const std::string body : {"", "<html>sign in</html>", "[]", "\"x\"", "{\"a\":", "{}x",
                                   "{\"a\":\"\xff\"}", "\x1f\x8b\x08"}) {
        const auto error = error_of_answer([&body](PeerReply& reply) { reply.answer(200, body); });
        EXPECT_EQ(error.status, 0) << body;
        EXPECT_THAT(error.message, HasSubstr("no JSON object")) << body;
    }
    const auto deep = error_of_answer([](PeerReply& reply) {
        reply.answer(200, "{\"a\":" + std::string(kLimit / 2, '[') + "}");
    });
    EXPECT_EQ(deep.status, 0);
    const auto many = error_of_answer([](PeerReply& reply) {
        std::string body = "{\"a\":[{}";
        while (body.size() < kLimit - 16) body += ",{}";
        reply.answer(200, body + "]}");
    });
    EXPECT_EQ(many.status, 0);
}

TEST(KubeHostile, AnswersThatAreTooLong) {
    // As long as they say, without an end, and with an end that never comes.
    EXPECT_THAT(error_of_bytes("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}").message,
                HasSubstr("127.0.0.1"));
    const auto endless = error_of_answer([](PeerReply& reply) {
        reply.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        const std::string chunk = "10000\r\n" + std::string(0x10000, ' ') + "\r\n";
        while (reply.write(chunk)) {
        }
        reply.close();
    });
    EXPECT_THAT(endless.message, HasSubstr("too long"));
    const auto headers = error_of_answer([](PeerReply& reply) {
        reply.write("HTTP/1.1 200 OK\r\n");
        while (reply.write("X-Flood: 0123456789012345678901234567890123456789\r\n")) {
        }
        reply.close();
    });
    EXPECT_THAT(headers.message, HasSubstr("headers are too long"));
    const auto informational = error_of_answer([](PeerReply& reply) {
        while (reply.write("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")) {
        }
        reply.close();
    });
    EXPECT_THAT(informational.message, HasSubstr("headers are too long"));
    // An error's text is kept as far as anybody reads it.
    const auto text = error_of_answer(
        [](PeerReply& reply) { reply.answer(500, std::string(kLimit - 1, 'x')); });
    EXPECT_EQ(text.status, 500);
    EXPECT_LE(text.message.size(), 400u);
}

TEST(KubeHostile, WhatIsNoHttpOrEndsEarly) {
    for (const std::string bytes :
         {"", "\n", "SSH-2.0-x\r\n", "HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Le",
          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", "HTTP/1.1 100 Continue\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}"})
        EXPECT_EQ(error_of_bytes(bytes).status, 0) << bytes;
    // No redirect is followed, whatever it names.
    for (const int status : {301, 302, 307, 308}) {
        const auto error = error_of_answer([status](PeerReply& reply) {
            reply.answer(status, "", "Location: /api/v1/nodes/good\r\n");
        });
        EXPECT_EQ(error.status, status);
        EXPECT_FALSE(error.transient());
    }
    // A bomb is not unpacked: nobody asked for that encoding.
    const auto bomb = error_of_answer([](PeerReply& reply) {
        reply.answer(200, std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10),
                     "Content-Encoding: gzip\r\n");
    });
    EXPECT_THAT(bomb.message, HasSubstr("no JSON object"));
}

TEST(KubeHostile, TextOfAServerDoesNotReachATerminal) {
    const auto error = error_of_answer([](PeerReply& reply) {
        reply.answer(403, "{\"kind\":\"Status\",\"message\":\"\\u001b]0;title\\u0007\\n\\u009b\"}");
    });
    EXPECT_EQ(error.message.find_first_of("\x1b\x07\n"), std::string::npos);
}

TEST(KubeHostile, AServerThatDoesNotAnswerIsLeftInTime) {
    HttpPeer peer([](const PeerRequest&, PeerReply& reply) {
        reply.write("HTTP/1.1 200 OK\r\n");
        reply.wait_closed();
        reply.close();
    });
    auto config = bounded_config(peer);
    config->timeout = 50ms;
    Client client(config);
    const auto answer = client.get(kNodes, "", "n");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().status, 0);
    EXPECT_TRUE(answer.error().transient());
    // One byte at a time does not make the time longer.
    HttpPeer slow([](const PeerRequest&, PeerReply& reply) {
        while (reply.write("H")) std::this_thread::sleep_for(5ms);
    });
    auto other = bounded_config(slow);
    other->timeout = 50ms;
    EXPECT_FALSE(Client(other).get(kNodes, "", "n"));
}

TEST(KubeHostile, AStopEndsARequestThatHangs) {
    std::stop_source stop;
    HttpPeer peer([&stop](const PeerRequest&, PeerReply& reply) {
        stop.request_stop();
        reply.wait_closed();
        reply.close();
    });
    auto config = bounded_config(peer);
    config->timeout = 1h;
    Client client(config);
    client.set_stop(stop.get_token());
    const auto answer = client.get(kNodes, "", "n");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().reason, "Stopped");
}

TEST(KubeHostile, ListsOfOtherThingsAndWithoutAnEnd) {
    std::string body;
    HttpPeer peer([&body](const PeerRequest&, PeerReply& reply) { reply.answer(200, body); });
    Client client(bounded_config(peer));
    for (const char* const bad :
         {"[]", R"({"items":{}})", R"({"items":"x"})", R"({"items":[1]})", R"({"items":[null]})"}) {
        body = bad;
        EXPECT_FALSE(client.list(kSlices, "", {})) << bad;
    }
    for (const char* const empty : {"{}", R"({"items":null})", R"({"metadata":1})"}) {
        body = empty;
        const auto list = client.list(kSlices, "", {});
        ASSERT_TRUE(list) << empty;
        EXPECT_TRUE((*list)["items"].is_array());
    }
    body = R"({"metadata":{"continue":"again"},"items":[]})";
    const auto endless = client.list(kSlices, "", {});
    ASSERT_FALSE(endless);
    EXPECT_EQ(endless.error().message, "the list has no end");
    body = R"({"metadata":{"continue":"again"},"items":[{"x":")" + std::string(200000, 'x') +
           R"("}]})";
    const auto large = client.list(kSlices, "", {});
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error().message, "the list is too long");
}

}  // namespace
}  // namespace mimic::kube
