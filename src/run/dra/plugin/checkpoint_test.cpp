// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "dra/plugin/testing/rig.h"

namespace mimic::dra {
namespace {

using ::testing::HasSubstr;

PluginState example() {
    PluginState state;
    state.boot_id = "b";
    state.made_vfs = {"gpu1"};
    state.claims["uid-1"] = {.name_space = "ns",
                             .name = "c1",
                             .uid = "uid-1",
                             .pod_claim = "mine",
                             .phase = Phase::kCompleted,
                             .devices = {{.requests = {"a", "b"},
                                          .pool = "node.example.com",
                                          .device = "gpu0",
                                          .share_id = "share",
                                          .admin = true,
                                          .env = {{"A", "\xff\"\\\n"}}}}};
    state.claims["uid-2"] = {.name_space = "ns", .name = "c2", .uid = "uid-2"};
    return state;
}

TEST(CheckpointTest, ReadsWhatItWrites) {
    auto state = example();
    state.claims["uid-1"].devices[0].env["A"] = "text";
    const auto text = encode_checkpoint(state);
    const auto read = decode_checkpoint(text);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(*read, state);
    // Bytes that are no UTF-8 are replaced, not thrown about.
    EXPECT_TRUE(decode_checkpoint(encode_checkpoint(example())));
}

TEST(CheckpointTest, RefusesEveryOtherText) {
    auto state = example();
    state.claims["uid-1"].devices[0].env["A"] = "text";
    const auto text = encode_checkpoint(state);
    for (size_t i = 0; i < text.size(); ++i) EXPECT_FALSE(decode_checkpoint(text.substr(0, i / 2)));
    for (size_t i = 0; i + 2 < text.size(); ++i) {
        auto changed = text;
        changed[i] = changed[i] == 'x' ? 'y' : 'x';
        const auto read = decode_checkpoint(changed);
        EXPECT_FALSE(read) << changed;
    }
}

// With a checksum that is right, as of one who means it.
std::string signed_text(const std::function<void(nlohmann::json&)>& edit) {
    auto state = example();
    state.claims["uid-1"].devices[0].env["A"] = "text";
    auto file = nlohmann::json::parse(encode_checkpoint(state));
    edit(file["data"]);
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : file["data"].dump())
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    file["checksum"] = fmt::format("{:016x}", hash);
    return file.dump();
}

TEST(CheckpointTest, RefusesNamesThatAreNoNames) {
    EXPECT_TRUE(decode_checkpoint(signed_text([](auto&) {})));
    const auto refused = [](const std::function<void(nlohmann::json&)>& edit) {
        const auto read = decode_checkpoint(signed_text(edit));
        return read ? std::string("taken") : read.error().message();
    };
    const auto in_claim = [&](const std::string& name, const nlohmann::json& value) {
        return refused([&](auto& data) { data["claims"]["uid-1"][name] = value; });
    };
    const auto in_device = [&](const std::string& name, const nlohmann::json& value) {
        return refused([&](auto& data) { data["claims"]["uid-1"]["devices"][0][name] = value; });
    };
    EXPECT_THAT(refused([](auto& data) { data["claims"]["../x"] = data["claims"]["uid-1"]; }),
                HasSubstr("uid is not usable"));
    EXPECT_THAT(in_claim("namespace", "../.."), HasSubstr("no usable name"));
    EXPECT_THAT(in_claim("podClaimName", "a/b"), HasSubstr("in its pod"));
    EXPECT_THAT(in_claim("phase", "Later"), HasSubstr("no phase"));
    EXPECT_THAT(in_claim("devices", 7), HasSubstr("no list of devices"));
    EXPECT_THAT(in_claim("devices", std::vector<int>(1000)), HasSubstr("no list of devices"));
    EXPECT_THAT(in_device("device", "../gpu0"), HasSubstr("no usable name"));
    EXPECT_THAT(in_device("pool", ""), HasSubstr("no usable pool"));
    EXPECT_THAT(in_device("shareID", "a/b"), HasSubstr("bad shareID"));
    EXPECT_THAT(in_device("requests", {"A/B"}), HasSubstr("request has no usable name"));
    EXPECT_THAT(in_device("env", {{"A", 1}}), HasSubstr("no text"));
    EXPECT_THAT(refused([](auto& data) { data["madeVFs"] = {"../x"}; }),
                HasSubstr("PF has no usable name"));
    EXPECT_THAT(refused([](auto& data) { data.erase("claims"); }), HasSubstr("no claims"));
}

TEST(CheckpointTest, SaysThatANewerVersionIsNewer) {
    const auto read = decode_checkpoint(R"({"version": 7, "checksum": "", "data": {}})");
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code(), std::errc::not_supported);
    EXPECT_THAT(read.error().message(), HasSubstr("version 7, and this program knows 1"));
}

