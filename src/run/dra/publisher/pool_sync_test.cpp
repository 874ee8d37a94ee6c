// SPDX-License-Identifier: Apache-2.0
#include "dra/publisher/pool_sync.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "kube/answer.h"
#include "kube/testing/fake_api.h"

namespace mimic::dra {
namespace {

using kube::testing::FakeApi;
using kube::testing::PeerRequest;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

slices::Pool small_pool(const std::vector<std::string>& devices) {
    slices::Pool pool;
    pool.driver = "accel.example.com";
    pool.name = pool.node = "n1";
    for (const auto& name : devices) {
        slices::Device device;
        device.name = name;
        pool.devices.push_back(std::move(device));
    }
    return pool;
}

class PoolSyncTest : public ::testing::Test {
protected:
    PoolSyncTest() : client_(api_.config()) { sync_.set_owner({"n1", "node-uid"}); }

    void relist() {
        const auto list = client_.list(kube::kSlices, "", {});
        ASSERT_TRUE(list);
        sync_.replaced(kube::metadata_text(*list, "resourceVersion"), (*list)["items"]);
    }
    std::vector<std::string> published() const {
        std::vector<std::string> names;
        for (const auto& object : api_.objects("resourceslices"))
            for (const auto& device : object["spec"].value("devices", json::array()))
                names.push_back(device["name"]);
        return names;
    }

