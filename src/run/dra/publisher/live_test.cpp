// SPDX-License-Identifier: Apache-2.0
// Client, watcher and publisher against a real API server, whose kubeconfig file is $KUBECONFIG
// (tests/cluster/run gives one). MIMIC_LIVE_CREATES=N: how many slices the loop that measures
// creates.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <set>
#include <thread>

#include "dra/publisher/publisher.h"
#include "dra/publisher/sync_plan.h"
#include "kube/answer.h"
#include "kube/watcher.h"

namespace mimic::dra {
namespace {

using namespace std::chrono_literals;
using kube::metadata_text;
using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kLiveDriver = "live.example.com";

slices::Pool live_pool(const std::string& node, size_t count, const std::string& prefix = "d") {
    slices::Pool pool;
    pool.driver = kLiveDriver;
    pool.name = pool.node = node;
    for (size_t i = 0; i < count; ++i) {
        slices::Device device;
        device.name = fmt::format("{}{}", prefix, i);
        device.attributes["live.example.com/uuid"] = fmt::format("uuid-{}", i);
        device.attributes["live.example.com/firmware"] = slices::Version{"1.2.0"};
        device.attributes["resource.kubernetes.io/pciBusID"] = fmt::format("0000:{:02x}:00.0", i);
        device.capacity["live.example.com/memory"] = {uint64_t{16} << 30};
        pool.devices.push_back(std::move(device));
    }
    return pool;
}

class Live : public ::testing::Test {
protected:
    void SetUp() override {
        if (std::getenv("KUBECONFIG") == nullptr)  // NOLINT(concurrency-mt-unsafe): no threads yet
            GTEST_SKIP() << "SKIP: KUBECONFIG names no cluster";
        auto config = kube::default_config("");
        ASSERT_TRUE(config) << config.error().message();
        config->timeout = 60s;
        config_ = std::make_shared<const kube::ClientConfig>(std::move(*config));
        client_.emplace(config_);
        node_ = fmt::format("live-{}", std::chrono::steady_clock::now().time_since_epoch().count());
        const auto made = client_->create(
            kube::kNodes, "",
            json{{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", node_}}}});
        ASSERT_TRUE(made) << made.error().message;
        owner_ = {node_, metadata_text(*made, "uid")};
    }
    void TearDown() override {
        if (!client_) return;
        wipe();
        EXPECT_TRUE(client_->remove(kube::kNodes, "", node_));
    }

    kube::ListOptions ours(unsigned page = 500) const {
        return {fmt::format("spec.driver={},spec.nodeName={}", kLiveDriver, node_), "", page};
    }
    std::vector<json> stored() {
        auto list = client_->list(kube::kSlices, "", ours());
        EXPECT_TRUE(list);
        return list ? (*list)["items"].get<std::vector<json>>() : std::vector<json>();
    }
    void wipe() {
        for (const auto& slice : stored())
            EXPECT_TRUE(client_->remove(kube::kSlices, "", metadata_text(slice, "name")));
    }
    json new_slice(size_t index, size_t devices) const {
        const auto desired = DesiredSlices::of(live_pool(node_, devices)).value();
        auto object = plan_sync({}, desired, owner_).at(0).object;
        object["metadata"]["generateName"] = fmt::format("{:05x}-live-", index);
        return object;
    }
    // Long enough for any machine; then the test goes on, and says what it sees.
    static void until(const std::function<bool()>& condition) {
        const auto end = std::chrono::steady_clock::now() + 60s;
        while (!condition()) {
            if (std::chrono::steady_clock::now() > end) {
                ADD_FAILURE() << "not so after a minute";
                return;
            }
            std::this_thread::sleep_for(10ms);
        }
    }
    PublisherConfig publisher_config() const {
        PublisherConfig config;
        config.client = config_;
        config.driver = kLiveDriver;
        config.node = node_;
        return config;
    }

    std::shared_ptr<const kube::ClientConfig> config_;
    std::optional<kube::Client> client_;
    std::string node_;
    NodeOwner owner_;
};

TEST_F(Live, EveryVerbIsUnderstood) {
    EXPECT_EQ(client_->get_text("/readyz").value(), "ok");
    std::string names[3];
    for (size_t i = 0; i < 3; ++i) {
        const auto made = client_->create(kube::kSlices, "", new_slice(i, 1));
        ASSERT_TRUE(made) << made.error().message;
        names[i] = metadata_text(*made, "name");
    }
    const auto pages = client_->list(kube::kSlices, "", ours(1));
    ASSERT_TRUE(pages) << pages.error().message;
    EXPECT_EQ((*pages)["items"].size(), 3u);
    auto object = client_->get(kube::kSlices, "", names[0]).value();
    const auto labelled = client_->merge_patch(kube::kSlices, "", names[0],
                                               json{{"metadata", {{"labels", {{"a", "b"}}}}}});
    ASSERT_TRUE(labelled) << labelled.error().message;
    const auto stale = client_->update(kube::kSlices, "", object);
    ASSERT_FALSE(stale);
    EXPECT_TRUE(stale.error().conflict()) << stale.error().message;
    EXPECT_EQ(stale.error().reason, "Conflict");
    EXPECT_TRUE(client_->update(kube::kSlices, "", *labelled));
    auto bad = new_slice(9, 1);
    bad["spec"]["devices"][0]["name"] = "not_a_label";
    const auto invalid = client_->create(kube::kSlices, "", bad);
    ASSERT_FALSE(invalid);
    EXPECT_EQ(invalid.error().status, 422);
    EXPECT_THAT(invalid.error().message, HasSubstr("not_a_label"));
    const auto other = client_->remove(kube::kSlices, "", names[1], "another-uid");
    ASSERT_FALSE(other);
    EXPECT_TRUE(other.error().conflict());
    EXPECT_TRUE(client_->remove(kube::kSlices, "", names[1]));
    EXPECT_TRUE(client_->remove(kube::kSlices, "", names[1]));  // gone already
    EXPECT_TRUE(client_->get(kube::kSlices, "", names[1]).error().not_found());
    // Who we are is believed, and who we are not is not.
    auto stranger = *config_;
    stranger.token = "wrong";
    stranger.token_file.clear();
    stranger.certificate_data.clear();
    stranger.certificate_file.clear();
    stranger.key_data.clear();
    stranger.key_file.clear();
    kube::Client outside(std::make_shared<const kube::ClientConfig>(stranger));
    EXPECT_EQ(outside.list(kube::kSlices, "", {}).error().status, 401);
    auto system_ca = *config_;
    system_ca.ca_file.clear();
    system_ca.ca_data.clear();
    kube::Client untrusting(std::make_shared<const kube::ClientConfig>(system_ca));
    EXPECT_THAT(untrusting.get_text("/readyz").error().message, HasSubstr("certificate"));
}

TEST_F(Live, AWatcherHearsEverything) {
    std::atomic<int> listed{0}, added{0}, deleted{0}, failed{0};
    std::stop_source stop;
    kube::Watcher watcher(
        config_, {kube::kSlices, "", ours()},
        {[&](const std::string&, const std::vector<json>&) { ++listed; },
         [&](const kube::WatchEvent& event) { ++(event.type == "DELETED" ? deleted : added); },
         [&](const kube::ApiError&) { ++failed; }});
    std::jthread thread([&] { watcher.run(stop.get_token()); });
    until([&] { return listed > 0; });
    for (size_t i = 0; i < 20; ++i)
        ASSERT_TRUE(client_->create(kube::kSlices, "", new_slice(i, 1)));
    until([&] { return added == 20; });
    wipe();
    until([&] { return deleted == 20; });
    stop.request_stop();
    thread.join();
    EXPECT_EQ(added, 20);
    EXPECT_EQ(deleted, 20);
    EXPECT_EQ(listed, 1);
    EXPECT_EQ(failed, 0);
}

TEST_F(Live, ThePublisherKeepsTheSlicesTrue) {
    Publisher publisher(publisher_config());
    auto pool = live_pool(node_, 200);
    publisher.publish(pool);
    until([&] { return publisher.stats().settled; });
    ASSERT_EQ(stored().size(), 2u);
    EXPECT_EQ(stored()[0]["metadata"]["ownerReferences"][0]["uid"], owner_.uid);
    // A taint: one slice of 128 becomes two, so a new generation; its time is the server's.
    pool.devices[5].taints = {{"live.example.com/failed", "", slices::Taint::Effect::kNoExecute}};
    publisher.publish(pool);
    until([&] { return publisher.stats().settled; });
    auto slices = stored();
    ASSERT_EQ(slices.size(), 3u);
    for (const auto& slice : slices) {
        EXPECT_EQ(slice["spec"]["pool"]["generation"], 2);
        EXPECT_EQ(slice["spec"]["pool"]["resourceSliceCount"], 3);
    }
    const auto time = slices[0]["spec"]["devices"][5]["taints"][0]["timeAdded"];
    EXPECT_TRUE(time.is_string());
    // A second one in the same slice: one update, the generation stays, and so does the time.
    pool.devices[6].taints = pool.devices[5].taints;
    publisher.publish(pool);
    until([&] { return publisher.stats().settled; });
    slices = stored();
    EXPECT_EQ(slices[0]["spec"]["pool"]["generation"], 2);
    EXPECT_EQ(slices[0]["spec"]["devices"][5]["taints"][0]["timeAdded"], time);
    EXPECT_EQ(publisher.stats().foreign_changes, 0u);
    // As the kubelet does.
    wipe();
    until([&] { return publisher.stats().foreign_changes > 0 && publisher.stats().settled; });
    EXPECT_EQ(stored().size(), 3u);
    publisher.publish(live_pool(node_, 0));
    until([&] { return publisher.stats().settled; });
    slices = stored();
    ASSERT_EQ(slices.size(), 1u);
    EXPECT_FALSE(slices[0]["spec"].contains("devices"));
    EXPECT_EQ(publisher.stats().errors, 0u) << publisher.stats().last_error;
}

TEST_F(Live, SharedCountersAndAllKindsOfValuesAreStoredAsWritten) {
    auto pool = live_pool(node_, 3);
    pool.counter_sets = {{"d0", {{"vfs", 2}, {"memory", uint64_t{8} << 30}}}};
    pool.devices[0].consumes = {{"d0", {{"vfs", 2}}}};
    pool.devices[1].consumes = {{"d0", {{"vfs", 1}}}};
    pool.devices[1].attributes["live.example.com/good"] = true;
    pool.devices[1].attributes["live.example.com/number"] = int64_t{-5};
    pool.devices[2].allow_multiple_allocations = true;
    pool.devices[2].capacity["live.example.com/share"] = {
        100, slices::Capacity::RequestPolicy{10, 10, 100, 10}};
    Publisher publisher(publisher_config());
    publisher.publish(pool);
    until([&] { return publisher.stats().settled || publisher.stats().errors > 0; });
    EXPECT_EQ(publisher.stats().last_error, "");
    EXPECT_EQ(publisher.stats().writes, 2u);
    const auto slices = stored();
    ASSERT_EQ(slices.size(), 2u);
    EXPECT_EQ(slices[0]["spec"]["sharedCounters"][0]["counters"]["memory"]["value"], "8Gi");
    EXPECT_EQ(slices[1]["spec"]["devices"].size(), 3u);
    // Nothing that a server of 1.36 drops or writes in another way.
    const auto desired = DesiredSlices::of(pool).value();
    for (size_t i = 0; i < 2; ++i)
        EXPECT_EQ(dropped_fields(desired.specs[i], slices[i]["spec"]), "") << slices[i]["spec"];
}

TEST_F(Live, ALoopOfCreationsTellsItsRate) {
    const char* const asked = std::getenv("MIMIC_LIVE_CREATES");  // NOLINT(concurrency-mt-unsafe)
    const size_t count = asked == nullptr ? 50 : std::stoul(asked);
    for (const size_t devices : {size_t{1}, size_t{8}, size_t{128}}) {
        const auto begin = std::chrono::steady_clock::now();
        for (size_t i = 0; i < count; ++i) {
            const auto made = client_->create(kube::kSlices, "", new_slice(i, devices));
            ASSERT_TRUE(made) << made.error().message;
        }
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
        std::printf("created %zu slices of %zu devices in %.3f s: %.0f a second\n", count, devices,
                    time.count(), static_cast<double>(count) / time.count());
        wipe();
    }
}

}  // namespace
}  // namespace mimic::dra
