// SPDX-License-Identifier: Apache-2.0
// Watches, and what follows them through everything that may happen to one.
#include "kube/watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "kube/answer.h"
#include "kube/testing/http_peer.h"

namespace mimic::kube {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HttpPeer;
using testing::PeerReply;
using testing::PeerRequest;

std::shared_ptr<ClientConfig> patient_config(const HttpPeer& peer) {
    auto config = std::make_shared<ClientConfig>();
    config->server = peer.address();
    config->timeout = 60s;
    return config;
}

bool is_watch(const PeerRequest& request) {
    return request.path.find("watch=true") != std::string::npos;
}

void begin_watch(PeerReply& reply) {
    reply.write(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n");
}

void send_event(PeerReply& reply, std::string_view type, std::string_view object) {
    const auto line = fmt::format("{{\"type\":\"{}\",\"object\":{}}}\n", type, object);
    reply.write(fmt::format("{:x}\r\n{}\r\n", line.size(), line));
}

std::string object(std::string_view name, int version) {
    return fmt::format(R"({{"metadata":{{"name":"{}","resourceVersion":"{}"}}}})", name, version);
}

TEST(KubeWatch, TellsEachEventAndEndsWithTheStream) {
    std::string path;
    HttpPeer peer([&path](const PeerRequest& request, PeerReply& reply) {
        path = request.path;
        begin_watch(reply);
        send_event(reply, "ADDED", object("a", 2));
        send_event(reply, "BOOKMARK", object("", 3));
        send_event(reply, "DELETED", object("a", 4));
        reply.write("0\r\n\r\n");
    });
    Client client(patient_config(peer));
    std::vector<std::string> events;
    const auto ended = client.watch(
        kClaims, "", {"a=b", "c", 1}, "1", {}, [&events](const WatchEvent& event) {
            events.push_back(event.type + metadata_text(event.object, "resourceVersion"));
        });
    EXPECT_TRUE(ended);
    EXPECT_THAT(events, ElementsAre("ADDED2", "BOOKMARK3", "DELETED4"));
    EXPECT_THAT(path, HasSubstr("/apis/resource.k8s.io/v1/resourceclaims?watch=true&"
                                "allowWatchBookmarks=true&fieldSelector=a%3Db&labelSelector=c&"
                                "resourceVersion=1&timeoutSeconds="));
}

TEST(KubeWatch, AStopEndsItAndSoDoesSilence) {
    std::stop_source stop;
    HttpPeer peer([](const PeerRequest&, PeerReply& reply) {
        begin_watch(reply);
        send_event(reply, "ADDED", object("a", 2));
        reply.wait_closed();
        reply.close();
    });
    auto config = patient_config(peer);
    Client client(config);
    EXPECT_TRUE(client.watch(kSlices, "", {}, "1", stop.get_token(),
                             [&stop](const WatchEvent&) { stop.request_stop(); }));
    std::stop_source own;
    client.set_stop(own.get_token());
    EXPECT_TRUE(
        client.watch(kSlices, "", {}, "1", {}, [&own](const WatchEvent&) { own.request_stop(); }));
    config->watch_silence = 50ms;
    int heard = 0;
    EXPECT_TRUE(
        Client(config).watch(kSlices, "", {}, "1", {}, [&heard](const WatchEvent&) { ++heard; }));
    EXPECT_EQ(heard, 1);
}

TEST(KubeWatch, ErrorsAreToldApartFromAnEnd) {
    int call = 0;
    HttpPeer peer([&call](const PeerRequest&, PeerReply& reply) {
        switch (call++) {
            case 0:
                reply.answer(410, R"({"kind":"Status","reason":"Expired"})");
                break;
            case 1:
                reply.answer(429, "slow down", "Retry-After: 3\r\n");
                break;
            case 2:
                begin_watch(reply);
                send_event(reply, "ERROR", R"({"code":410})");
                reply.wait_closed();
                reply.close();
                break;
            case 3:
                begin_watch(reply);
                reply.write("7\r\n<html>\n\r\n");
                reply.wait_closed();
                reply.close();
                break;
            default:  // half an event, then nothing more
                begin_watch(reply);
                reply.write("5\r\n{\"typ\r\n");
                reply.close();
        }
    });
    Client client(patient_config(peer));
    const auto watch = [&client] {
        return client.watch(kSlices, "", {}, "1", {}, [](const WatchEvent&) { FAIL(); });
    };
    EXPECT_TRUE(watch().error().gone());
    const auto busy = watch().error();
    EXPECT_EQ(busy.status, 429);
    EXPECT_EQ(busy.retry_after, 3s);
    EXPECT_TRUE(watch().error().gone());
    EXPECT_EQ(watch().error().status, 0);
    EXPECT_TRUE(watch());
}

// What a Watcher told, and a stop once it is as the test wants it.
class Follower {
public:
    WatchHandler handler(std::function<bool(const Follower&)> done) {
        done_ = std::move(done);
        return {[this](const std::string& version, const std::vector<nlohmann::json>& objects) {
                    std::string names;
                    for (const auto& each : objects) names += metadata_text(each, "name");
                    note(fmt::format("all {}@{}", names, version));
                },
                [this](const WatchEvent& event) {
                    note(event.type + " " + metadata_text(event.object, "name"));
                },
                [this](const ApiError& error) { note(fmt::format("failed {}", error.status)); }};
    }
    void note(std::string text) {
        notes.push_back(std::move(text));
        if (done_(*this)) stop.request_stop();
    }

    std::vector<std::string> notes;
    std::stop_source stop;

private:
    std::function<bool(const Follower&)> done_;
};

TEST(KubeWatcher, ListsResumesAndListsAgainWhenThePlaceIsForgotten) {
    std::vector<std::string> from;  // where each watch began
    int lists = 0;
    HttpPeer peer([&](const PeerRequest& request, PeerReply& reply) {
        if (!is_watch(request)) {
            switch (lists++) {
                case 0:
                    return reply.answer(503, "");
                case 1:
                    return reply.answer(200, "{}");  // without a version
                case 2:
                    return reply.answer(200, R"({"metadata":{"resourceVersion":"5"},"items":[)" +
                                                 object("a", 4) + "]}");
                default:
                    return reply.answer(200, R"({"metadata":{"resourceVersion":"50"},"items":[)" +
                                                 object("c", 40) + "]}");
            }
        }
        const auto at = request.path.find("resourceVersion=") + 16;
        from.push_back(request.path.substr(at, request.path.find('&', at) - at));
        switch (from.size()) {
            case 1:  // ends in the middle of an event
                begin_watch(reply);
                send_event(reply, "ADDED", object("b", 6));
                send_event(reply, "BOOKMARK", object("", 7));
                reply.write("3\r\n{\"t\r\n");
                return reply.close();
            case 2:
                return reply.answer(500, "");
            case 3:
                begin_watch(reply);
                send_event(reply, "ERROR", R"({"code":410})");
                return reply.close();
            default:
                begin_watch(reply);
                send_event(reply, "DELETED", object("c", 51));
                reply.wait_closed();
                reply.close();
        }
    });
    Follower follower;
    Watcher watcher(
        patient_config(peer), {kSlices, "", {}, {1ms, 2ms}},
        follower.handler([](const Follower& f) { return f.notes.back() == "DELETED c"; }));
    watcher.run(follower.stop.get_token());
    EXPECT_THAT(follower.notes, ElementsAre("failed 503", "failed 0", "all a@5", "ADDED b",
                                            "failed 500", "all c@50", "DELETED c"));
    EXPECT_THAT(from, ElementsAre("5", "7", "7", "50"));
}

TEST(KubeWatcher, AVersionThatTheServerRefusesIsForgotten) {
    int lists = 0;
    HttpPeer peer([&](const PeerRequest& request, PeerReply& reply) {
        if (is_watch(request)) return reply.answer(400, "");
        ++lists;
        reply.answer(200, R"({"metadata":{"resourceVersion":"x"},"items":[]})");
    });
    Follower follower;
    Watcher watcher(patient_config(peer), {kSlices, "", {}, {1ms, 2ms}},
                    follower.handler([](const Follower& f) { return f.notes.size() >= 6; }));
    watcher.run(follower.stop.get_token());
    EXPECT_GE(lists, 3);
}

TEST(KubeWatcher, AStopEndsItWhileItWaits) {
    // Nobody listens there, and the wait would be an hour.
    auto config = std::make_shared<ClientConfig>();
    config->server = "http://127.0.0.1:1";
    Follower follower;
    Watcher watcher(config, {kSlices, "", {}, {1h, 1h}},
                    follower.handler([](const Follower&) { return true; }));
    watcher.run(follower.stop.get_token());
    EXPECT_THAT(follower.notes, ElementsAre("failed 0"));
}

}  // namespace
}  // namespace mimic::kube