    // For a hook; before api_, whose threads it serves.
    std::atomic<int> calls_{0};
    std::atomic<int> status_{422};
    FakeApi api_;
    kube::Client client_;
    PoolSync sync_;
};

TEST_F(PoolSyncTest, WritesNothingBeforeItKnowsWhatIsThere) {
    EXPECT_FALSE(sync_.settled());
    ASSERT_TRUE(sync_.want(small_pool({"a"})));
    EXPECT_EQ(sync_.step(client_).writes, 0u);
    EXPECT_THAT(api_.requests(), IsEmpty());
    relist();
    EXPECT_FALSE(sync_.settled());
    EXPECT_EQ(sync_.step(client_).writes, 1u);
    EXPECT_THAT(published(), ElementsAre("a"));
    EXPECT_TRUE(sync_.settled());
    EXPECT_EQ(sync_.step(client_).writes, 0u);
    EXPECT_EQ(sync_.want(small_pool({"a"})), false);
    EXPECT_EQ(sync_.want(small_pool({"b"})), true);
    EXPECT_EQ(sync_.step(client_).writes, 1u);
    EXPECT_THAT(published(), ElementsAre("b"));
}

TEST_F(PoolSyncTest, APoolThatBreaksTheRulesLeavesTheOneBefore) {
    ASSERT_TRUE(sync_.want(small_pool({"a"})));
    relist();
    EXPECT_FALSE(sync_.want(small_pool({"b", "b"})));
    EXPECT_EQ(sync_.step(client_).writes, 1u);
    EXPECT_THAT(published(), ElementsAre("a"));
}

// The kubelet wipes a slice before the answer to its creation has come.
TEST_F(PoolSyncTest, ALateAnswerDoesNotBringBackWhatTheWatchSawEnd) {
    const auto later = [](json object) {
        const auto version = std::stoull(kube::metadata_text(object, "resourceVersion"));
        object["metadata"]["resourceVersion"] = std::to_string(version + 1);
        return object;
    };
    ASSERT_TRUE(sync_.want(small_pool({"a"})));
    relist();
    api_.set_change([&](json& object) {
        sync_.changed({"ADDED", object});
        sync_.changed({"DELETED", later(object)});
    });
    ASSERT_EQ(sync_.step(client_).writes, 1u);
    EXPECT_EQ(sync_.slice_count(), 0u);
    EXPECT_FALSE(sync_.settled());
    // The same by a list, as after a watch that broke.
    api_.set_change([&](json& object) {
        sync_.replaced(kube::metadata_text(later(object), "resourceVersion"), {});
    });
    ASSERT_EQ(sync_.step(client_).writes, 1u);
    EXPECT_FALSE(sync_.settled());
    // An answer of which nobody has told yet counts.
    api_.set_change({});
    api_.compact();  // takes the version that was said above
    ASSERT_EQ(sync_.step(client_).writes, 1u);
    EXPECT_TRUE(sync_.settled());
}

TEST_F(PoolSyncTest, KnowsItsOwnWritesAmongTheEvents) {
    ASSERT_TRUE(sync_.want(small_pool({"a"})));
    relist();
    ASSERT_EQ(sync_.step(client_).writes, 1u);
    auto object = api_.objects("resourceslices")[0];
    EXPECT_EQ(sync_.changed({"ADDED", object}), PoolSync::News::kNone);
    auto older = object;
    older["metadata"]["resourceVersion"] = "3";
    EXPECT_EQ(sync_.changed({"MODIFIED", older}), PoolSync::News::kNone);
    EXPECT_EQ(sync_.changed({"DELETED", older}), PoolSync::News::kNone);
    EXPECT_TRUE(sync_.settled());
    // A list from before that write does not take it away.
    sync_.replaced("3", {});
    EXPECT_TRUE(sync_.settled());
    object["spec"]["devices"][0]["name"] = "foreign";
    object["metadata"]["resourceVersion"] = "999";
    EXPECT_EQ(sync_.changed({"MODIFIED", object}), PoolSync::News::kChange);
    EXPECT_FALSE(sync_.settled());
    EXPECT_EQ(sync_.changed({"DELETED", object}), PoolSync::News::kDeletion);
    EXPECT_EQ(sync_.changed({"DELETED", object}), PoolSync::News::kNone);
    EXPECT_EQ(sync_.changed({"ADDED", json::object()}), PoolSync::News::kChange);  // no name
    EXPECT_EQ(sync_.slice_count(), 0u);
}

TEST_F(PoolSyncTest, EventsThatComeAfterADeletionBringNothingBack) {
    ASSERT_TRUE(sync_.want(small_pool({"a"})));
    relist();
    auto other = api_.put(
        "resourceslices",
        json{{"metadata", {{"name", "zzz"}}},
             {"spec",
              {{"driver", "accel.example.com"}, {"nodeName", "n1"}, {"pool", {{"name", "old"}}}}}});
    EXPECT_EQ(sync_.changed({"ADDED", other}), PoolSync::News::kChange);
    ASSERT_EQ(sync_.step(client_).writes, 2u);
    EXPECT_EQ(sync_.changed({"MODIFIED", other}), PoolSync::News::kNone);
    EXPECT_EQ(sync_.slice_count(), 1u);
    sync_.replaced("1", {other});
    EXPECT_EQ(sync_.slice_count(), 1u);
    EXPECT_EQ(sync_.changed({"DELETED", other}), PoolSync::News::kNone);
    EXPECT_TRUE(sync_.settled());
    // Told once: another of that name would be somebody's.
    EXPECT_EQ(sync_.changed({"ADDED", other}), PoolSync::News::kChange);
}

TEST_F(PoolSyncTest, AServerDoesNotChooseHowMuchIsRemembered) {
    for (int i = 0; i < 5000; ++i)
        sync_.changed({"ADDED", json{{"metadata", {{"name", fmt::format("x{}", i)}}}}});
    EXPECT_EQ(sync_.slice_count(), 1000u);
}

TEST_F(PoolSyncTest, AConflictIsMendedByTheNextStep) {
    ASSERT_TRUE(sync_.want(small_pool({"a"})));
    relist();
    ASSERT_EQ(sync_.step(client_).writes, 1u);
    auto object = api_.objects("resourceslices")[0];
    object["metadata"]["labels"] = {{"by", "somebody"}};
    api_.put("resourceslices", object);  // nobody tells
    ASSERT_TRUE(sync_.want(small_pool({"b"})));
    auto step = sync_.step(client_);
    EXPECT_EQ(step.conflicts, 1u);
    EXPECT_EQ(step.errors, 0u);
    EXPECT_TRUE(step.error->conflict());
    EXPECT_EQ(sync_.step(client_).writes, 1u);
    EXPECT_THAT(published(), ElementsAre("b"));
    EXPECT_EQ(api_.objects("resourceslices")[0]["metadata"]["labels"]["by"], "somebody");
    // One that was deleted meanwhile is made again.
    api_.erase_all("resourceslices");
    ASSERT_TRUE(sync_.want(small_pool({"c"})));
    step = sync_.step(client_);
    EXPECT_EQ(step.conflicts, 1u);
    EXPECT_EQ(sync_.step(client_).writes, 1u);
    EXPECT_THAT(published(), ElementsAre("c"));
}

TEST_F(PoolSyncTest, GoesOnAfterARefusalAndStopsWhenTheServerIsBusy) {
    std::vector<std::string> many;
    for (int i = 0; i < 300; ++i) many.push_back(fmt::format("d{}", i));
    ASSERT_TRUE(sync_.want(small_pool(many)));
    relist();
    api_.set_hook([this](const PeerRequest&) -> std::optional<FakeApi::Refusal> {
        if (calls_++ == 1) return FakeApi::Refusal{status_};
        return std::nullopt;
    });
    auto step = sync_.step(client_);
    EXPECT_EQ(step.writes, 2u);
    EXPECT_EQ(step.errors, 1u);
    EXPECT_EQ(step.error->status, 422);
    EXPECT_FALSE(sync_.settled());
    EXPECT_EQ(sync_.step(client_).error, std::nullopt);
    EXPECT_TRUE(sync_.settled());
    many.resize(200);
    many[0] = many[150] = "x";
    many[150] = "y";
    ASSERT_TRUE(sync_.want(small_pool(many)));
    calls_ = 0;
    status_ = 429;
    step = sync_.step(client_);
    EXPECT_EQ(step.writes, 1u);
    EXPECT_EQ(calls_, 2);
    while (!sync_.settled()) ASSERT_GT(sync_.step(client_).writes, 0u);
    EXPECT_EQ(published().size(), 200u);
}

TEST_F(PoolSyncTest, DroppedFieldsAreToldOnceAndNotWrittenForEver) {
    api_.set_change([](json& object) {
        for (auto& device : object["spec"]["devices"]) device.erase("taints");
    });
    auto pool = small_pool({"a"});
    pool.devices[0].taints = {{"a/b", "", slices::Taint::Effect::kNoExecute}};
    ASSERT_TRUE(sync_.want(pool));
    relist();
    auto step = sync_.step(client_);
    EXPECT_EQ(step.writes, 1u);
    EXPECT_THAT(step.notes, ElementsAre(HasSubstr("feature gate DRADeviceTaints")));
    EXPECT_TRUE(sync_.settled());
    relist();
    EXPECT_TRUE(sync_.settled());
    // The server has been upgraded.
    api_.set_change(nullptr);
    sync_.forget_adopted();
    step = sync_.step(client_);
    EXPECT_EQ(step.writes, 1u);
    EXPECT_THAT(step.notes, IsEmpty());
    EXPECT_TRUE(api_.objects("resourceslices")[0]["spec"]["devices"][0].contains("taints"));
}

}  // namespace
}  // namespace mimic::dra
