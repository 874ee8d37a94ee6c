// SPDX-License-Identifier: Apache-2.0
// What the mediator holds for peers that ask for much and read little, how long, and how it says
// that it can hold no more.
#include <gtest/gtest.h>

#include <sys/socket.h>

#include <cerrno>
#include <thread>

#include "tests/protocol/mediator_rig.h"

namespace mimic::mediator {
namespace {

using namespace std::chrono_literals;

constexpr VmId kAsker = 7;
constexpr VmId kOther = 8;
constexpr size_t kMiB = size_t{1} << 20;

Config patient_config() {
    Config config = rig_config();
    config.quarantine.faults = 0;
    config.session_patience = 10min;
    for (const VmId id : {kAsker, kOther}) {
        VmConfig vm;
        vm.id = id;
        vm.limits.job_timeout = 10min;
        config.vms.push_back(vm);
    }
    return config;
}

const std::vector<std::byte> kEndless = rig_job(600'000'000);

std::vector<std::byte> cancel_frame(uint64_t id) {
    wire::Frame frame{};
    frame.magic = wire::kMagic;
    frame.type = static_cast<uint16_t>(wire::FrameType::kCancel);
    frame.request_id = id;
    const auto bytes = wire::bytes_of(frame);
    return {bytes.begin(), bytes.end()};
}

// Asks for so many answers of a MiB at once, and reads none. They come together, for what is before
// them is cancelled when all have been sent.
void ask_for_answers(MediatorRig& rig, RawPeer& peer, uint64_t count) {
    ASSERT_TRUE(greet(peer, kAsker, hello_of()));
    const auto request = compute::make_request(VGPU_OP_LAUNCH, std::vector<uint32_t>{1},
                                               std::vector<std::byte>(kMiB));
    ASSERT_TRUE(peer.send(request_frame(1, kEndless)));
    for (uint64_t i = 0; i < count; ++i)
        ASSERT_TRUE(peer.send(request_frame(2 + i, request, 0, 2 * kMiB)));
    ASSERT_TRUE(peer.send(cancel_frame(1)));
    ASSERT_TRUE(rig.wait_for([&](const auto& counters) { return counters.answers == count + 1; }));
}

void read_answers(RawPeer& peer, uint64_t count) {
    EXPECT_EQ(receive_frame(peer)->head.status, VGPU_ERROR_CANCELLED);
    for (uint64_t i = 0; i < count; ++i) {
        const auto answer = receive_frame(peer);
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->head.request_id, 2 + i);
        EXPECT_GT(answer->bytes.size(), kMiB);
    }
}

TEST(MediatorHeld, AnswersThatNobodyHasReadCountAndTheirMemoryIsFreed) {
    MediatorRig rig(patient_config());
    RawPeer peer(rig.framed());
    ask_for_answers(rig, peer, 8);
    EXPECT_GE(rig.counters().held_bytes, 6 * kMiB);  // the kernel has some, and some may be kept
    read_answers(peer, 8);
    EXPECT_TRUE(rig.wait_for([](const auto& counters) { return counters.held_bytes == 0; }));
    EXPECT_EQ(rig.counters().open, 1U);
}

TEST(MediatorHeld, WhoGoesHoldsNothing) {
    MediatorRig rig(patient_config());
    RawPeer peer(rig.framed());
    ask_for_answers(rig, peer, 4);
    peer.close();
    EXPECT_TRUE(rig.wait_for([](const auto& counters) { return counters.open == 0; }));
    EXPECT_EQ(rig.counters().held_bytes, 0U);
}

// Above the limit of all each has one request, however it came to be reached; below it, all go on.
TEST(MediatorHeld, UnreadAnswersOfOneKeepOthersToOneRequestEach) {
    MediatorRig rig(patient_config());
    ServerOptions options = server_options(rig.config());
    options.held_total = 4 * kMiB;
    rig.on_loop([&] { ASSERT_TRUE(rig.server().reload(options)); });
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, kAsker, hello_of()));
    // One frame longer than the limit: only an idle connection may have it.
    const auto request = compute::make_request(VGPU_OP_LAUNCH, std::vector<uint32_t>{1},
                                               std::vector<std::byte>(6 * kMiB));
    ASSERT_TRUE(peer.send(request_frame(2, request, 0, 8 * kMiB)));
    ASSERT_TRUE(rig.wait_for([](const auto& counters) { return counters.answers == 1; }));
    const uint64_t before = rig.counters().requests;
    RawPeer other(rig.framed());
    ASSERT_TRUE(greet(other, kOther, hello_of()));
    auto both = request_frame(1, kEndless);
    const auto second = request_frame(2, kEndless);
    both.insert(both.end(), second.begin(), second.end());
    ASSERT_TRUE(other.send(both));
    ASSERT_TRUE(rig.wait_for([&](const auto& counters) { return counters.requests > before; }));
    EXPECT_EQ(rig.counters().requests, before + 1);
    EXPECT_GT(receive_frame(peer)->bytes.size(), 6 * kMiB);
    EXPECT_TRUE(rig.wait_for([&](const auto& counters) { return counters.requests == before + 2; }))
        << "it has room again, and nobody was answered";
}

