// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/fleet.h"

#include <gtest/gtest.h>

#include <map>

#include "dra/simulate/churn.h"

namespace mimic::dra {
namespace {

slices::Pool pool_of(size_t devices) {
    slices::Pool pool{.driver = "foo.example.com", .name = "template", .node = "template"};
    for (size_t index = 0; index < devices; ++index) {
        pool.devices.push_back({.name = "gpu" + std::to_string(index)});
    }
    return pool;
}

Fleet fleet_of(std::vector<slices::Pool> pools, size_t nodes) {
    auto fleet = Fleet::create(std::move(pools), nodes, "sim");
    EXPECT_TRUE(fleet.has_value());
    return std::move(*fleet);
}

TEST(Fleet, NamesNodesAndFindsThem) {
    const Fleet fleet = fleet_of({pool_of(2)}, 12);
    EXPECT_EQ(fleet.name(0), "sim-0");
    EXPECT_EQ(fleet.name(11), "sim-11");
    for (size_t node = 0; node < 12; ++node) EXPECT_EQ(fleet.find(fleet.name(node)), node);
    for (const char* other : {"sim-12", "sim-", "sim", "", "sim-01", "sim-1x", "sim--1", "sim-+1",
                              "sima-1", "im-1", "sim-99999999999999999999"}) {
        EXPECT_EQ(fleet.find(other), std::nullopt) << other;
    }
}

TEST(Fleet, RefusesNamesThatNoNodeHas) {
    for (const std::string& bad : {std::string(), std::string("Sim"), std::string("a_b"),
                                   std::string("-a"), std::string("a.b/c"), std::string(56, 'a')}) {
        EXPECT_FALSE(Fleet::create({pool_of(1)}, 1, bad).has_value()) << bad;
    }
    EXPECT_TRUE(Fleet::create({pool_of(1)}, 1, std::string(55, 'a')).has_value());
    EXPECT_FALSE(Fleet::create({pool_of(1)}, 0, "a").has_value());
    EXPECT_FALSE(Fleet::create({pool_of(1)}, 1'000'001, "a").has_value());
    EXPECT_FALSE(Fleet::create({}, 1, "a").has_value());
}

TEST(Fleet, RepeatsTheDescribedNodesInTurn) {
    const Fleet fleet = fleet_of({pool_of(1), pool_of(3)}, 5);
    EXPECT_EQ(fleet.devices(), 1u + 3 + 1 + 3 + 1);
    for (size_t node = 0; node < 5; ++node) {
        const slices::Pool pool = fleet.desired(node);
        EXPECT_EQ(pool.name, fleet.name(node));
        EXPECT_EQ(pool.node, fleet.name(node));
        EXPECT_EQ(pool.devices.size(), node % 2 == 0 ? 1u : 3u);
    }
}

TEST(Fleet, ChangesOneDeviceOfOneNode) {
    Fleet fleet = fleet_of({pool_of(4)}, 3);
    fleet.set(1, 0, DeviceState::kGone);
    fleet.set(1, 1, DeviceState::kFailed);
    fleet.set(1, 2, DeviceState::kGone);
    fleet.set(1, 3, DeviceState::kDegraded);
    const slices::Pool pool = fleet.desired(1);
    ASSERT_EQ(pool.devices.size(), 2u);
    using Effect = slices::Taint::Effect;
    EXPECT_EQ(pool.devices[0].name, "gpu1");
    EXPECT_EQ(pool.devices[0].taints,
              (std::vector<slices::Taint>{{"foo.example.com/failed", "", Effect::kNoExecute}}));
    EXPECT_EQ(pool.devices[1].name, "gpu3");
    EXPECT_EQ(pool.devices[1].taints,
              (std::vector<slices::Taint>{{"foo.example.com/degraded", "", Effect::kNoSchedule}}));
    EXPECT_EQ(fleet.desired(0).devices, pool_of(4).devices);
    EXPECT_EQ(fleet.desired(2).devices, pool_of(4).devices);
    EXPECT_EQ(fleet.ill(), 4u);
    for (size_t device = 0; device < 4; ++device) fleet.set(1, device, DeviceState::kHealthy);
    EXPECT_EQ(fleet.desired(1).devices, pool_of(4).devices);
    EXPECT_EQ(fleet.ill(), 0u);
}

bool operator==(const Churn::Step& a, const Churn::Step& b) {
    return a.node == b.node && a.device == b.device && a.state == b.state;
}

TEST(Churn, RepeatsWithItsSeed) {
    const Fleet fleet = fleet_of({pool_of(8), pool_of(2)}, 50);
    Churn a(fleet, 7);
    Churn b(fleet, 7);
    Churn c(fleet, 8);
    size_t same = 0;
    for (int step = 0; step < 1000; ++step) {
        const auto next = a.next();
        EXPECT_TRUE(next == b.next());
        same += next == c.next() ? 1 : 0;
    }
    EXPECT_LT(same, 100u);
}

TEST(Churn, ChangesEachDeviceThereAndBack) {
    const Fleet fleet = fleet_of({pool_of(8)}, 10);
    Churn churn(fleet, 1);
    std::map<std::pair<size_t, size_t>, DeviceState> ill;
    std::map<DeviceState, int> seen;
    for (int count = 0; count < 5000; ++count) {
        const auto step = churn.next();
        ASSERT_LT(step.node, 10u);
        ASSERT_LT(step.device, 8u);
        const std::pair<size_t, size_t> device{step.node, step.device};
        ++seen[step.state];
        if (step.state == DeviceState::kHealthy) {
            EXPECT_EQ(ill.erase(device), 1u);
        } else {
            EXPECT_TRUE(ill.emplace(device, step.state).second);
        }
        EXPECT_LE(ill.size(), 8u);  // a tenth
    }
    for (const auto state : {DeviceState::kHealthy, DeviceState::kDegraded, DeviceState::kFailed,
                             DeviceState::kGone}) {
        EXPECT_GT(seen[state], 100);
    }
}

TEST(Churn, HasNothingToDoWithoutDevices) {
    const Fleet fleet = fleet_of({pool_of(0)}, 3);
    Churn churn(fleet, 1);
    for (int count = 0; count < 10; ++count) {
        EXPECT_EQ(churn.next().state, DeviceState::kHealthy);
    }
}

}  // namespace
}  // namespace mimic::dra
