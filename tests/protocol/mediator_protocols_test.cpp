// SPDX-License-Identifier: Apache-2.0
// The mediator's four protocols, spoken as they should be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/mediator_rig.h"

namespace mimic::mediator {
namespace {

using namespace std::chrono_literals;

Config with_vms(std::initializer_list<VmId> vms) {
    Config config = rig_config();
    for (const VmId id : vms) {
        VmConfig vm;
        vm.id = id;
        config.vms.push_back(vm);
    }
    return config;
}

// The original vgpu-stub, change 5, and the one public answer to it: 12 bytes, then a response.
TEST(MediatorPacket, IsAnsweredInThePublicForm) {
    MediatorRig rig(with_vms({5}));
    RawPeer peer(rig.of_vm(5));
    for (uint32_t id = 100; id < 103; ++id) {
        ASSERT_TRUE(peer.send(packet_of(5, id, compute::make_request(VGPU_OP_NOP))));
        const auto got = receive_packet(peer);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->head.vm_id, 5U);
        EXPECT_EQ(got->head.request_id, id);
        EXPECT_EQ(got->head.length, sizeof(vgpu_response));
        EXPECT_EQ(got->response.status, VGPU_OK);
    }
}

TEST(MediatorPacket, JobsRunOnBackends) {
    MediatorRig rig(with_vms({5}));
    RawPeer peer(rig.of_vm(5));
    ASSERT_TRUE(peer.send(packet_of(5, 1, rig_job(100))));
    ASSERT_TRUE(receive_packet(peer));
    EXPECT_EQ(rig.vm(5).counters.done, 1U);
    EXPECT_EQ(rig.on_loop([&] { return rig.backends().ran.size(); }), 1U);
}

template <typename Header>
Header legacy_header(wire::Type type, size_t payload) {
    Header header{};
    header.magic = wire::kMagic;
    header.type = static_cast<uint32_t>(type);
    header.vm_id = 3;
    header.request_id = 77;
    header.pool_id = 'A';
    header.priority = 2;
    header.payload_length = static_cast<decltype(header.payload_length)>(payload);
    return header;
}

template <typename Header>
class MediatorLegacy : public testing::Test {};
using Legacies = testing::Types<wire::HeaderV1, wire::HeaderV2>;
TYPED_TEST_SUITE(MediatorLegacy, Legacies);

TYPED_TEST(MediatorLegacy, RequestIsAnsweredAndTheConnectionEnds) {
    MediatorRig rig;
    RawPeer peer(rig.framed());
    const auto request = compute::make_request(VGPU_OP_NOP);
    ASSERT_TRUE(peer.send_value(legacy_header<TypeParam>(wire::Type::kRequest, request.size())));
    ASSERT_TRUE(peer.send(request));
    const auto head = peer.receive_value<TypeParam>();
    ASSERT_TRUE(head);
    EXPECT_EQ(head->type, static_cast<uint32_t>(wire::Type::kResponse));
    EXPECT_EQ(head->vm_id, 3U);
    EXPECT_EQ(head->request_id, 77U);
    ASSERT_EQ(head->payload_length, sizeof(vgpu_response));
    EXPECT_TRUE(peer.receive(sizeof(vgpu_response)));
    EXPECT_TRUE(peer.is_ended());
    EXPECT_EQ(rig.vm(3).priority, Priority::kHigh);
}

// A lone PING of v1 is told from the begin of one of v2 by what follows, or by nothing following.
TYPED_TEST(MediatorLegacy, PingIsAnsweredByPong) {
    MediatorRig rig;
    RawPeer peer(rig.framed());
    ASSERT_TRUE(peer.send_value(legacy_header<TypeParam>(wire::Type::kPing, 0)));
    const auto head = peer.receive_value<TypeParam>();
    ASSERT_TRUE(head);
    EXPECT_EQ(head->type, static_cast<uint32_t>(wire::Type::kPong));
    EXPECT_TRUE(peer.is_ended());
}

TYPED_TEST(MediatorLegacy, TooFastIsBusyAndQuarantineIsQuarantined) {
    Config config = rig_config();
    config.others->limits.rate = 1e-6;
    MediatorRig rig(config);
    const auto ask = [&] {
        RawPeer peer(rig.framed());
        const auto request = compute::make_request(VGPU_OP_NOP);
        peer.send_value(legacy_header<TypeParam>(wire::Type::kRequest, request.size()));
        peer.send(request);
        return peer.receive_value<TypeParam>()->type;
    };
    EXPECT_EQ(ask(), static_cast<uint32_t>(wire::Type::kResponse));
    EXPECT_EQ(ask(), static_cast<uint32_t>(wire::Type::kBusy));
    rig.on_loop([&] { ASSERT_TRUE(rig.engine().quarantine(3, "test", {})); });
    EXPECT_EQ(ask(), static_cast<uint32_t>(wire::Type::kQuarantined));
}

// SO_PEERCRED says who is at the other end, whatever the message says.
Config for_another_user() {
    Config config = with_vms({5});
    config.uids = {::geteuid() + 1};
    return config;
}

TYPED_TEST(MediatorLegacy, AnotherUserIsDenied) {
    MediatorRig rig(for_another_user());
    RawPeer peer(rig.framed());
    const auto request = compute::make_request(VGPU_OP_NOP);
    ASSERT_TRUE(peer.send_value(legacy_header<TypeParam>(wire::Type::kRequest, request.size())));
    ASSERT_TRUE(peer.send(request));
    ASSERT_TRUE(peer.receive_value<TypeParam>());
    const auto response = peer.receive_value<vgpu_response>();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, VGPU_ERROR_DENIED);
    EXPECT_EQ(rig.counters().denied, 1U);
}