// 8 KiB in 20 ms is less than half of the least, and yet never nothing for long.
TEST(MediatorHeld, WhoReadsAByteNowAndThenIsEnded) {
    Config config = patient_config();
    config.message_timeout = 1500ms;
    MediatorRig rig(config);
    RawPeer peer(rig.framed());
    ask_for_answers(rig, peer, 3);
    std::vector<std::byte> some(8192);
    size_t got = 0;
    for (;;) {
        const ssize_t count = ::recv(peer.fd(), some.data(), some.size(), MSG_DONTWAIT);
        if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) break;
        if (count > 0) got += static_cast<size_t>(count);
        if (got > 3 * kMiB) break;
        std::this_thread::sleep_for(20ms);
    }
    EXPECT_LT(got, 3 * kMiB);
    EXPECT_EQ(rig.counters().unread, 1U);
    EXPECT_EQ(rig.counters().held_bytes, 0U);
}

TEST(MediatorHeld, RequestsOfAConnectionThatEndedAreCounted) {
    MediatorRig rig(patient_config());
    RawPeer peer(rig.framed());
    ASSERT_TRUE(greet(peer, kAsker, hello_of()));
    ASSERT_TRUE(peer.send(request_frame(1, compute::make_request(VGPU_OP_NOP))));
    ASSERT_TRUE(receive_frame(peer));
    for (uint64_t id = 2; id < 5; ++id) ASSERT_TRUE(peer.send(request_frame(id, kEndless)));
    ASSERT_TRUE(rig.wait_for([](const auto& counters) { return counters.requests == 4; }));
    peer.close();
    ASSERT_TRUE(rig.wait_for([](const auto& counters) { return counters.open == 0; }));
    EXPECT_EQ(rig.counters().dropped, 3U);
    EXPECT_EQ(rig.counters().requests, rig.counters().answers + rig.counters().dropped);
}

// As many sessions as a VM may have hold memory: one more may come later, it is not forbidden.
TEST(MediatorHeld, TooManySessionsAreToldSoInEachProtocol) {
    MediatorRig rig(patient_config());
    for (int i = 0; i < 64; ++i) {
        RawPeer peer(rig.framed());
        const auto greeted = greet(peer, kAsker, hello_of());
        ASSERT_TRUE(greeted && greeted->status == VGPU_OK) << i;
        ASSERT_TRUE(peer.send(request_frame(1, rig_job(1, VGPU_OP_MEM_ALLOC))));
        ASSERT_TRUE(receive_frame(peer));
        peer.close();
        ASSERT_TRUE(rig.wait_for([](const auto& counters) { return counters.open == 0; }));
    }
    RawPeer v3(rig.framed());
    EXPECT_EQ(greet(v3, kAsker, hello_of())->status, VGPU_ERROR_QUEUE_FULL);
    RawPeer packet(rig.of_vm(kAsker));
    ASSERT_TRUE(packet.send(packet_of(kAsker, 1, compute::make_request(VGPU_OP_NOP))));
    EXPECT_EQ(receive_packet(packet)->response.status, VGPU_ERROR_QUEUE_FULL);
    RawPeer v2(rig.framed());
    const auto nop = compute::make_request(VGPU_OP_NOP);
    auto header = hello_header(kAsker);
    header.type = static_cast<uint32_t>(wire::Type::kRequest);
    header.payload_length = static_cast<uint32_t>(nop.size());
    ASSERT_TRUE(v2.send_value(header));
    ASSERT_TRUE(v2.send(nop));
    EXPECT_EQ(v2.receive_value<wire::HeaderV2>()->type, static_cast<uint32_t>(wire::Type::kBusy));
    EXPECT_EQ(rig.counters().denied, 3U);
}

}  // namespace
}  // namespace mimic::mediator
