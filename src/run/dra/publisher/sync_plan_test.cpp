// SPDX-License-Identifier: Apache-2.0
#include "dra/publisher/sync_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kube/answer.h"

namespace mimic::dra {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = SyncAction::Kind;

constexpr const char* kDriver = "accel.example.com";

const NodeOwner kOwner{"n1", "node-uid"};

// A pool that needs `slices` of them, whose first device is called `first`.
slices::Pool pool_of(size_t slices, const std::string& first = "d0") {
    slices::Pool pool;
    pool.driver = kDriver;
    pool.name = pool.node = "n1";
    for (size_t i = 0; i < 128 * slices; ++i) {
        slices::Device device;
        device.name = i == 0 ? first : fmt::format("d{}", i);
        pool.devices.push_back(std::move(device));
    }
    return pool;
}

DesiredSlices desired_of(const slices::Pool& pool) {
    return DesiredSlices::of(pool).value();
}

// What a server has stored once `desired` was written with `generation`.
std::vector<json> stored(const DesiredSlices& desired, uint64_t generation) {
    std::vector<json> objects;
    for (size_t i = 0; i < desired.specs.size(); ++i) {
        json object{{"metadata",
                     {{"name", fmt::format("{}x{}", desired.generate_names[i], generation)},
                      {"uid", fmt::format("u{}", i)},
                      {"resourceVersion", "7"},
                      {"ownerReferences", {{{"uid", kOwner.uid}}}}}},
                    {"spec", desired.specs[i]}};
        object["spec"]["pool"]["generation"] = generation;
        objects.push_back(std::move(object));
    }
    return objects;
}

std::vector<std::string> summary(const std::vector<SyncAction>& actions) {
    std::vector<std::string> lines;
    for (const auto& action : actions) {
        if (action.kind == Kind::kDelete) {
            lines.push_back(
                fmt::format("delete {} {} {}", action.name, action.uid, action.resource_version));
            continue;
        }
        const auto& pool = action.object["spec"]["pool"];
        lines.push_back(fmt::format(
            "{} {} g{} of {}", action.kind == Kind::kUpdate ? "update" : "create", action.index,
            pool["generation"].get<int>(), pool["resourceSliceCount"].get<int>()));
    }
    return lines;
}

std::vector<std::string> planned(std::span<const json> existing, const DesiredSlices& desired) {
    return summary(plan_sync(existing, desired, kOwner));
}

TEST(SyncPlan, FirstAllIsCreatedWithItsOwner) {
    const auto desired = desired_of(pool_of(2));
    const auto actions = plan_sync({}, desired, kOwner);
    EXPECT_THAT(summary(actions), ElementsAre("create 0 g1 of 2", "create 1 g1 of 2"));
    const auto& object = actions.front().object;
    EXPECT_EQ(object["metadata"].dump(),
              R"({"generateName":"00000-accel.example.com-n1-","labels":{"driver":)"
              R"("accel.example.com"},"ownerReferences":[{"apiVersion":)"
              R"("v1","controller":true,"kind":"Node","name":"n1","uid":"node-uid"}]})");
    EXPECT_EQ(object["kind"], "ResourceSlice");
    EXPECT_EQ(object["apiVersion"], "resource.k8s.io/v1");
    EXPECT_THAT(planned(stored(desired, 1), desired), IsEmpty());
}

TEST(SyncPlan, AnEmptyPoolIsOneEmptySlice) {
    auto pool = pool_of(0);
    const auto desired = desired_of(pool);
    EXPECT_THAT(planned({}, desired), ElementsAre("create 0 g1 of 1"));
    // And takes the place of what was there.
    EXPECT_THAT(planned(stored(desired_of(pool_of(1)), 3), desired),
                ElementsAre("update 0 g3 of 1"));
}

TEST(SyncPlan, OneChangeKeepsTheGenerationAndMoreDoNot) {
    const auto now = stored(desired_of(pool_of(2)), 4);
    EXPECT_THAT(planned(now, desired_of(pool_of(2, "other"))), ElementsAre("update 0 g4 of 2"));
    auto both = pool_of(2, "other");
    both.devices.back().name = "another";
    EXPECT_THAT(planned(now, desired_of(both)),
                ElementsAre("update 0 g5 of 2", "update 1 g5 of 2"));
}

TEST(SyncPlan, ANewSliceMeansANewGenerationOfAll) {
    EXPECT_THAT(planned(stored(desired_of(pool_of(1)), 4), desired_of(pool_of(2))),
                ElementsAre("update 0 g5 of 2", "create 1 g5 of 2"));
    // One that somebody deleted is new, too.
    auto now = stored(desired_of(pool_of(2)), 4);
    now.pop_back();
    EXPECT_THAT(planned(now, desired_of(pool_of(2))),
                ElementsAre("update 0 g5 of 2", "create 1 g5 of 2"));
}

TEST(SyncPlan, WhatIsOfNoUseIsDeletedFirst) {
    const auto desired = desired_of(pool_of(1));
    EXPECT_THAT(planned(stored(desired_of(pool_of(2)), 4), desired),
                ElementsAre("delete 00001-accel.example.com-n1-x4 u1 7", "update 0 g4 of 1"));
    // Of an older generation.
    auto now = stored(desired, 4);
    auto older = stored(desired, 3);
    now.insert(now.end(), older.begin(), older.end());
    EXPECT_THAT(planned(now, desired), ElementsAre("delete 00000-accel.example.com-n1-x3 u0 7"));
    // Of another pool, or with a name that says no index of ours.
    now = stored(desired, 4);
    now[0]["spec"]["pool"]["name"] = "removed";
    EXPECT_THAT(planned(now, desired),
                ElementsAre("delete 00000-accel.example.com-n1-x4 u0 7", "create 0 g1 of 1"));
    for (const std::string name : {"n1-accel.example.com-abc", "00007-accel.example.com-n1-a",
                                   "00000-else-n1-a", "zzz", "ffffffffffffffffffff-a"}) {
        now = stored(desired, 4);
        now[0]["metadata"]["name"] = name;
        EXPECT_THAT(planned(now, desired),
                    ElementsAre("delete " + name + " u0 7", "create 0 g5 of 1"));
    }
}

TEST(SyncPlan, OfTwoWithOneIndexTheRightOneStays) {
    const auto desired = desired_of(pool_of(1));
    auto now = stored(desired_of(pool_of(1, "other")), 4);
    const auto right = stored(desired, 4);
    now.push_back(right[0]);
    now[0]["metadata"]["name"] = "00000-accel.example.com-n1-a";
    now[0]["metadata"]["uid"] = "wrong";
    EXPECT_THAT(planned(now, desired), ElementsAre("delete 00000-accel.example.com-n1-a wrong 7"));
    std::swap(now[0], now[1]);
    EXPECT_THAT(planned(now, desired), ElementsAre("delete 00000-accel.example.com-n1-a wrong 7"));
}

TEST(SyncPlan, WhatIsNotOursIsNotTouched) {
    const auto desired = desired_of(pool_of(1));
    auto now = stored(desired, 1);
    for (const auto& [key, value] : {std::pair{"driver", "else"}, std::pair{"nodeName", "n2"}}) {
        auto other = stored(desired, 9);
        other[0]["spec"][key] = value;
        now.push_back(other[0]);
    }
    EXPECT_THAT(planned(now, desired), IsEmpty());
}

TEST(SyncPlan, AnotherOwnerOrCountIsAChange) {
    const auto desired = desired_of(pool_of(1));
    auto now = stored(desired, 1);
    now[0]["metadata"]["ownerReferences"][0]["uid"] = "of the node before";
    const auto actions = plan_sync(now, desired, kOwner);
    EXPECT_THAT(summary(actions), ElementsAre("update 0 g1 of 1"));
    EXPECT_EQ(actions[0].object["metadata"]["ownerReferences"][0]["uid"], "node-uid");
    EXPECT_EQ(actions[0].object["metadata"]["resourceVersion"], "7");
    EXPECT_THAT(plan_sync(now, desired, NodeOwner{}), IsEmpty());
    now = stored(desired, 1);
    now[0]["spec"]["pool"]["resourceSliceCount"] = 2;
    EXPECT_THAT(planned(now, desired), ElementsAre("update 0 g1 of 1"));
}

TEST(SyncPlan, ATaintThatStaysKeepsItsTime) {
    auto pool = pool_of(1);
    pool.devices.resize(2);
    const slices::Taint failed{"accel.example.com/failed", "", slices::Taint::Effect::kNoExecute};
    pool.devices[1].taints = {failed};
    auto now = stored(desired_of(pool), 1);
    now[0]["spec"]["devices"][1]["taints"][0]["timeAdded"] = "2026-01-01T00:00:00Z";
    EXPECT_THAT(planned(now, desired_of(pool)), IsEmpty());  // its time is the server's
    pool.devices[0].taints = {failed};
    const auto actions = plan_sync(now, desired_of(pool), kOwner);
    ASSERT_THAT(summary(actions), ElementsAre("update 0 g1 of 1"));
    const auto& devices = actions[0].object["spec"]["devices"];
    EXPECT_FALSE(devices[0]["taints"][0].contains("timeAdded"));
    EXPECT_EQ(devices[1]["taints"][0]["timeAdded"], "2026-01-01T00:00:00Z");
    // Another value is another taint.
    pool.devices[1].taints[0].value = "worse";
    const auto other = plan_sync(now, desired_of(pool), kOwner);
    EXPECT_FALSE(other[0].object["spec"]["devices"][1]["taints"][0].contains("timeAdded"));
}

TEST(SyncPlan, WhatTheServerDroppedIsTakenAsItIs) {
    auto pool = pool_of(1);
    pool.devices[0].taints = {{"a/b", "", slices::Taint::Effect::kNoSchedule}};
    const auto desired = desired_of(pool);
    auto now = stored(desired, 1);
    for (auto& object : now) object["spec"]["devices"][0].erase("taints");
    AdoptedSpecs adopted;
    for (size_t i = 0; i < now.size(); ++i) adopted[i] = {desired.specs[i], now[i]["spec"]};
    EXPECT_THAT(planned(now, desired), ElementsAre("update 0 g1 of 2"));
    EXPECT_THAT(plan_sync(now, desired, kOwner, adopted), IsEmpty());
    // Only for that wish, and only while the server has that form.
    pool.devices[0].taints[0].key = "a/c";
    EXPECT_THAT(summary(plan_sync(now, desired_of(pool), kOwner, adopted)),
                ElementsAre("update 0 g1 of 2"));
    now[0]["spec"]["devices"][0]["name"] = "foreign";
    EXPECT_THAT(summary(plan_sync(now, desired, kOwner, adopted)), ElementsAre("update 0 g1 of 2"));
    EXPECT_EQ(dropped_fields(desired.specs[0], now[0]["spec"]), "feature gate DRADeviceTaints");
    EXPECT_EQ(dropped_fields(desired.specs[0], desired.specs[0]), "");
    now[0]["spec"]["devices"][0]["taints"] = json::array();
    EXPECT_THAT(dropped_fields(desired.specs[0], now[0]["spec"]), HasSubstr("webhook"));
    EXPECT_EQ(dropped_fields(json{{"devices", {{{"consumesCounters", 1}}}}, {"sharedCounters", 2}},
                             json{{"devices", {json::object()}}}),
              "feature gate DRAPartitionableDevices");
}

TEST(SyncPlan, ObjectsThatLieAreReplacedOrLeftAlone) {
    const auto desired = desired_of(pool_of(1));
    const auto good = stored(desired, 2);
    const auto with = [&good](const char* pointer, const json& value) {
        std::vector<json> objects{good[0]};
        objects[0][json::json_pointer(pointer)] = value;
        return objects;
    };
    for (const auto& generation :
         {json(-1), json("2"), json(2.5), json(), json(UINT64_MAX), json(INT64_MAX)})
        EXPECT_THAT(planned(with("/spec/pool/generation", generation), desired),
                    ElementsAre(HasSubstr("delete"), "create 0 g1 of 1"))
            << generation;
    EXPECT_THAT(planned(with("/spec/devices", "none"), desired), ElementsAre("update 0 g2 of 1"));
    EXPECT_THAT(planned(with("/spec/devices", json{1, {{"taints", 1}}}), desired),
                ElementsAre("update 0 g2 of 1"));
    EXPECT_THAT(planned(with("/metadata/ownerReferences", 1), desired),
                ElementsAre("update 0 g2 of 1"));
    for (const auto& nothing :
         {with("/metadata", 1), with("/metadata/uid", 1), with("/spec", 1), with("/spec/driver", 1),
          std::vector<json>{1}, std::vector<json>{nullptr}})
        EXPECT_THAT(planned(nothing, desired), ElementsAre("create 0 g1 of 1"));
    EXPECT_THAT(planned(with("/spec/pool", 1), desired),
                ElementsAre(HasSubstr("delete"), "create 0 g1 of 1"));
    // One that is being deleted is neither written nor deleted again.
    EXPECT_THAT(planned(with("/metadata/deletionTimestamp", "2026-01-01T00:00:00Z"), desired),
                ElementsAre("create 0 g3 of 1"));
}

TEST(SyncPlan, APlanThatBrokeOffIsFinishedByTheNext) {
    // Slice 0 had been written with the new generation when the server went away.
    const auto before = stored(desired_of(pool_of(3)), 4);
    auto wish = pool_of(3, "other");
    wish.devices.back().name = "another";
    const auto desired = desired_of(wish);
    auto now = before;
    now[0] = stored(desired, 5)[0];
    EXPECT_THAT(planned(now, desired),
                ElementsAre(HasSubstr("delete 00001"), HasSubstr("delete 00002"),
                            "update 0 g6 of 3", "create 1 g6 of 3", "create 2 g6 of 3"));
}

TEST(SyncPlan, APoolThatBreaksTheRulesIsNotPlanned) {
    auto pool = pool_of(1);
    pool.devices[0].name = "not_a_label";
    EXPECT_FALSE(DesiredSlices::of(pool));
}

}  // namespace
}  // namespace mimic::dra