TEST(MediatorPacket, AnotherUserIsDenied) {
    MediatorRig rig(for_another_user());
    RawPeer peer(rig.of_vm(5));
    ASSERT_TRUE(peer.send(packet_of(5, 1, compute::make_request(VGPU_OP_NOP))));
    const auto got = receive_packet(peer);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->response.status, VGPU_ERROR_DENIED);
    EXPECT_TRUE(peer.is_ended());
    EXPECT_EQ(rig.counters().denied, 1U);
}

TEST(MediatorFrames, AnotherUserIsDenied) {
    MediatorRig rig(for_another_user());
    RawPeer peer(rig.framed());
    const auto hello = greet(peer, 5, hello_of(0, 1 << 20));
    ASSERT_TRUE(hello);
    EXPECT_EQ(hello->status, VGPU_ERROR_DENIED);
    EXPECT_EQ(hello->session, 0U);
    EXPECT_FALSE(peer.take_descriptor());
    EXPECT_TRUE(peer.is_ended());
    EXPECT_EQ(rig.counters().denied, 1U);
    EXPECT_EQ(rig.vm(5).connections, 0U);
}

TEST(MediatorFrames, HelloAgreesOnWhatBothCan) {
    MediatorRig rig;
    RawPeer peer(rig.framed());
    const auto hello = greet(peer, 1, hello_of(0, 1 << 20));
    ASSERT_TRUE(hello);
    EXPECT_EQ(hello->status, VGPU_OK);
    EXPECT_EQ(hello->version, 3U);
    EXPECT_NE(hello->session, 0U);
    EXPECT_EQ(hello->max_in_flight, 257U);
    EXPECT_EQ(hello->shared_bytes, 1U << 20);
    EXPECT_TRUE(compute::SharedMemory::open(peer.take_descriptor(), 1 << 20));

    RawPeer plain(rig.framed());
    wire::Hello wanted = hello_of(0, 1 << 20);
    wanted.capabilities = 0;
    const auto less = greet(plain, 1, wanted);
    ASSERT_TRUE(less);
    EXPECT_EQ(less->capabilities, 0U);
    EXPECT_EQ(less->max_in_flight, 1U);
    EXPECT_EQ(less->shared_bytes, 0U);
    EXPECT_FALSE(plain.take_descriptor());
}

TEST(MediatorFrames, ManyInOneWriteAreAllAnswered) {
    MediatorRig rig;
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, 1, hello_of()));
    std::vector<std::byte> batch;
    for (uint64_t id = 1; id <= 1000; ++id) {
        const auto frame = request_frame(id, compute::make_request(VGPU_OP_NOP));
        batch.insert(batch.end(), frame.begin(), frame.end());
    }
    ASSERT_TRUE(peer.send(batch));
    for (uint64_t id = 1; id <= 1000; ++id) {
        const auto answer = receive_frame(peer);
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->head.request_id, id);
        EXPECT_EQ(answer->head.status, VGPU_OK);
    }
}

