// SPDX-License-Identifier: Apache-2.0
// Discovery on a tree that changes while it looks. Every wait is for a condition, with a limit that
// only a failure reaches.
#include "dra/discovery/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "dra/discovery/dry_run.h"
#include "dra/discovery/testing/fake_sysfs.h"

namespace mimic::dra {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr auto kNever = std::chrono::hours(1);

class Discovered : public testing::Test {
protected:
    void start(Discovery::Options options) {
        options.root = sysfs_.root();
        auto loop = EventLoop::create();
        ASSERT_TRUE(loop);
        loop_ = std::move(*loop);
        auto made = Discovery::create(*loop_, kGpu, options, store_);
        ASSERT_TRUE(made) << made.error().message();
        discovery_ = std::move(*made);
        loop_->run_once({});  // from now on this is the loop's thread
    }

    // Turns the loop until `condition`, for at most a minute.
    bool until(const std::function<bool()>& condition) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        while (!condition()) {
            if (std::chrono::steady_clock::now() > end) return false;
            loop_->run_once(std::chrono::milliseconds(20));
        }
        return true;
    }

    // Neither timer helps: only events do.
    static Discovery::Options events_only() {
        return {.rescan_period = kNever, .refresh_period = kNever};
    }

    FakeSysfs sysfs_;
    InventoryStore store_{kGpu};
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<Discovery> discovery_;
};

TEST_F(Discovered, TheFirstLookIsDoneAtOnce) {
    EXPECT_THAT(store_.snapshot()->devices, IsEmpty());
    sysfs_.add("gpu0", "0000:11:00.0");
    start(events_only());
    const auto inventory = store_.snapshot();
    EXPECT_EQ(inventory->facts, &kGpu);
    EXPECT_EQ(inventory->version, 1u);
    ASSERT_NE(inventory->find("gpu0"), nullptr);
    EXPECT_EQ(inventory->find("gpu0")->health, Health::kHealthy);
    EXPECT_EQ(inventory->find("gpu1"), nullptr);
}

TEST_F(Discovered, DevicesThatComeAndGoAreNoticedWithoutATimer) {
    sysfs_.add("gpu0", "0000:11:00.0");
    start(events_only());
    sysfs_.add("gpu1", "0000:21:00.0");
    EXPECT_TRUE(until([this] { return store_.snapshot()->devices.size() == 2; }));
    sysfs_.remove("gpu0");
    EXPECT_TRUE(until([this] {
        const auto* const device = store_.snapshot()->find("gpu0");
        return device != nullptr && device->gone;
    }));
}

TEST_F(Discovered, AClassThatComesLaterIsNoticed) {
    std::filesystem::create_directories(sysfs_.path("sys/class"));
    start(events_only());
    sysfs_.add("gpu0", "0000:11:00.0");
    EXPECT_TRUE(until([this] { return store_.snapshot()->devices.size() == 1; }));
    // The driver is unloaded and loaded.
    std::filesystem::remove_all(sysfs_.path("sys/class/gpu"));
    EXPECT_TRUE(until([this] { return store_.snapshot()->devices.at(0).gone; }));
    sysfs_.add("gpu1", "0000:21:00.0");
    EXPECT_TRUE(until([this] { return store_.snapshot()->find("gpu1") != nullptr; }));
}

TEST_F(Discovered, WithoutAClassFolderTheTimerFindsIt) {
    auto options = events_only();
    options.rescan_period = std::chrono::milliseconds(20);
    start(options);  // not even /sys
    sysfs_.add("gpu0", "0000:11:00.0");
    EXPECT_TRUE(until([this] { return store_.snapshot()->devices.size() == 1; }));
}

TEST_F(Discovered, AFaultIsSeenWithoutAnEventAndHeals) {
    sysfs_.add("gpu0", "0000:11:00.0");
    sysfs_.write(sysfs_.file("gpu0", "device/aer_dev_fatal"), "TOTAL_ERR_FATAL 1\n");
    start({.rescan_period = kNever,
           .refresh_period = std::chrono::milliseconds(10),
           .health = {.aer_hold = std::chrono::milliseconds(50)}});
    const auto taints = [this] { return store_.snapshot()->devices.at(0).view.taints; };
    EXPECT_THAT(taints(), IsEmpty());
    sysfs_.write(sysfs_.file("gpu0", "status"), "0x80000000\n");
    EXPECT_TRUE(until([&] { return taints().size() == 1; }));
    EXPECT_EQ(taints().at(0).key, "gpu.example.com/failed");
    sysfs_.write(sysfs_.file("gpu0", "status"), "0x00000001\n");
    EXPECT_TRUE(until([&] { return taints().empty(); }));
    sysfs_.write(sysfs_.file("gpu0", "device/aer_dev_fatal"), "TOTAL_ERR_FATAL 2\n");
    EXPECT_TRUE(until([&] { return !taints().empty(); }));
    EXPECT_TRUE(until([&] { return taints().empty(); }));
}