TEST(CheckpointTest, AppliesAChangeOnceAndWhole) {
    auto before = example();
    before.claims["uid-1"].devices[0].env["A"] = "text";
    auto after = before;
    after.claims["uid-2"].phase = Phase::kCompleted;
    after.claims.erase("uid-1");
    after.made_vfs.clear();
    const auto line = encode_change(before, after, 7);
    const auto whole = std::string_view(line).substr(0, line.size() - 1);
    auto state = before;
    EXPECT_FALSE(apply_change(whole, 6, state));
    for (size_t i = 0; i < whole.size(); ++i)
        EXPECT_FALSE(apply_change(whole.substr(0, i), 7, state));
    EXPECT_EQ(state, before);
    EXPECT_TRUE(apply_change(whole, 7, state));
    EXPECT_EQ(state, after);
}

TEST(CheckpointFileTest, HasWhatWasStoredLast) {
    const testing::TemporaryFolder folder;
    Checkpoint first(folder.path());
    Checkpoint second(folder.path());
    auto state = *first.load();
    EXPECT_EQ(state, PluginState{});
    // More than the journal takes, by turns of two instances and of new ones.
    const std::string long_name(200, 'n');
    for (int i = 0; i < 400; ++i) {
        auto& one = i % 3 == 0 ? second : first;
        state = *one.load();
        ASSERT_EQ(state.claims.size(), static_cast<size_t>(i == 0 ? 0 : (i - 1) % 5 + 1)) << i;
        if (i % 5 == 0) state.claims.erase(state.claims.begin(), state.claims.end());
        const auto uid = fmt::format("uid-{}", i);
        state.claims[uid] = {.name_space = "ns", .name = long_name, .uid = uid};
        for (int device = 0; device < 4; ++device)
            state.claims[uid].devices.push_back(
                {.requests = {"accel"}, .pool = long_name, .device = "gpu0"});
        ASSERT_TRUE(one.store(state));
        if (i % 100 == 99) {
            Checkpoint third(folder.path());
            EXPECT_EQ(*third.load(), state);
        }
    }
}

TEST(CheckpointFileTest, IgnoresAChangeThatWasCutOff) {
    struct Killed {};
    const testing::TemporaryFolder folder;
    PluginState state;
    {
        Checkpoint checkpoint(folder.path());
        for (int i = 0; i < 3; ++i) {
            state = *checkpoint.load();
            const auto uid = fmt::format("uid-{}", i);
            state.claims[uid] = {.name_space = "ns", .name = "c", .uid = uid};
            ASSERT_TRUE(checkpoint.store(state));
        }
        auto next = state;
        next.claims.erase("uid-1");
        EXPECT_THROW(static_cast<void>(checkpoint.store(next, [] { throw Killed(); })), Killed);
    }
    Checkpoint again(folder.path());
    EXPECT_EQ(*again.load(), state);
    state.claims.erase("uid-2");
    ASSERT_TRUE(again.store(state));
    Checkpoint last(folder.path());
    EXPECT_EQ(*last.load(), state);
    // None left: the first file says so by itself.
    state.claims.clear();
    ASSERT_TRUE(last.store(state));
    std::ifstream in(folder.path() + "/checkpoint.json");
    EXPECT_TRUE(nlohmann::json::parse(in)["data"]["claims"].empty());
}

TEST(CheckpointFileTest, ForgetsAJournalWithoutItsFirstFile) {
    const testing::TemporaryFolder folder;
    PluginState state;
    Checkpoint checkpoint(folder.path());
    for (int i = 0; i < 3; ++i) {
        state = *checkpoint.load();
        const auto uid = fmt::format("uid-{}", i);
        state.claims[uid] = {.name_space = "ns", .name = "c", .uid = uid};
        ASSERT_TRUE(checkpoint.store(state));
    }
    std::filesystem::remove(folder.path() + "/checkpoint.json");
    Checkpoint again(folder.path());
    EXPECT_EQ(*again.load(), PluginState{});
    PluginState other;
    other.claims["other"] = {.name_space = "ns", .name = "c", .uid = "other"};
    ASSERT_TRUE(again.store(other));
    Checkpoint last(folder.path());
    EXPECT_EQ(*last.load(), other);
    // The instance that ran all along sees it, too.
    EXPECT_EQ(*checkpoint.load(), other);
}

}  // namespace
}  // namespace mimic::dra
