// SPDX-License-Identifier: Apache-2.0
// The simulation against an API server that the test plays, well or badly.
#include "dra/simulate/simulation.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "kube/testing/http_peer.h"

namespace mimic::dra {
namespace {

using kube::testing::HttpPeer;
using kube::testing::PeerReply;
using kube::testing::PeerRequest;
using nlohmann::json;

constexpr std::chrono::milliseconds kLong = std::chrono::minutes(2);  // for a busy machine

slices::Pool two_devices() {
    slices::Pool pool{.driver = "foo.example.com", .name = "t", .node = "t"};
    pool.devices = {{.name = "gpu0"}, {.name = "gpu1"}};
    return pool;
}

// Holds slices by name as an API server does, and tells watchers. A test may put an answer in
// front.
class FakeServer {
public:
    /// Asked first; true if it has answered.
    using Spoil = std::function<bool(const PeerRequest&, PeerReply&)>;

    /// Connections may still ask `spoil` while the server is destroyed: what it refers to is made
    /// before the server.
    explicit FakeServer(Spoil spoil = nullptr)
        : spoil_(std::move(spoil)),
          peer_([this](const PeerRequest& ask, PeerReply& reply) { serve(ask, reply); }) {}

    std::shared_ptr<const kube::ClientConfig> config() const {
        kube::ClientConfig config;
        config.server = peer_.address();
        config.timeout = std::chrono::seconds(60);
        return std::make_shared<const kube::ClientConfig>(config);
    }

    std::map<std::string, json> slices() const {
        const std::lock_guard lock(mutex_);
        return slices_;
    }

    /// As if somebody else had done it.
    void erase(const std::string& name) {
        const std::lock_guard lock(mutex_);
        tell("DELETED", slices_.at(name));
        slices_.erase(name);
    }
    void change(const std::string& name, const json::json_pointer& where, const json& value) {
        const std::lock_guard lock(mutex_);
        slices_.at(name)[where] = value;
        store(slices_.at(name), "MODIFIED");
    }

    /// Waits until `condition` is true of the slices.
    bool wait(const std::function<bool(const std::map<std::string, json>&)>& condition) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, kLong, [&] { return condition(slices_); });
    }

private:
    void serve(const PeerRequest& ask, PeerReply& reply) {
        if (spoil_ && spoil_(ask, reply)) return;
        if (ask.path.starts_with("/api/v1/nodes")) return reply.answer(200, R"({"items":[]})");
        if (ask.path.find("watch=true") != std::string::npos) return watch(reply);
        const std::lock_guard lock(mutex_);
        const std::string name = ask.path.substr(
            std::min(ask.path.size(), std::string(kPath).size() + 1));
        if (ask.method == "POST") {
            json object = json::parse(ask.body);
            object["metadata"]["name"] = object["metadata"]["generateName"].get<std::string>() +
                                         std::to_string(version_);
            object["metadata"]["uid"] = "u" + std::to_string(version_);
            return reply.answer(201, store(object, "ADDED").dump());
        }
        if (ask.method == "GET" && ask.path[std::string(kPath).size()] == '?')
            return list(ask, reply);
        const auto found = slices_.find(name);
        if (found == slices_.end()) return reply.answer(404, R"({"reason":"NotFound"})");
        if (ask.method == "DELETE") {
            tell("DELETED", found->second);
            slices_.erase(found);
            return reply.answer(200, "{}");
        }
        if (ask.method == "PUT") {
            const json object = json::parse(ask.body);
            if (object["metadata"]["resourceVersion"] !=
                found->second["metadata"]["resourceVersion"]) {
                return reply.answer(409, R"({"reason":"Conflict"})");
            }
            return reply.answer(200, store(object, "MODIFIED").dump());
        }
        reply.answer(200, found->second.dump());
    }

    void list(const PeerRequest& ask, PeerReply& reply) {
        json items = json::array();
        const auto node = ask.path.find("spec.nodeName%3D");
        for (const auto& [name, object] : slices_) {
            const std::string its = object["spec"]["nodeName"];
            // The selector ends the value with '&' or the end.
            if (node == std::string::npos ||
                (ask.path + "&").find(its + "&", node) != std::string::npos) {
                items.push_back(object);
            }
        }
        reply.answer(200, json{{"metadata", {{"resourceVersion", std::to_string(version_)}}},
                               {"items", items}}
                              .dump());
    }

