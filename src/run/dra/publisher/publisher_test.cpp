// SPDX-License-Identifier: Apache-2.0
// The whole publisher against a server that loses watches, refuses, forgets and is written by
// others. Waits for conditions; ctest's time limit ends what never comes.
#include "dra/publisher/publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "kube/testing/fake_api.h"

namespace mimic::dra {
namespace {

using namespace std::chrono_literals;
using kube::testing::FakeApi;
using kube::testing::PeerRequest;
using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kName = "accel.example.com";

slices::Pool devices_of(size_t count, const std::string& prefix = "d") {
    slices::Pool pool;
    pool.driver = kName;
    pool.name = pool.node = "n1";
    for (size_t i = 0; i < count; ++i) {
        slices::Device device;
        device.name = fmt::format("{}{}", prefix, i);
        pool.devices.push_back(std::move(device));
    }
    return pool;
}

class PublisherTest : public ::testing::Test {
protected:
    PublisherTest() { api_.put("nodes", json{{"metadata", {{"name", "n1"}, {"uid", "one"}}}}); }

    PublisherConfig config() const {
        PublisherConfig config;
        config.client = api_.config();
        config.driver = kName;
        config.node = "n1";
        config.backoff = {1ms, 20ms};
        config.foreign = {1ms, 20ms};
        return config;
    }
    static void wait_until(const std::function<bool()>& condition) {
        while (!condition()) std::this_thread::sleep_for(2ms);
    }
    // What those who allocate see: the devices of the highest generation, if it is complete.
    std::set<std::string> visible() const {
        int64_t generation = 0;
        for (const auto& object : api_.objects("resourceslices"))
            generation = std::max(generation, object["spec"]["pool"]["generation"].get<int64_t>());
        std::set<std::string> names;
        size_t slices = 0;
        size_t wanted = 0;
        for (const auto& object : api_.objects("resourceslices")) {
            const auto& spec = object["spec"];
            if (spec["pool"]["generation"] != generation) continue;
            ++slices;
            wanted = spec["pool"]["resourceSliceCount"];
            for (const auto& device : spec.value("devices", json::array()))
                names.insert(device["name"].get<std::string>());
        }
        return slices == wanted ? names : std::set<std::string>();
    }
    bool shows(size_t count, const std::string& prefix = "d") const {
        const auto names = visible();
        return names.size() == count && (count == 0 || names.contains(prefix + "0"));
    }
    size_t count_of(const std::string& request) const {
        const auto all = api_.requests();
        return static_cast<size_t>(std::count(all.begin(), all.end(), request));
    }

