// SPDX-License-Identifier: Apache-2.0
// What the plugin prepares, and for whom not.
#include "dra/plugin/preparer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "dra/plugin/testing/rig.h"

namespace mimic::dra {
namespace {

using testing::claim_ref;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Rig;

class PreparerTest : public ::testing::Test {
protected:
    // The claim's status.allocation.devices, to be changed.
    void change(const ClaimRef& ref, const std::function<void(nlohmann::json&)>& edit) {
        auto claim = *rig_.claims_.get(ref.name_space, ref.name);
        edit(claim["status"]["allocation"]["devices"]);
        rig_.claims_.put(claim);
    }

    Rig rig_;
};

TEST_F(PreparerTest, PreparesAndUndoes) {
    const auto ref = rig_.claim(1, {"gpu0"});
    const auto answer = rig_.prepare(ref);
    EXPECT_EQ(answer.error, "");
    ASSERT_EQ(answer.devices.size(), 1U);
    EXPECT_THAT(answer.devices[0].requests, ElementsAre("accel"));
    EXPECT_EQ(answer.devices[0].pool, "node1");
    EXPECT_EQ(answer.devices[0].device, "gpu0");
    EXPECT_THAT(answer.devices[0].cdi_ids,
                ElementsAre("example.com/gpu=" + ref.uid + "-gpu0",
                            "gpu.example.com/metadata=" + ref.uid + "-accel"));
    EXPECT_EQ(rig_.status("gpu0"), "0x00000001");

    const auto spec = rig_.cdi(ref);
    EXPECT_EQ(spec["cdiVersion"], "0.5.0");  // the name begins with a digit
    EXPECT_EQ(spec["kind"], "example.com/gpu");
    const auto& edits = spec["devices"][0]["containerEdits"];
    EXPECT_EQ(edits["deviceNodes"][0]["path"], "/dev/gpu0");
    EXPECT_EQ(edits["deviceNodes"][0]["major"], 240);
    EXPECT_FALSE(edits["deviceNodes"][0].contains("hostPath"));
    EXPECT_THAT(edits["env"], ::testing::Contains("GPU_UUID=uuid-of-gpu0"));
    EXPECT_THAT(edits["env"], ::testing::Contains("GPU_GPU0_UUID=uuid-of-gpu0"));
    EXPECT_EQ(edits["mounts"][0]["hostPath"],
              std::filesystem::canonical(rig_.node_.class_dir("gpu0")).string());
    EXPECT_EQ(edits["mounts"][0]["containerPath"], "/run/gpu.example.com/gpu0");
    EXPECT_EQ(edits["mounts"][0]["options"][0], "ro");

    EXPECT_EQ(rig_.unprepare(ref), "");
    EXPECT_EQ(rig_.status("gpu0"), "0x00000000");
    EXPECT_THAT(rig_.cdi_files(), IsEmpty());
    EXPECT_EQ(rig_.preparer_->prepared_devices(), 0U);
}

TEST_F(PreparerTest, IsTheSameHoweverOftenItIsAsked) {
    const auto ref = rig_.claim(1, {"gpu0", "gpu1"});
    const auto first = rig_.prepare(ref);
    EXPECT_EQ(first.devices.size(), 2U);
    EXPECT_EQ(rig_.prepare(ref).devices, first.devices);
    rig_.restart();
    EXPECT_EQ(rig_.prepare(ref).devices, first.devices);
    // The API server is away: what is on disk holds.
    rig_.claims_.fail_with(503);
    EXPECT_EQ(rig_.prepare(ref).devices, first.devices);
    EXPECT_EQ(rig_.unprepare(ref), "");
    EXPECT_EQ(rig_.unprepare(ref), "");
    EXPECT_THAT(rig_.prepare(ref).error, HasSubstr("cannot be read from the API server: no luck"));
}

TEST_F(PreparerTest, MakesFilesAgainThatSomebodyRemoved) {
    const auto ref = rig_.claim(1, {"gpu0"});
    const auto first = rig_.prepare(ref);
    std::filesystem::remove(rig_.cdi_path(ref));
    EXPECT_EQ(rig_.prepare(ref).devices, first.devices);
    EXPECT_EQ(rig_.cdi(ref)["kind"], "example.com/gpu");
}

TEST_F(PreparerTest, WritesMetadataForPrograms) {
    const auto ref = claim_ref(1);
    auto claim = testing::allocated_claim(ref, {"gpu0", "gpu1"});
    claim["metadata"]["annotations"]["resource.kubernetes.io/pod-claim-name"] = "mine";
    rig_.claims_.put(claim);
    const auto answer = rig_.prepare(ref);
    ASSERT_EQ(answer.devices.size(), 2U);
    EXPECT_EQ(answer.devices[0].cdi_ids.size(), 2U);
    EXPECT_EQ(answer.devices[1].cdi_ids.size(), 1U);  // the file comes once
    std::ifstream in(
        fmt::format("{}/cdi/gpu.example.com-metadata_{}.json", rig_.folder_.path(), ref.uid));
    const auto spec = nlohmann::json::parse(in);
    EXPECT_EQ(spec["kind"], "gpu.example.com/metadata");
    const auto& mount = spec["devices"][0]["containerEdits"]["mounts"][0];
    EXPECT_EQ(mount["containerPath"],
              "/var/run/kubernetes.io/dra-device-attributes/resourceclaimtemplates/mine/accel/"
              "gpu.example.com-metadata.json");
    std::ifstream file(mount["hostPath"].get<std::string>());
    const auto object = nlohmann::json::parse(file);
    EXPECT_EQ(object["apiVersion"], "metadata.resource.k8s.io/v1alpha1");
    EXPECT_EQ(object["kind"], "DeviceMetadata");
    EXPECT_EQ(object["metadata"]["uid"], ref.uid);
    EXPECT_EQ(object["podClaimName"], "mine");
    EXPECT_EQ(object["requests"][0]["name"], "accel");
    const auto& device = object["requests"][0]["devices"][0];
    EXPECT_EQ(device["name"], "gpu0");
    EXPECT_EQ(device["attributes"]["resource.kubernetes.io/pciBusID"]["string"], "0000:01:00.0");
    EXPECT_EQ(device["attributes"]["gpu.example.com/uuid"]["string"], "uuid-of-gpu0");
}

TEST_F(PreparerTest, TouchesOnlyItsOwnResults) {
    const auto ref = rig_.claim(1, {"gpu0", "gpu1"});
    change(ref, [](auto& devices) {
        devices["results"][1]["driver"] = "other.example.com";
        devices["results"][0]["request"] = "accel/large";
    });
    const auto answer = rig_.prepare(ref);
    ASSERT_EQ(answer.devices.size(), 1U) << answer.error;
    EXPECT_THAT(answer.devices[0].requests, ElementsAre("accel"));
    EXPECT_EQ(rig_.status("gpu1"), "0x00000000");

    const auto none = rig_.claim(2, {});
    EXPECT_EQ(rig_.prepare(none).error, "");
    EXPECT_EQ(rig_.unprepare(none), "");
}

TEST_F(PreparerTest, RefusesWhatTheClaimDoesNotSay) {
    const auto ref = rig_.claim(1, {"gpu0"});
    auto other = ref;
    other.uid = claim_ref(2).uid;
    EXPECT_THAT(rig_.prepare(other).error, HasSubstr("is another one now"));
    EXPECT_THAT(rig_.prepare(claim_ref(3)).error, HasSubstr("does not exist"));

    auto claim = *rig_.claims_.get("ns", "c1");
    claim["status"].erase("allocation");
    rig_.claims_.put(claim);
    EXPECT_THAT(rig_.prepare(ref).error, HasSubstr("is not allocated"));

    rig_.claim(1, {"gpu0"});
    change(ref, [](auto& devices) { devices["results"][0]["pool"] = "node2"; });
    EXPECT_THAT(rig_.prepare(ref).error, HasSubstr("the pool of this node is 'node1'"));
    rig_.claim(1, {"../../etc/passwd"});
    EXPECT_THAT(rig_.prepare(ref).error, HasSubstr("no name of a device"));
    rig_.claim(1, {"gpu0", "gpu0"});
    EXPECT_THAT(rig_.prepare(ref).error, HasSubstr("given twice"));
    rig_.claim(1, {"gpu7"});
    EXPECT_THAT(rig_.prepare(ref).error, HasSubstr("is not there"));
    for (const char* const text :
         {"[]", "null", "{\"results\": 7}", "{\"results\": [7, {}]}", "{\"results\": {\"a\": 1}}",
          "{\"config\": 3, \"results\": []}"}) {
        change(ref, [&](auto& devices) { devices = nlohmann::json::parse(text); });
        rig_.prepare(ref);  // whatever it says, it ends
    }
    EXPECT_THAT(rig_.cdi_files(), IsEmpty());
    EXPECT_EQ(rig_.status("gpu0"), "0x00000000");
}

TEST_F(PreparerTest, RefusesNamesThatAreNone) {
    for (const std::string& uid : {std::string("../x"), std::string("a/b"), std::string(),
                                   std::string(size_t{64} << 10, 'a'), std::string("a\0b", 3)}) {
        const ClaimRef ref{"ns", uid, "c1"};
        EXPECT_THAT(rig_.prepare(ref).error, HasSubstr("is no claim's uid"));
        EXPECT_THAT(rig_.unprepare(ref), HasSubstr("is no claim's uid"));
    }
    EXPECT_THAT(rig_.prepare({"n/s", "u1", "c1"}).error, HasSubstr("is no namespace"));
    EXPECT_THAT(rig_.prepare({"ns", "u1", "C1"}).error, HasSubstr("is no claim's name"));
    EXPECT_EQ(rig_.claims_.requests(), 0);
}

TEST_F(PreparerTest, GivesADeviceOnce) {
    const auto first = rig_.claim(1, {"gpu0"});
    const auto second = rig_.claim(2, {"gpu0"});
    EXPECT_EQ(rig_.prepare(first).error, "");
    EXPECT_THAT(rig_.prepare(second).error, HasSubstr("gpu0 is prepared for claim ns/c1"));
    EXPECT_EQ(rig_.cdi_files().size(), 2U);

    // Watching is allowed, and neither takes the device nor gives it back.
    change(second, [](auto& devices) { devices["results"][0]["adminAccess"] = true; });
    EXPECT_EQ(rig_.prepare(second).error, "");
    EXPECT_EQ(rig_.unprepare(second), "");
    EXPECT_EQ(rig_.status("gpu0"), "0x00000001");

    // So are shares, as long as they are different ones.
    EXPECT_EQ(rig_.unprepare(first), "");
    rig_.claim(1, {"gpu0"});
    rig_.claim(2, {"gpu0"});
    change(first, [](auto& devices) { devices["results"][0]["shareID"] = "share-1"; });
    change(second, [](auto& devices) { devices["results"][0]["shareID"] = "share-1"; });
    EXPECT_EQ(rig_.prepare(first).devices.at(0).share_id, "share-1");
    EXPECT_THAT(rig_.prepare(second).error, HasSubstr("is prepared for"));
    change(second, [](auto& devices) { devices["results"][0]["shareID"] = "share-2"; });
    EXPECT_EQ(rig_.prepare(second).error, "");
    EXPECT_EQ(rig_.unprepare(first), "");
    EXPECT_EQ(rig_.status("gpu0"), "0x00000001");
    EXPECT_EQ(rig_.unprepare(second), "");
    EXPECT_EQ(rig_.status("gpu0"), "0x00000000");
}

TEST_F(PreparerTest, TellsTheContainerItsShare) {
    const auto ref = rig_.claim(1, {"gpu0"});
    const auto with = [&](const nlohmann::json& consumed) {
        rig_.claim(1, {"gpu0"});
        change(ref, [&](auto& devices) {
            devices["results"][0]["shareID"] = "share-1";
            devices["results"][0]["consumedCapacity"] = consumed;
        });
        return rig_.prepare(ref).error;
    };
    EXPECT_EQ(with({{"gpu.example.com/memory", "4Gi"}, {"other.example.com/memory", "1"}}), "");
    const auto env = rig_.cdi(ref)["devices"][0]["containerEdits"]["env"];
    EXPECT_THAT(env, ::testing::Contains("GPU_SHARE_MEMORY=4Gi"));
    EXPECT_THAT(env, ::testing::Contains("GPU_GPU0_SHARE_MEMORY=4Gi"));
    EXPECT_EQ(rig_.unprepare(ref), "");
    for (const nlohmann::json& bad :
         {nlohmann::json(7), nlohmann::json({{"gpu.example.com/memory", 4}}),
          nlohmann::json({{"gpu.example.com/memory", "4\nX=1"}}),
          nlohmann::json({{"gpu.example.com/memory", std::string(65, '1')}}),
          nlohmann::json({{"gpu.example.com/a=b", "4"}})}) {
        EXPECT_THAT(with(bad), HasSubstr("consumedCapacity")) << bad;
    }
}

TEST_F(PreparerTest, RefusesADeviceThatDoesNotAnswer) {
    rig_.node_.taint("gpu0", "gpu.example.com/unreachable");
    EXPECT_THAT(rig_.prepare(rig_.claim(1, {"gpu0"})).error, HasSubstr("does not answer"));
    rig_.node_.taint("gpu0", "gpu.example.com/degraded");  // somebody tolerates it
    EXPECT_EQ(rig_.prepare(rig_.claim(1, {"gpu0"})).error, "");
}

TEST_F(PreparerTest, LeavesOtherBitsOfTheStatus) {
    rig_.node_.write("gpu0", "status", "0x40000000");
    const auto ref = rig_.claim(1, {"gpu0"});
    EXPECT_EQ(rig_.prepare(ref).error, "");
    EXPECT_EQ(rig_.status("gpu0"), "0x40000001");
    EXPECT_EQ(rig_.unprepare(ref), "");
    EXPECT_EQ(rig_.status("gpu0"), "0x40000000");
}

TEST_F(PreparerTest, EndsAClaimWhoseDeviceIsGone) {
    const auto ref = rig_.claim(1, {"gpu0"});
    EXPECT_EQ(rig_.prepare(ref).error, "");
    rig_.node_.remove("gpu0");
    EXPECT_EQ(rig_.unprepare(ref), "");
    EXPECT_THAT(rig_.cdi_files(), IsEmpty());
}

TEST_F(PreparerTest, FollowsANewAllocationOfAClaim) {
    const auto ref = rig_.claim(1, {"gpu0"});
    EXPECT_EQ(rig_.prepare(ref).error, "");
    rig_.claim(1, {"gpu1"});
    EXPECT_EQ(rig_.prepare(ref).devices.at(0).device, "gpu1");
    EXPECT_EQ(rig_.status("gpu0"), "0x00000000");
    EXPECT_EQ(rig_.status("gpu1"), "0x00000001");
}

TEST_F(PreparerTest, AnswersEachUidOfABatchOnce) {
    std::vector<ClaimRef> refs;
    for (int i = 0; i < 128; ++i) {
        rig_.node_.add_pf("gpu" + std::to_string(100 + i), 0);
        refs.push_back(rig_.claim(i, {"gpu" + std::to_string(100 + i)}));
    }
    refs.push_back(refs.front());                     // twice the same
    refs.push_back(claim_ref(999));                   // unknown
    refs.push_back({"ns", refs[1].uid, "somebody"});  // one uid, two claims
    const auto answers = rig_.preparer_->prepare(refs);
    EXPECT_EQ(answers.size(), 129U);
    size_t good = 0;
    for (const auto& [uid, answer] : answers) good += answer.error.empty() ? 1 : 0;
    EXPECT_EQ(good, 127U);
    EXPECT_EQ(rig_.preparer_->prepared_devices(), 127U);
    const auto ends = rig_.preparer_->unprepare(refs);
    EXPECT_EQ(ends.size(), 129U);
    for (const auto& [uid, error] : ends) EXPECT_EQ(error, "");
    EXPECT_THAT(rig_.cdi_files(), IsEmpty());
}

TEST_F(PreparerTest, TwoClaimsOfABatchDoNotGetOneDevice) {
    const std::vector<ClaimRef> refs = {rig_.claim(1, {"gpu0"}), rig_.claim(2, {"gpu0"})};
    const auto answers = rig_.preparer_->prepare(refs);
    EXPECT_EQ(answers.at(refs[0].uid).error, "");
    EXPECT_THAT(answers.at(refs[1].uid).error, HasSubstr("is prepared for claim ns/c1"));
}

TEST_F(PreparerTest, TwoInstancesShareTheFolder) {
    Preparer other(rig_.options(), rig_.claims_, rig_.node_);
    ASSERT_TRUE(other.heal());
    const auto ref = rig_.claim(1, {"gpu0"});
    const auto rival = rig_.claim(2, {"gpu0"});
    const auto answer = rig_.prepare(ref);
    EXPECT_EQ(other.prepare({&ref, 1}).at(ref.uid).devices, answer.devices);
    EXPECT_THAT(other.prepare({&rival, 1}).at(rival.uid).error, HasSubstr("is prepared for"));
    EXPECT_EQ(other.unprepare({&ref, 1}).at(ref.uid), "");
    EXPECT_EQ(rig_.prepare(rival).error, "");
}

TEST_F(PreparerTest, ManyThreadsPrepareOneClaim) {
    Preparer other(rig_.options(), rig_.claims_, rig_.node_);
    const auto ref = rig_.claim(1, {"gpu0"});
    std::vector<PrepareAnswer> answers(16);
    {
        std::vector<std::jthread> threads;
        for (size_t i = 0; i < answers.size(); ++i)
            threads.emplace_back([&, i] {
                auto& preparer = i % 2 == 0 ? *rig_.preparer_ : other;
                answers[i] = preparer.prepare({&ref, 1}).at(ref.uid);
            });
    }
    for (const auto& answer : answers) {
        EXPECT_EQ(answer.error, "");
        EXPECT_EQ(answer.devices, answers[0].devices);
    }
}

TEST_F(PreparerTest, GivesParametersToTheContainer) {
    const auto ref = rig_.claim(1, {"gpu0"});
    const auto with = [&](const nlohmann::json& parameters, const nlohmann::json& requests) {
        rig_.claim(1, {"gpu0"});
        change(ref, [&](auto& devices) {
            devices["config"] = {
                {{"source", "FromClass"},
                 {"opaque",
                  {{"driver", "gpu.example.com"},
                   {"parameters",
                    {{"apiVersion", "gpu.example.com/v1alpha1"},
                     {"kind", "DeviceParameters"},
                     {"env", {{"A", "class"}, {"B", "class"}}}}}}}},
                {{"source", "FromClaim"},
                 {"requests", requests},
                 {"opaque", {{"driver", "gpu.example.com"}, {"parameters", parameters}}}},
                {{"opaque", {{"driver", "other.example.com"}, {"parameters", 7}}}}};
        });
        return rig_.prepare(ref);
    };
    nlohmann::json good = {{"apiVersion", "gpu.example.com/v1alpha1"},
                           {"kind", "DeviceParameters"},
                           {"env", {{"A", "claim"}}}};
    EXPECT_EQ(with(good, {"accel"}).error, "");
    const auto env = rig_.cdi(ref)["devices"][0]["containerEdits"]["env"];
    EXPECT_THAT(env, ::testing::Contains("A=claim"));
    EXPECT_THAT(env, ::testing::Contains("B=class"));
    EXPECT_EQ(with(good, {"other"}).error, "");
    EXPECT_THAT(rig_.cdi(ref)["devices"][0]["containerEdits"]["env"],
                ::testing::Contains("A=class"));

    const auto refused = [&](std::string_view member, const nlohmann::json& value) {
        auto bad = good;
        bad[std::string(member)] = value;
        return with(bad, nlohmann::json::array()).error;
    };
    EXPECT_THAT(refused("apiVersion", "v2"), HasSubstr("apiVersion is 'v2'"));
    EXPECT_THAT(refused("kind", 3), HasSubstr("kind is ''"));
    EXPECT_THAT(refused("envs", {}), HasSubstr("'envs' is unknown"));
    EXPECT_THAT(refused("env", "A=B"), HasSubstr("env is no object"));
    EXPECT_THAT(refused("env", {{"GPU_UUID", "x"}}), HasSubstr("is the driver's own"));
    EXPECT_THAT(refused("env", {{"A B", "x"}}), HasSubstr("no name of a variable"));
    EXPECT_THAT(refused("env", {{"A", "x\ny"}}), HasSubstr("control characters"));
    EXPECT_THAT(refused("env", {{"A", 1}}), HasSubstr("is no text"));
    EXPECT_THAT(with("text", {}).error, HasSubstr("opaque parameters of the claim (config 1)"));
}

}  // namespace
}  // namespace mimic::dra