    // Every event from the watch's beginning on; a lost one would be found by the next list only.
    void watch(PeerReply& reply) {
        reply.write(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
        reply.close();
        size_t told = 0;
        while (!reply.closed() && !peer_.ending()) {
            std::unique_lock lock(mutex_);
            changed_.wait_for(lock, std::chrono::milliseconds(20),
                              [&] { return told < events_.size(); });
            std::string text;
            for (; told < events_.size(); ++told) text += events_[told];
            lock.unlock();
            if (!text.empty() && !reply.write(text)) return;
        }
    }

    const json& store(json object, const char* type) {
        object["metadata"]["resourceVersion"] = std::to_string(++version_);
        json& stored = slices_[object["metadata"]["name"]];
        stored = std::move(object);
        tell(type, stored);
        return stored;
    }
    void tell(const char* type, json object) {
        object["metadata"]["resourceVersion"] = std::to_string(++version_);
        if (std::string_view(type) != "DELETED") object = slices_[object["metadata"]["name"]];
        events_.push_back(json{{"type", type}, {"object", object}}.dump() + "\n");
        changed_.notify_all();
    }

    static constexpr const char* kPath = "/apis/resource.k8s.io/v1/resourceslices";

    const Spoil spoil_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, json> slices_;
    std::vector<std::string> events_;
    uint64_t version_ = 100;
    HttpPeer peer_;  // last: its threads end first
};

std::unique_ptr<Simulation> simulate(const FakeServer& server, size_t nodes,
                                     SimulationSettings settings = {.workers = 3}) {
    auto fleet = Fleet::create({two_devices()}, nodes, "sim");
    EXPECT_TRUE(fleet.has_value());
    settings.first_pause = std::chrono::milliseconds(1);
    auto simulation = std::make_unique<Simulation>(std::move(*fleet), server.config(), settings);
    simulation->start();
    return simulation;
}

// The value of a counter or gauge in the metrics' text.
double metric(const Simulation& simulation, const std::string& name) {
    const std::string text = "\n" + simulation.metrics();
    const auto at = text.find("\nmimic_dra_simulate_" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(text.find(' ', at) + 1));
}

TEST(Simulation, PublishesEveryNodeOnceAndDeletesAllAtItsEnd) {
    FakeServer server;
    auto simulation = simulate(server, 20);
    ASSERT_TRUE(simulation->wait_published(kLong));
    const auto slices = server.slices();
    ASSERT_EQ(slices.size(), 20u);
    std::set<std::string> nodes;
    for (const auto& [name, slice] : slices) {
        const json& spec = slice["spec"];
        nodes.insert(spec["nodeName"].get<std::string>());
        EXPECT_EQ(spec["pool"]["name"], spec["nodeName"]);
        EXPECT_EQ(spec["devices"].size(), 2u);
    }
    EXPECT_EQ(nodes.size(), 20u);
    EXPECT_EQ(metric(*simulation, "slices"), 20);
    EXPECT_EQ(metric(*simulation, "slices_written_total"), 20);
    simulation->stop();
    EXPECT_EQ(server.slices().size(), 20u);
    EXPECT_TRUE(simulation->remove_all(kLong));
    EXPECT_TRUE(server.slices().empty());
}

TEST(Simulation, TakesOverWhatItLeftTheLastTime) {
    FakeServer server;
    auto first = simulate(server, 5);
    ASSERT_TRUE(first->wait_published(kLong));
    first.reset();
    const auto before = server.slices();
    auto second = simulate(server, 5);
    ASSERT_TRUE(second->wait_published(kLong));
    EXPECT_EQ(metric(*second, "slices_written_total"), 0);
    EXPECT_EQ(server.slices(), before);
}

TEST(Simulation, RestoresWhatOthersDeleteAndChange) {
    FakeServer server;
    auto simulation = simulate(server, 3);
    ASSERT_TRUE(simulation->wait_published(kLong));
    const auto first = server.slices().begin()->first;
    server.erase(first);
    EXPECT_TRUE(server.wait(
        [&first](const auto& now) { return now.size() == 3 && now.find(first) == now.end(); }));
    const auto other = server.slices().rbegin()->first;
    server.change(other, json::json_pointer("/spec/devices"), json::array());
    EXPECT_TRUE(server.wait([&other](const auto& now) {
        return now.at(other)["spec"].value("devices", json::array()).size() == 2;
    }));
}

TEST(Simulation, ChurnIsPublishedAndEndsTrue) {
    FakeServer server;
    auto simulation = simulate(server, 10,
                               {.workers = 3, .churn = 1000, .churn_steps = 101, .seed = 5});
    ASSERT_TRUE(simulation->wait_published(kLong));
    const auto is_quiet = [&] {
        return metric(*simulation, "churn_changes_total") == 101 &&
               metric(*simulation, "queue_length") == 0;
    };
    for (int tries = 0; tries < 6000 && !is_quiet(); ++tries) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ASSERT_TRUE(is_quiet());
    size_t ill = 0;
    for (const auto& [name, slice] : server.slices()) {
        const auto devices = slice["spec"].value("devices", json::array());
        ill += 2 - devices.size();
        for (const json& device : devices) ill += device.contains("taints") ? 1 : 0;
    }
    EXPECT_EQ(static_cast<double>(ill), metric(*simulation, "ill_devices"));
    EXPECT_GT(ill, 0u);
    EXPECT_EQ(server.slices().size(), 10u);
}

// Each bad answer comes to the first requests of its kind; afterwards the server is well.
TEST(Simulation, GetsThroughBadAnswers) {
    struct Bad {
        const char* name;
        int status;
        const char* body;
        const char* headers;
    };
    for (const Bad& bad : {
             Bad{"overload", 429, "{}", "Retry-After: 1\r\n"},
             Bad{"server error", 500, "", ""},
             Bad{"conflict", 409, R"({"reason":"Conflict"})", ""},
             Bad{"gone", 410, R"({"reason":"Expired"})", ""},
             Bad{"no JSON", 200, "<html>", ""},
             Bad{"no object", 200, "[1,2]", ""},
             Bad{"no members", 200, "{}", ""},
             Bad{"types", 200, R"({"items":{"a":1},"metadata":[],"spec":3})", ""},
         }) {
        std::mutex mutex;
        std::map<std::string, int> spoiled;  // by kind of request
        FakeServer server([&](const PeerRequest& ask, PeerReply& reply) {
            const std::lock_guard lock(mutex);
            if (++spoiled[ask.method + ask.path.substr(0, ask.path.find('?'))] > 2) return false;
            reply.answer(bad.status, bad.body, bad.headers);
            return true;
        });
        auto simulation = simulate(server, 4);
        EXPECT_TRUE(simulation->wait_published(kLong)) << bad.name;
        // After an answer that was none the slice may be there, and must not be there twice.
        EXPECT_TRUE(server.wait([](const auto& now) { return now.size() == 4; })) << bad.name;
        const std::lock_guard lock(mutex);
        EXPECT_GT(spoiled.size(), 2u) << bad.name;
    }
}

// The server tells of things that are none of ours, or nothing at all.
TEST(Simulation, IgnoresStrangeEvents) {
    std::atomic<int> watches = 0;
    FakeServer server([&watches](const PeerRequest& ask, PeerReply& reply) {
        if (ask.path.find("watch=true") == std::string::npos || watches++ > 0) return false;
        std::string events;
        for (const char* object :
             {R"({})", R"({"metadata":7,"spec":[]})",
              R"({"metadata":{"name":"x"},"spec":{"nodeName":"other-1"}})",
              R"({"metadata":{"name":"x"},"spec":{"nodeName":"sim-99999999999999999999"}})",
              R"({"metadata":{"name":"x","resourceVersion":"zz"},"spec":{"nodeName":"sim-1"}})"}) {
            events += std::string(R"({"type":"ADDED","object":)") + object + "}\n";
        }
        reply.answer(200, events);
        return true;
    });
    auto simulation = simulate(server, 2);
    ASSERT_TRUE(simulation->wait_published(kLong));
    for (int tries = 0; tries < 6000 && watches < 2; ++tries) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_GE(watches, 2);
    EXPECT_EQ(server.slices().size(), 2u);
    EXPECT_GE(metric(*simulation, "strange_objects_total"), 2);
}

TEST(Simulation, StopsWhileTheServerIsSilent) {
    FakeServer server([](const PeerRequest&, PeerReply& reply) {
        reply.wait_closed();
        return true;
    });
    auto simulation = simulate(server, 4);
    EXPECT_FALSE(simulation->wait_published(std::chrono::milliseconds(100)));
    simulation->stop();
    EXPECT_FALSE(simulation->remove_all(std::chrono::milliseconds(100)) &&
                 simulation->slices() != 0);
}

}  // namespace
}  // namespace mimic::dra
