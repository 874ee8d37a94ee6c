// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace mimic::dra