TEST(MediatorFrames, LongDataGoesThroughSharedMemoryBothWays) {
    constexpr size_t kSize = 100'000;
    MediatorRig rig;
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, 1, hello_of(0, 1 << 20)));
    auto shared = compute::SharedMemory::open(peer.take_descriptor(), 1 << 20);
    ASSERT_TRUE(shared);
    std::vector<std::byte> data(kSize);
    for (size_t i = 0; i < kSize; ++i) data[i] = std::byte(i * 7);
    const auto request = compute::make_request(VGPU_OP_MEM_WRITE, {}, data);
    std::copy(request.begin(), request.end(), shared->bytes().begin() + 1000);
    wire::Frame frame{};
    frame.magic = wire::kMagic;
    frame.type = static_cast<uint16_t>(wire::FrameType::kRequest);
    frame.flags = wire::kFlagShared | wire::kFlagRoom;
    frame.request_id = 1;
    frame.data_offset = 1000;
    frame.data_length = static_cast<uint32_t>(request.size());
    frame.room_offset = 500'000;
    frame.room_length = 300'000;
    ASSERT_TRUE(peer.send_value(frame));
    const auto answer = receive_frame(peer);
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->head.status, VGPU_OK);
    EXPECT_EQ(answer->head.flags, wire::kFlagShared);
    EXPECT_EQ(answer->head.data_offset, 500'000U);
    // The fake backend answers with what it was asked.
    const auto view = compute::view_response(
        shared->at(answer->head.data_offset, answer->head.data_length));
    ASSERT_TRUE(view);
    EXPECT_TRUE(std::equal(view->data.begin(), view->data.end(), request.begin(), request.end()));
}

TEST(MediatorFrames, LongAnswerWithoutSharedMemoryIsInline) {
    MediatorRig rig;
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, 1, hello_of()));
    const std::vector<std::byte> data(3 << 20, std::byte{5});
    const auto request = compute::make_request(VGPU_OP_MEM_WRITE, {}, data);
    ASSERT_TRUE(peer.send(request_frame(1, request, 0, 4 << 20)));
    const auto answer = receive_frame(peer);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->head.status, VGPU_OK);
    EXPECT_GT(answer->bytes.size(), data.size());
    ASSERT_TRUE(peer.send(request_frame(2, request, 0, 1 << 20)));
    EXPECT_EQ(receive_frame(peer)->head.status, VGPU_ERROR_INVALID_LENGTH);
}

TEST(MediatorFrames, PingCancelAndAcknowledgeAreServed) {
    MediatorRig rig;
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, 1, hello_of()));
    const auto control = [](wire::FrameType type, uint64_t id) {
        wire::Frame frame{};
        frame.magic = wire::kMagic;
        frame.type = static_cast<uint16_t>(type);
        frame.request_id = id;
        return frame;
    };
    ASSERT_TRUE(peer.send(request_frame(1, rig_job(60'000'000))));
    ASSERT_TRUE(peer.send(request_frame(2, rig_job(10))));
    ASSERT_TRUE(peer.send_value(control(wire::FrameType::kCancel, 2)));
    ASSERT_TRUE(peer.send_value(control(wire::FrameType::kCancel, 1)));
    for (const uint64_t id : {2, 1}) {
        const auto answer = receive_frame(peer);
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->head.request_id, id);
        EXPECT_EQ(answer->head.status, VGPU_ERROR_CANCELLED);
    }
    ASSERT_TRUE(peer.send(request_frame(3, rig_job(10))));
    ASSERT_TRUE(receive_frame(peer));
    ASSERT_TRUE(peer.send_value(control(wire::FrameType::kAcknowledge, 3)));
    ASSERT_TRUE(peer.send_value(control(wire::FrameType::kPing, 9)));
    EXPECT_EQ(receive_frame(peer)->head.type, static_cast<uint16_t>(wire::FrameType::kPong));
    const auto acknowledged = rig.on_loop([&] { return rig.backends().acknowledged; });
    ASSERT_EQ(acknowledged.size(), 1U);
    EXPECT_EQ(acknowledged[0].second, 3U);
}

}  // namespace
}  // namespace mimic::mediator