TEST_F(Discovered, ListenersHearOfChangesAlone) {
    sysfs_.add("gpu0", "0000:11:00.0");
    start(events_only());
    std::vector<uint64_t> versions;
    const uint64_t id = store_.add_listener(
        [&](const InventoryPtr& inventory) { versions.push_back(inventory->version); });
    EXPECT_EQ(versions, std::vector<uint64_t>({1}));
    discovery_->rescan();
    EXPECT_THAT(versions, SizeIs(1)) << "nothing changed";
    sysfs_.add("gpu1", "0000:21:00.0");
    discovery_->rescan();
    EXPECT_EQ(versions, std::vector<uint64_t>({1, 2}));
    store_.remove_listener(id);
    sysfs_.remove("gpu1");
    discovery_->rescan();
    EXPECT_THAT(versions, SizeIs(2));
    EXPECT_EQ(store_.snapshot()->version, 3u);
}

TEST_F(Discovered, AnotherThreadAsksForALook) {
    sysfs_.add("gpu0", "0000:11:00.0");
    start(events_only());
    std::thread loop_thread([this] { loop_->run(); });
    sysfs_.add("gpu0_vf0", "0000:11:00.1");
    EXPECT_NE(discovery_->rescan()->find("gpu0-vf0"), nullptr);
    loop_->stop();
    loop_thread.join();
}

TEST_F(Discovered, AFolderThatCannotBeReadEvictsNobody) {
    sysfs_.add("gpu0", "0000:11:00.0");
    start(events_only());
    std::filesystem::rename(sysfs_.path("sys/class/gpu"), sysfs_.path("sys/class/moved"));
    sysfs_.link("sys/class/gpu", "gpu");  // a circle
    discovery_->rescan();
    EXPECT_THAT(store_.snapshot()->devices, SizeIs(1));
    EXPECT_FALSE(store_.snapshot()->devices[0].gone);
}

// An event of the kernel alone brings a look: of /dev/null here, whose class plays the device's.
TEST(DiscoveryEvents, TheKernelsEventsAskForALook) {
    slices::DraFacts facts = kGpu;
    facts.sysfs_class = "mem";
    const FakeSysfs sysfs;
    InventoryStore store(facts);
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop);
    auto made = Discovery::create(
        **loop, facts, {.root = sysfs.root(), .rescan_period = kNever, .refresh_period = kNever},
        store);
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ((*made)->scans(), 1u);
    std::ofstream file("/sys/class/mem/null/uevent");
    file << "change" << std::flush;
    if (!file.good()) GTEST_SKIP() << "/sys is not ours to write: needs root";
    for (int turn = 0; turn < 600 && (*made)->scans() == 1; ++turn) {
        (*loop)->run_once(std::chrono::milliseconds(100));
    }
    EXPECT_GT((*made)->scans(), 1u);
}

TEST(DryRun, PrintsWhatWouldBePublished) {
    const FakeSysfs sysfs;
    sysfs.add("gpu0", "0000:11:00.0");
    sysfs.write(sysfs.file("gpu0", "status"), "0x80000000\n");
    const slices::DraFacts* const kinds[] = {&kGpu};
    std::vector<std::string> problems;
    const auto text = dry_run(kinds, {.root = sysfs.root(), .node = "n1"}, &problems);
    ASSERT_TRUE(text) << text.error().message();
    EXPECT_THAT(problems, IsEmpty());
    const auto list = nlohmann::json::parse(*text);
    ASSERT_EQ(list["items"].size(), 1u);
    const auto& device = list["items"][0]["spec"]["devices"][0];
    EXPECT_EQ(device["name"], "gpu0");
    EXPECT_EQ(device["taints"][0]["key"], "gpu.example.com/failed");
    EXPECT_FALSE(dry_run(kinds, {.root = sysfs.root(), .node = "N 1"}, &problems));
    EXPECT_FALSE(dry_run(kinds, {.root = sysfs.root() + "/none", .node = "n1"}, &problems));
}

}  // namespace
}  // namespace mimic::dra
