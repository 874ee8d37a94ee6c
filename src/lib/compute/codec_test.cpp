// SPDX-License-Identifier: Apache-2.0
#include "compute/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "compute/request.h"
#include "compute/shared_memory.h"

namespace mimic::compute {
namespace {

using namespace wire;  // NOLINT(google-build-using-namespace): what is tested

constexpr FrameLimits kLimits{4096, 8192};

template <typename Header>
std::vector<std::byte> bytes(const Header& header, size_t payload = 0) {
    std::vector<std::byte> all(sizeof header + payload, std::byte{0x5a});
    std::memcpy(all.data(), &header, sizeof header);
    return all;
}

HeaderV2 v2(Type type, uint32_t length) {
    return {kMagic, static_cast<uint32_t>(type), 1, 2, 'A', 1, 0, length};
}
HeaderV1 v1(Type type, uint16_t length) {
    return {kMagic, static_cast<uint32_t>(type), 1, 2, 'A', 1, length};
}
Frame request_frame() {
    Frame frame{};
    frame.magic = kMagic;
    frame.type = static_cast<uint16_t>(FrameType::kRequest);
    frame.length = 32;
    return frame;
}

TEST(Codec, APacketIsWholeOnlyWithItsLastByte) {
    const auto all = bytes(Packet{1, 2, 36, 'A', 1, {}}, 36);
    for (size_t size = 0; size < all.size(); ++size)
        EXPECT_EQ(parse_packet(std::span(all).first(size)).found, Found::kMore) << size;
    const auto message = parse_packet(all);
    ASSERT_EQ(message.found, Found::kMessage);
    EXPECT_EQ(message.size, 52u);
    EXPECT_EQ(message.payload.size(), 36u);
    EXPECT_EQ(message.header.request_id, 2u);
}

TEST(Codec, PacketsOfTheSeedHaveItsBytes) {
    ByteQueue out;
    append(out, Packet{7, 0x01020304, 2, 'B', 2, {}}, bytes_of(uint16_t{0x1122}));
    const std::array<uint8_t, 18> expected{7, 0, 0, 0,   4, 3, 2, 1,    2,
                                           0, 0, 0, 'B', 2, 0, 0, 0x22, 0x11};
    ASSERT_EQ(out.size(), expected.size());
    EXPECT_EQ(std::memcmp(out.data(), expected.data(), expected.size()), 0);
}

TEST(Codec, WrongPackets) {
    EXPECT_EQ(parse_packet(bytes(Packet{1, 2, 0, 'A', 1, {}})).found, Found::kBad);
    EXPECT_EQ(parse_packet(bytes(Packet{1, 2, 1025, 'A', 1, {}})).found, Found::kBad);
    EXPECT_EQ(parse_packet(bytes(Packet{1, 2, 1024, 'A', 1, {}})).found, Found::kMore);
    EXPECT_EQ(parse_packet(bytes(Packet{1, 2, 4, 'a', 1, {}})).found, Found::kBad);
    EXPECT_EQ(parse_packet(bytes(Packet{1, 2, 4, 'A', 3, {}})).found, Found::kBad);
    EXPECT_EQ(parse_packet_answer(bytes(PacketAnswer{1, 2, 1025})).found, Found::kBad);
}

TEST(Codec, HeadersOfThePublicMediatorHaveItsSizesAndMagic) {
    EXPECT_EQ(bytes(v1(Type::kRequest, 40)).size(), 20u);
    EXPECT_EQ(bytes(v2(Type::kRequest, 40)).size(), 24u);
    const auto all = bytes(v2(Type::kRequest, 40));
    EXPECT_EQ(std::memcmp(all.data(), "UPGV", 4), 0);
}

TEST(Codec, LegacyLengthsByType) {
    EXPECT_EQ(parse_v2(bytes(v2(Type::kRequest, 1024), 1024)).found, Found::kMessage);
    EXPECT_EQ(parse_v2(bytes(v2(Type::kRequest, 1025))).found, Found::kBad);
    EXPECT_EQ(parse_v2(bytes(v2(Type::kRequest, 0))).found, Found::kBad);
    EXPECT_EQ(parse_v2(bytes(v2(Type::kPing, 0))).found, Found::kMessage);
    EXPECT_EQ(parse_v2(bytes(v2(Type::kPing, 1))).found, Found::kBad);
    EXPECT_EQ(parse_v2(bytes(v2(Type::kBusy, 0))).found, Found::kMessage);
    EXPECT_EQ(parse_v2(bytes(v2(Type::kHello, sizeof(Hello)), sizeof(Hello))).found,
              Found::kMessage);
    EXPECT_EQ(parse_v2(bytes(v2(Type::kHello, 39), 39)).found, Found::kBad);
    EXPECT_EQ(parse_v2(bytes(v2(static_cast<Type>(0x10), 0))).found, Found::kBad);
    EXPECT_EQ(parse_v1(bytes(v1(Type::kHello, sizeof(Hello)), sizeof(Hello))).found, Found::kBad);
    EXPECT_EQ(parse_v1(bytes(v1(Type::kRequest, 32), 32)).found, Found::kMessage);
    auto header = v1(Type::kRequest, 32);
    header.magic ^= 1;
    EXPECT_EQ(parse_v1(bytes(header, 32)).found, Found::kBad);
}

TEST(Codec, ProbeTellsTheFormsApart) {
    EXPECT_EQ(probe(bytes(v1(Type::kRequest, 32), 32), false), Form::kV1);
    EXPECT_EQ(probe(bytes(v2(Type::kRequest, 32), 32), false), Form::kV2);
    EXPECT_EQ(probe(bytes(v2(Type::kHello, sizeof(Hello))), false), Form::kV3);
    EXPECT_EQ(probe(bytes(v2(Type::kPing, 0)), false), Form::kV2);
    // A PING of v1: only silence tells, or another message.
    EXPECT_EQ(probe(bytes(v1(Type::kPing, 0)), false), Form::kMore);
    EXPECT_EQ(probe(bytes(v1(Type::kPing, 0)), true), Form::kV1);
    auto two = bytes(v1(Type::kPing, 0));
    const auto second = bytes(v1(Type::kRequest, 32), 32);
    two.insert(two.end(), second.begin(), second.end());
    EXPECT_EQ(probe(two, false), Form::kV1);
    EXPECT_EQ(probe(std::vector<std::byte>(4), false), Form::kBad);
    EXPECT_EQ(probe(std::span(two).first(19), true), Form::kMore);
    EXPECT_EQ(probe({}, false), Form::kMore);
}

TEST(Codec, FramesAreTakenWhole) {
    const auto all = bytes(request_frame(), 32);
    for (size_t size = 0; size < all.size(); ++size)
        EXPECT_EQ(parse_frame(std::span(all).first(size), kLimits).found, Found::kMore) << size;
    const auto message = parse_frame(all, kLimits);
    ASSERT_EQ(message.found, Found::kMessage);
    EXPECT_EQ(message.size, sizeof(Frame) + 32);
}

TEST(Codec, EachFieldOfAFrameIsChecked) {
    const auto bad = [](auto change) {
        Frame frame = request_frame();
        change(frame);
        return parse_frame(bytes(frame, 4096), kLimits).found;
    };
    EXPECT_EQ(bad([](Frame&) {}), Found::kMessage);
    EXPECT_EQ(bad([](Frame& f) { f.magic = 0; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.type = 0; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.type = 8; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.flags = 8; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.length = 0; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.length = 4097; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.length = 0xffffffff; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.status = 1; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.data_offset = 64; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.data_length = 64; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.room_offset = 64; }), Found::kBad);
    EXPECT_EQ(bad([](Frame& f) { f.room_length = VGPU_MAX_MESSAGE; }), Found::kMessage);
    EXPECT_EQ(bad([](Frame& f) { f.room_length = VGPU_MAX_MESSAGE + 1; }), Found::kBad);
    const auto shared = [&](uint32_t offset, uint32_t length) {
        return bad([=](Frame& f) {
            f.flags = kFlagShared;
            f.data_offset = offset;
            f.data_length = length;
        });
    };
    EXPECT_EQ(shared(0, 8192), Found::kMessage);
    EXPECT_EQ(shared(8191, 1), Found::kMessage);
    EXPECT_EQ(shared(0, 0), Found::kBad);
    EXPECT_EQ(shared(0, 8193), Found::kBad);
    EXPECT_EQ(shared(8192, 1), Found::kBad);
    EXPECT_EQ(shared(0xffffffff, 0xffffffff), Found::kBad);
    const auto room = [&](uint32_t offset, uint32_t length) {
        return bad([=](Frame& f) {
            f.flags = kFlagRoom;
            f.room_offset = offset;
            f.room_length = length;
        });
    };
    EXPECT_EQ(room(4096, 4096), Found::kMessage);
    EXPECT_EQ(room(4096, 4097), Found::kBad);
    EXPECT_EQ(room(0, 0), Found::kBad);
    EXPECT_EQ(room(0xfffffff0, 0x20), Found::kBad);
    const auto response = [&](auto change) {
        return bad([=](Frame& f) {
            f.type = static_cast<uint16_t>(FrameType::kResponse);
            change(f);
        });
    };
    EXPECT_EQ(response([](Frame& f) { f.status = 5; }), Found::kBad);
    EXPECT_EQ(response([](Frame& f) { f.flags = kFlagAgain; }), Found::kBad);
    EXPECT_EQ(response([](Frame& f) { f.room_length = 1; }), Found::kBad);
    const auto other = [&](auto change) {
        return bad([=](Frame& f) {
            f.type = static_cast<uint16_t>(FrameType::kPing);
            f.length = 0;
            change(f);
        });
    };
    EXPECT_EQ(other([](Frame&) {}), Found::kMessage);
    EXPECT_EQ(other([](Frame& f) { f.length = 1; }), Found::kBad);
    EXPECT_EQ(other([](Frame& f) { f.flags = kFlagShared; }), Found::kBad);
}

TEST(Requests, WhatIsMadeIsRead) {
    const std::vector<uint32_t> params{1, 2, 3};
    const std::vector<std::byte> data(100, std::byte{7});
    const auto request = make_request(VGPU_OP_MEM_WRITE, params, data);
    const auto view = view_request(request);
    ASSERT_TRUE(view);
    EXPECT_EQ(view->header.opcode, uint32_t{VGPU_OP_MEM_WRITE});
    ASSERT_EQ(view->params.size(), 3u);
    EXPECT_EQ(view->params[2], 3u);
    EXPECT_EQ(view->params[3], 0u);
    EXPECT_EQ(view->params.wide(0), 0x2'0000'0001u);
    EXPECT_EQ(view->params.wide(2), 0u);
    EXPECT_TRUE(std::ranges::equal(view->data, data));
    EXPECT_EQ(view->header.data_offset % 8, 0u);
    const auto response = make_response(VGPU_OK, params, data, 9);
    const auto answer = view_response(response);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->results[1], 2u);
    EXPECT_EQ(answer->header.exec_time_us, 9u);
    EXPECT_TRUE(std::ranges::equal(answer->data, data));
}

TEST(Requests, EachFieldIsChecked) {
    const std::vector<uint32_t> params{1, 2};
    const std::vector<std::byte> data(16);
    const auto good = make_request(VGPU_OP_SUM, params, data);
    const auto with = [&](auto change) {
        auto all = good;
        vgpu_request header;
        std::memcpy(&header, all.data(), sizeof header);
        change(header);
        std::memcpy(all.data(), &header, sizeof header);
        return view_request(all).has_value();
    };
    EXPECT_TRUE(with([](vgpu_request&) {}));
    EXPECT_FALSE(with([](vgpu_request& r) { r.version = 2; }));
    EXPECT_FALSE(with([](vgpu_request& r) { r.param_count = 65; }));
    EXPECT_FALSE(with([](vgpu_request& r) { r.param_count = 0xffffffff; }));
    EXPECT_FALSE(with([](vgpu_request& r) { r.data_offset = 0; }));
    EXPECT_FALSE(with([](vgpu_request& r) { r.data_offset = 39; }));
    EXPECT_FALSE(with([](vgpu_request& r) { r.data_offset = 41; }));
    EXPECT_FALSE(with([](vgpu_request& r) { r.data_offset = 0xffffffff; }));
    EXPECT_FALSE(with([](vgpu_request& r) { r.data_length = 17; }));
    EXPECT_FALSE(with([](vgpu_request& r) { r.data_length = 0xffffffff; }));
    for (size_t size = 0; size < good.size(); ++size)
        EXPECT_FALSE(view_request(std::span(good).first(size))) << size;
}

TEST(Requests, Nops) {
    EXPECT_TRUE(is_nop(make_request(VGPU_OP_NOP)));
    EXPECT_FALSE(is_nop(make_request(VGPU_OP_SUM)));
    EXPECT_FALSE(is_nop(std::vector<std::byte>(31)));
    const auto response = view_response(nop_response());
    ASSERT_TRUE(response);
    EXPECT_EQ(response->header.status, uint32_t{VGPU_OK});
}

TEST(Memory, IsSharedAndCannotShrink) {
    auto ours = SharedMemory::create(8192);
    ASSERT_TRUE(ours);
    auto theirs = SharedMemory::open(UniqueFd(::dup(ours->fd())), 8192);
    ASSERT_TRUE(theirs);
    ours->bytes()[8191] = std::byte{42};
    EXPECT_EQ(theirs->bytes()[8191], std::byte{42});
    EXPECT_NE(::ftruncate(theirs->fd(), 0), 0);
    EXPECT_FALSE(SharedMemory::open(UniqueFd(::dup(ours->fd())), 8193));
    EXPECT_FALSE(SharedMemory::open(UniqueFd(::dup(2)), 1));
    EXPECT_FALSE(SharedMemory::create(0));
}

}  // namespace
}  // namespace mimic::compute
