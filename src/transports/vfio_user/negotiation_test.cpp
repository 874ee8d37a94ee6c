// SPDX-License-Identifier: Apache-2.0
// VERSION by table: what clients send (facts 1.4), what malformed ones send, and the limits on the
// reply.
#include "vfio_user/negotiation.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "vfio_user/test_peer.h"

namespace mimic::vfio_user {
namespace {

Bytes payload_of(uint16_t major, uint16_t minor, std::string_view json, bool nul = true) {
    const VersionBody body{major, minor};
    Bytes bytes(sizeof body + json.size() + (nul ? 1 : 0));
    std::memcpy(bytes.data(), &body, sizeof body);
    std::copy(json.begin(), json.end(), bytes.begin() + sizeof body);
    return bytes;
}

// Lengths that QEMU accepts: its own VERSION request is 214 bytes long.
constexpr size_t kMaxJson = 193;

TEST(ParseVersion, TakesWhatClientsSend) {
    const auto qemu = parse_version(payload_of(
        0, 0,
        R"({"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":65535,)"
        R"("pgsizes":4096,"migration":{"max_bitmap_size":268435456,"pgsize":4096},)"
        R"("write_multiple":true}})"));
    ASSERT_TRUE(qemu) << qemu.error().message();
    EXPECT_EQ(qemu->max_msg_fds, 16u);
    EXPECT_EQ(qemu->max_data_xfer_size, 1048576u);
    EXPECT_TRUE(qemu->write_multiple);
    EXPECT_FALSE(qemu->fixed_errors);
    const auto rust = parse_version(
        payload_of(0, 1,
                   R"({"capabilities":{"max_msg_fds":1,"max_data_xfer_size":1048576,)"
                   R"("migration":{"pgsize":4096}}})"));
    ASSERT_TRUE(rust);
    EXPECT_EQ(rust->minor, 1);
    EXPECT_TRUE(rust->fixed_errors);
    const auto twin = parse_version(
        payload_of(0, 2, R"({"capabilities":{"twin_socket":{"supported":true}}})"));
    EXPECT_TRUE(twin);
}

// Only rust-vmm's client reads more of an error than its header; others of 0.1 must not get more.
TEST(ParseVersion, KnowsTheClientThatReadsFixedErrors) {
    const auto fixed = [](const Bytes& payload) {
        const auto client = parse_version(payload);
        EXPECT_TRUE(client);
        return client && client->fixed_errors;
    };
    constexpr std::string_view kRust =
        R"({"capabilities":{"max_msg_fds":1,"max_data_xfer_size":1048576,)"
        R"("migration":{"pgsize":4096}}})";
    EXPECT_TRUE(fixed(payload_of(0, 1, kRust)));
    EXPECT_FALSE(fixed(payload_of(0, 0, kRust)));
    EXPECT_FALSE(fixed(payload_of(0, 2, kRust)));
    EXPECT_FALSE(fixed(payload_of(0, 1, "", false)));  // SPDK v26.09-pre, 3230130e6a
    EXPECT_FALSE(fixed(payload_of(0, 1, "{}")));
    // libvfio-user aa3087d, samples/client.c; and efd091b, test/py.
    EXPECT_FALSE(
        fixed(payload_of(0, 1,
                         R"({"capabilities":{"max_msg_fds":32,)"
                         R"("max_data_xfer_size":1048576,"migration":{"pgsize":4096}}})")));
    EXPECT_FALSE(fixed(
        payload_of(0, 1, R"({"capabilities":{"max_data_xfer_size":1048576,"max_msg_fds":8}})")));
}

TEST(ParseVersion, MaxMsgFdsEndsWhereLibvfioUserEndsIt) {
    const auto claim = [](uint32_t fds) {
        return parse_version(
            payload_of(0, 0, fmt::format(R"({{"capabilities":{{"max_msg_fds":{}}}}})", fds)));
    };
    ASSERT_TRUE(claim(1024));
    EXPECT_EQ(claim(1024)->max_msg_fds, 1024u);
    EXPECT_TRUE(claim(0));
    for (const uint32_t fds : {1025u, 65537u, UINT32_MAX}) EXPECT_FALSE(claim(fds)) << fds;
}

TEST(ParseVersion, AbsentCapabilitiesGetTheProtocolsDefaults) {
    for (const Bytes& payload : {payload_of(0, 0, "", false), payload_of(0, 0, "{}"),
                                 payload_of(0, 0, R"({"capabilities":{}})")}) {
        const auto client = parse_version(payload);
        ASSERT_TRUE(client);
        EXPECT_EQ(client->max_msg_fds, 1u);
        EXPECT_EQ(client->max_data_xfer_size, 1u << 20);
        EXPECT_FALSE(client->write_multiple);
    }
}

TEST(ParseVersion, IgnoresWhatFollowsTheFirstNul) {
    Bytes payload = payload_of(0, 0, R"({"capabilities":{"max_msg_fds":9}})");
    payload.resize(payload.size() + 40);
    const auto client = parse_version(payload);
    ASSERT_TRUE(client);
    EXPECT_EQ(client->max_msg_fds, 9u);
}

struct BadVersion {
    const char* name;
    Bytes payload;
};

class ParseVersionRefuses : public ::testing::TestWithParam<BadVersion> {};

TEST_P(ParseVersionRefuses, WithEinval) {
    const auto client = parse_version(GetParam().payload);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code(), std::errc::invalid_argument);
}

std::string capability(std::string_view text) {
    return fmt::format("{{\"capabilities\":{{{}}}}}", text);
}

INSTANTIATE_TEST_SUITE_P(
    Fields, ParseVersionRefuses,
    ::testing::Values(
        BadVersion{"empty", {}}, BadVersion{"three_bytes", Bytes(3)},
        BadVersion{"major_1", payload_of(1, 0, "{}")},
        BadVersion{"major_max", payload_of(0xffff, 0, "{}")},
        BadVersion{"no_nul", payload_of(0, 0, "{}", false)},
        BadVersion{"only_nul", payload_of(0, 0, "")},
        BadVersion{"no_closing_brace", payload_of(0, 0, R"({"capabilities":{"max_msg_fds":8})")},
        BadVersion{"no_closing_quote", payload_of(0, 0, R"({"capabilities)")},
        BadVersion{"array", payload_of(0, 0, "[]")}, BadVersion{"number", payload_of(0, 0, "1")},
        BadVersion{"null", payload_of(0, 0, "null")},
        BadVersion{"two_documents", payload_of(0, 0, "{}{}")},
        BadVersion{"deep_nesting", payload_of(0, 0, std::string(16000, '['))},
        BadVersion{"bad_utf8", payload_of(0, 0, "{\"\xff\":1}")},
        BadVersion{"capabilities_string", payload_of(0, 0, R"({"capabilities":"23"})")},
        BadVersion{"capabilities_array", payload_of(0, 0, R"({"capabilities":[]})")},
        BadVersion{"fds_string", payload_of(0, 0, capability(R"("max_msg_fds":"foo")"))},
        BadVersion{"fds_negative", payload_of(0, 0, capability(R"("max_msg_fds":-1)"))},
        BadVersion{"fds_float", payload_of(0, 0, capability(R"("max_msg_fds":1.5)"))},
        BadVersion{"fds_33_bits", payload_of(0, 0, capability(R"("max_msg_fds":4294967296)"))},
        BadVersion{"fds_65_bits",
                   payload_of(0, 0, capability(R"("max_msg_fds":36893488147419103232)"))},
        BadVersion{"xfer_zero", payload_of(0, 0, capability(R"("max_data_xfer_size":0)"))},
        BadVersion{"xfer_object", payload_of(0, 0, capability(R"("max_data_xfer_size":{})"))},
        BadVersion{"maps_bool", payload_of(0, 0, capability(R"("max_dma_maps":true)"))},
        BadVersion{"pgsizes_string", payload_of(0, 0, capability(R"("pgsizes":"4k")"))},
        BadVersion{"migration_number", payload_of(0, 0, capability(R"("migration":1)"))},
        BadVersion{"pgsize_string",
                   payload_of(0, 0, capability(R"("migration":{"pgsize":"foo"})"))},
        BadVersion{"pgsize_4095", payload_of(0, 0, capability(R"("migration":{"pgsize":4095})"))},
        BadVersion{"pgsize_5000", payload_of(0, 0, capability(R"("migration":{"pgsize":5000})"))},
        BadVersion{"twin_string", payload_of(0, 0, capability(R"("twin_socket":"yes")"))},
        BadVersion{"twin_supported_number",
                   payload_of(0, 0, capability(R"("twin_socket":{"supported":1})"))},
        BadVersion{"multi_number", payload_of(0, 0, capability(R"("write_multiple":1)"))}),
    [](const auto& param) { return param.param.name; });

TEST(VersionReply, FitsWhatQemuReads) {
    const std::string reply = version_reply({});
    ASSERT_GT(reply.size(), sizeof(VersionBody));
    EXPECT_EQ(reply.back(), '\0');
    EXPECT_LE(reply.size() - sizeof(VersionBody), kMaxJson);
    const auto json = nlohmann::json::parse(
        reply.substr(sizeof(VersionBody), reply.size() - sizeof(VersionBody) - 1));
    const auto& capabilities = json.at("capabilities");
    EXPECT_LE(capabilities.at("max_msg_fds").get<int>(), 16);
    EXPECT_GE(capabilities.at("max_msg_fds").get<int>(), 8);
    EXPECT_EQ(capabilities.at("max_data_xfer_size").get<int>(), 1048576);
    EXPECT_LE(capabilities.at("max_dma_maps").get<int>(), 65535);
    EXPECT_EQ(capabilities.at("pgsizes").get<int>() % 4096, 0);
    EXPECT_FALSE(capabilities.contains("twin_socket"));
    EXPECT_FALSE(capabilities.contains("write_multiple"));
}

TEST(VersionReply, MinorIsTheSmallerOne) {
    for (const auto& [theirs, answer] :
         {std::pair<uint16_t, uint16_t>{0, 0}, {1, 1}, {2, 2}, {3, 2}, {0xffff, 2}}) {
        ClientCapabilities client;
        client.minor = theirs;
        const std::string reply = version_reply(client);
        VersionBody body;
        std::memcpy(&body, reply.data(), sizeof body);
        EXPECT_EQ(body.major, 0);
        EXPECT_EQ(body.minor, answer);
    }
}

}  // namespace
}  // namespace mimic::vfio_user