    std::atomic<unsigned> hooked_{0};  // for a hook to count; before api_, whose threads it serves
    FakeApi api_;
};

TEST_F(PublisherTest, PublishesFollowsAndCleansUp) {
    // Left by another program of that name on this node, and one of another node.
    const json stale{
        {"metadata", {{"name", "old"}}},
        {"spec", {{"driver", kName}, {"nodeName", "n1"}, {"pool", {{"name", "old-pool"}}}}}};
    auto other = stale;
    other["metadata"]["name"] = "other";
    other["spec"]["nodeName"] = "n2";
    other["spec"]["pool"] = {{"name", "n2"}, {"generation", 0}, {"resourceSliceCount", 1}};
    api_.put("resourceslices", stale);
    api_.put("resourceslices", other);
    Publisher publisher(config());
    publisher.publish(devices_of(300));
    wait_until([&] { return publisher.stats().settled; });
    EXPECT_TRUE(shows(300));
    auto slices = api_.objects("resourceslices");
    EXPECT_EQ(slices.size(), 4u);  // three of ours
    EXPECT_EQ(slices[0]["metadata"]["ownerReferences"][0]["uid"], "one");
    publisher.publish(devices_of(2, "x"));
    wait_until([&] { return shows(2, "x"); });
    publisher.publish(devices_of(0));
    wait_until([&] { return api_.objects("resourceslices").size() == 2 && visible().empty(); });
    wait_until([&] { return publisher.stats().settled && publisher.stats().slices == 1; });
    EXPECT_EQ(publisher.stats().last_error, "");
    EXPECT_EQ(publisher.stats().errors, 0u);
    EXPECT_EQ(publisher.stats().foreign_changes, 0u);
    EXPECT_EQ(count_of("GET nodes"), 1u);
}

TEST_F(PublisherTest, MakesAgainWhatTheKubeletWipes) {
    Publisher publisher(config());
    publisher.publish(devices_of(200));
    wait_until([&] { return shows(200); });
    for (int i = 0; i < 3; ++i) {
        api_.erase_all("resourceslices");
        wait_until([&] { return shows(200); });
    }
    // The Node was made anew: the slices get that owner.
    api_.put("nodes", json{{"metadata", {{"name", "n1"}, {"uid", "two"}}}});
    api_.erase_all("resourceslices");
    wait_until([&] {
        const auto slices = api_.objects("resourceslices");
        return slices.size() == 2 && slices[0]["metadata"]["ownerReferences"][0]["uid"] == "two";
    });
    EXPECT_GE(publisher.stats().foreign_changes, 3u);
}

TEST_F(PublisherTest, PutsBackWhatOthersChange) {
    Publisher publisher(config());
    publisher.publish(devices_of(3));
    wait_until([&] { return shows(3); });
    for (int i = 0; i < 3; ++i) {
        auto object = api_.objects("resourceslices")[0];
        object["spec"]["devices"].erase(0);
        api_.put("resourceslices", object);
        wait_until([&] { return shows(3); });
    }
    auto extra = api_.objects("resourceslices")[0];
    extra["metadata"] = {{"name", "00000-accel.example.com-n1-zzz"}};
    api_.put("resourceslices", extra);
    wait_until([&] { return api_.objects("resourceslices").size() == 1; });
    wait_until([&] { return publisher.stats().settled; });
}

TEST_F(PublisherTest, ComesThroughEveryRefusalOfEveryCall) {
    api_.set_hook([this](const PeerRequest& request) -> std::optional<FakeApi::Refusal> {
        static constexpr int kAll[] = {401, 403, 409, 410, 422, 429, 500, 503, 404};
        const unsigned call = hooked_++;
        // Nine of ten are refused, each time for another reason; those that are not move on.
        if (call % 10 == 9 || call > 400) return std::nullopt;
        const int status = kAll[call % 9];
        // A deletion that answers 404 has been carried out.
        if (status == 404 && request.method == "DELETE") return std::nullopt;
        return FakeApi::Refusal{status, status == 429 ? "Retry-After: 0\r\n" : ""};
    });
    Publisher publisher(config());
    publisher.publish(devices_of(300));
    wait_until([&] { return shows(300); });
    publisher.publish(devices_of(130, "x"));
    wait_until([&] { return shows(130, "x") && publisher.stats().settled; });
    EXPECT_GT(publisher.stats().errors, 0u);
}

TEST_F(PublisherTest, SurvivesWatchesThatBreakAndExpire) {
    Publisher publisher(config());
    publisher.publish(devices_of(3));
    wait_until([&] { return shows(3); });
    for (int i = 0; i < 5; ++i) {
        if (i % 2 == 0) api_.compact();
        api_.drop_connections();
        api_.erase_all("resourceslices");
        wait_until([&] { return shows(3); });
    }
    EXPECT_GE(publisher.stats().lists, 2u);
    const auto prefix = fmt::format("y{}", 1);
    publisher.publish(devices_of(4, prefix));
    wait_until([&] { return shows(4, prefix); });
}

TEST_F(PublisherTest, ANodeThatIsNotThereIsToldAndWaitedFor) {
    api_.erase("nodes", "n1");
    Publisher publisher(config());
    publisher.publish(devices_of(1));
    wait_until([&] { return !publisher.stats().last_error.empty(); });
    EXPECT_THAT(publisher.stats().last_error, HasSubstr("node n1: there is none of that name"));
    EXPECT_FALSE(publisher.stats().settled);
    EXPECT_TRUE(api_.objects("resourceslices").empty());
    api_.put("nodes", json{{"metadata", {{"name", "n1"}}}});
    wait_until([&] { return shows(1); });
    wait_until([&] { return publisher.stats().last_error.empty(); });
}

TEST_F(PublisherTest, RetryAfterIsWaitedForAndNewWishesDoNotCutItShort) {
    api_.set_hook([this](const PeerRequest& request) -> std::optional<FakeApi::Refusal> {
        if (request.method != "POST") return std::nullopt;
        ++hooked_;
        return FakeApi::Refusal{429, "Retry-After: 3600\r\n"};
    });
    Publisher publisher(config());
    publisher.publish(devices_of(1));
    wait_until([&] { return publisher.stats().errors == 1; });
    for (size_t i = 2; i < 20; ++i) {
        publisher.publish(devices_of(i));
        std::this_thread::sleep_for(2ms);
    }
    EXPECT_EQ(hooked_, 1u);
    EXPECT_THAT(publisher.stats().last_error, HasSubstr("429"));
}

TEST_F(PublisherTest, ARefusalOfOneWishDoesNotHoldUpTheNext) {
    api_.set_hook([](const PeerRequest& request) -> std::optional<FakeApi::Refusal> {
        if (request.method != "POST" || request.body.find("\"bad0\"") == std::string::npos)
            return std::nullopt;
        return FakeApi::Refusal{422, "", "Invalid"};
    });
    auto slow = config();
    slow.backoff = {1h, 1h};
    Publisher publisher(slow);
    publisher.publish(devices_of(1, "bad"));
    wait_until([&] { return publisher.stats().errors == 1; });
    EXPECT_THAT(publisher.stats().last_error, HasSubstr("422 Invalid"));
    publisher.publish(devices_of(1, "good"));
    wait_until([&] { return shows(1, "good"); });
}

TEST_F(PublisherTest, WhatBreaksTheRulesIsToldAndNotPublished) {
    Publisher publisher(config());
    auto twice = devices_of(2);
    twice.devices[1].name = twice.devices[0].name;
    publisher.publish(twice);
    EXPECT_THAT(publisher.stats().last_error, HasSubstr("cannot be published"));
    auto foreign = devices_of(1);
    foreign.node = "n2";
    publisher.publish(foreign);
    EXPECT_THAT(publisher.stats().last_error, HasSubstr("not ours"));
    publisher.publish(devices_of(2));
    wait_until([&] { return shows(2); });
    EXPECT_EQ(publisher.stats().last_error, "");
    EXPECT_EQ(count_of("POST resourceslices"), 1u);
}

TEST_F(PublisherTest, ASettledPublisherAsksForNothing) {
    auto busy = config();
    busy.recheck = 1ms;
    Publisher publisher(busy);
    publisher.publish(devices_of(2));
    wait_until([&] { return publisher.stats().settled; });
    const auto writes = [&] {
        return count_of("POST resourceslices") + count_of("PUT resourceslices") +
               count_of("GET nodes");
    };
    const auto before = writes();
    std::this_thread::sleep_for(100ms);  // some rechecks; none in this time proves nothing else
    EXPECT_EQ(writes(), before);
}

TEST_F(PublisherTest, StopsWhileTheServerHangs) {
    auto dead = config();
    auto client = std::make_shared<kube::ClientConfig>(*dead.client);
    kube::testing::HttpPeer hanging(
        [](const PeerRequest&, kube::testing::PeerReply& reply) { reply.wait_closed(); });
    client->server = hanging.address();
    client->timeout = 1h;
    dead.client = client;
    Publisher publisher(dead);
    publisher.publish(devices_of(1));
    wait_until([&] { return hanging.connections() > 0; });
}

}  // namespace
}  // namespace mimic::dra
