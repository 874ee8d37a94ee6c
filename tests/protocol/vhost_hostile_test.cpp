// SPDX-License-Identifier: Apache-2.0
// Front-ends that lie to a vhost-user back-end. Whatever they do, the process lives, the next
// front-end is served, and no descriptor stays behind.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include <gtest/gtest.h>

#include "tests/protocol/vhost_client.h"

namespace mimic::test {
namespace {

using namespace vhost_user;

size_t descriptors() {
    size_t count = 0;
    for (int fd = 0; fd < 1024; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
}

class VhostHostileTest : public ::testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(client.negotiate()); }
    void TearDown() override {
        client.hang_up();
        ASSERT_TRUE(eventually([&] { return !host.connected(); }));
        VhostClient next(host.path());
        ASSERT_TRUE(next.negotiate());
        ASSERT_TRUE(next.start(kToyQueues));
        EXPECT_TRUE(next.request(0, 64));
    }
    // Refused with NEED_REPLY, and the end of the connection without.
    template <typename T>
    void refused(Request request, const T& body, std::span<const int> fds = {}) {
        EXPECT_EQ(client.ask(request, body, fds), 1u) << static_cast<int>(request);
        VhostHost other;
        VhostClient silent(other.path());
        ASSERT_TRUE(silent.negotiate());
        EXPECT_TRUE(silent.send(request, body, fds));
        EXPECT_TRUE(silent.ends()) << static_cast<int>(request);
    }

    VhostHost host{{.drain_timeout = std::chrono::milliseconds(100)}};
    VhostClient client{host.path()};
};

TEST_F(VhostHostileTest, FramesThatCannotBeFollowedEndTheConnection) {
    const std::array<Header, 4> frames = {
        Header{1, 0, 0},                      // version 0
        Header{1, kVersion | kFlagReply, 0},  // an answer to nothing
        Header{1, kVersion, kMaxBody + 1},    // too long
        Header{1, kVersion, 0xffff'ffff},
    };
    for (const Header& frame : frames) {
        VhostHost other;
        VhostClient peer(other.path());
        ASSERT_TRUE(peer.send_raw({reinterpret_cast<const uint8_t*>(&frame), sizeof frame}));
        EXPECT_TRUE(peer.ends());
        EXPECT_EQ(other.counters().protocol_faults, 1u);
    }
}

TEST_F(VhostHostileTest, UnknownRequestsAreRefused) {
    for (const uint32_t request : {0U, 6U, 19U, 28U, 31U, 32U, 35U, 41U, 1000U, 0xffff'ffffU})
        EXPECT_EQ(client.ask(static_cast<Request>(request)), 1u) << request;
}

TEST_F(VhostHostileTest, BodiesOfAnotherSizeAreRefused) {
    const std::array<uint8_t, 300> bytes{};
    for (const Request request :
         {Request::kSetFeatures, Request::kSetProtocolFeatures, Request::kSetVringNum,
          Request::kSetVringAddr, Request::kSetVringBase, Request::kGetVringBase,
          Request::kSetVringKick, Request::kSetVringCall, Request::kSetVringErr,
          Request::kSetVringEnable, Request::kAddMemReg, Request::kRemMemReg, Request::kSetStatus,
          Request::kSetConfig}) {
        // Of 300 bytes, and of 3.
        EXPECT_EQ(client.ask(request, std::span<const uint8_t>(bytes)), 1u)
            << static_cast<int>(request);
        EXPECT_EQ(client.ask(request, std::span<const uint8_t>(bytes).first(3)), 1u)
            << static_cast<int>(request);
    }
}

TEST_F(VhostHostileTest, RingsThatAreNotThereAreRefused) {
    for (const uint32_t index : {3U, 200U, 0xffff'ffffU}) {
        refused(Request::kSetVringNum, VringState{index, 16});
        EXPECT_EQ(client.ask(Request::kSetVringBase, VringState{index, 0}), 1u);
        EXPECT_EQ(client.ask(Request::kGetVringBase, VringState{index, 0}), 1u);
        EXPECT_EQ(client.ask(Request::kSetVringEnable, VringState{index, 1}), 1u);
        EXPECT_EQ(client.ask(Request::kSetVringAddr, VringAddress{index, 0, 0, 0, 0, 0}), 1u);
    }
    for (const uint32_t size : {0U, kToyQueueSize + 1U, 0x1'0010U})
        EXPECT_EQ(client.ask(Request::kSetVringNum, VringState{0, size}), 1u) << size;
    EXPECT_EQ(client.ask(Request::kSetVringEnable, VringState{0, 2}), 1u);
}

TEST_F(VhostHostileTest, FeaturesThatWereNotOfferedAreRefused) {
    refused(Request::kSetFeatures, ~uint64_t{0});
    EXPECT_EQ(client.ask(Request::kSetProtocolFeatures, uint64_t{1} << 12), 1u) << "INFLIGHT_SHMFD";
    refused(Request::kSetFeatures, client.features | virtio::feature(virtio::kRingReset));
}

TEST_F(VhostHostileTest, DescriptorsThatAreNoEventfdsAreRefused) {
    const uint64_t ring = 0;
    const int file = client.memory_fd();
    for (const Request request :
         {Request::kSetVringKick, Request::kSetVringCall, Request::kSetVringErr}) {
        refused(request, ring, std::span(&file, 1));
        EXPECT_EQ(client.ask(request, ring), 1u) << "none at all";
        const std::array<int, 2> two = {client.call_fd(0), client.call_fd(1)};
        EXPECT_EQ(client.ask(request, ring, two), 1u);
    }
    EXPECT_EQ(client.ask(Request::kSetVringKick, ring | kVringNoDescriptor), 1u) << "polling";
}

TEST_F(VhostHostileTest, MemoryThatCannotBeIsRefused) {
    const int fd = client.memory_fd();
    const std::array<MemoryRegion, 6> regions = {{
        {0, 0, 0, 0},
        {0, VhostClient::kMemory + 1, 0, 0},   // beyond the end of the file
        {0, VhostClient::kMemory, 0, 0x1000},  // the same
        {~uint64_t{0} - 4, 0x1000, 0, 0},      // wraps
        {0, 0x1000, ~uint64_t{0} - 4, 0},      // wraps
        {0, ~uint64_t{0}, 0, 0},
    }};
    for (const MemoryRegion& region : regions)
        EXPECT_EQ(client.ask(Request::kAddMemReg, SingleRegion{0, region}, std::span(&fd, 1)), 1u);
    EXPECT_EQ(client.ask(Request::kAddMemReg, SingleRegion{0, client.region()}), 1u) << "no file";
    const int event = client.call_fd(0);
    EXPECT_EQ(
        client.ask(Request::kAddMemReg, SingleRegion{0, client.region()}, std::span(&event, 1)),
        1u);
    ASSERT_EQ(client.ask(Request::kAddMemReg, SingleRegion{0, client.region()}, std::span(&fd, 1)),
              0u);
    EXPECT_EQ(client.ask(Request::kAddMemReg, SingleRegion{0, client.region()}, std::span(&fd, 1)),
              1u)
        << "twice";
    MemoryRegion other = client.region();
    other.guest_address = VhostClient::kMemory;
    EXPECT_EQ(client.ask(Request::kAddMemReg, SingleRegion{0, other}, std::span(&fd, 1)), 1u)
        << "at the same address of the front-end";
    EXPECT_EQ(client.ask(Request::kRemMemReg, SingleRegion{0, other}), 1u);
    EXPECT_EQ(client.ask(Request::kRemMemReg, SingleRegion{0, client.region()}), 0u);
}

TEST_F(VhostHostileTest, MemorySlotsAreBounded) {
    const int fd = client.memory_fd();
    const auto add = [&](uint64_t i) {
        const MemoryRegion region{i << 20, 0x1000, i << 20, 0};
        return client.ask(Request::kAddMemReg, SingleRegion{0, region}, std::span(&fd, 1));
    };
    for (uint64_t i = 0; i < kMaxMemorySlots; ++i) ASSERT_EQ(add(i), 0u) << i;
    EXPECT_EQ(add(kMaxMemorySlots), 1u);
}

TEST_F(VhostHostileTest, MoreDescriptorsThanAMessageHasEndTheConnection) {
    std::array<int, kMaxMessageFds + 1> fds{};
    fds.fill(client.memory_fd());
    const size_t before = descriptors();
    EXPECT_TRUE(client.send(Request::kGetFeatures, {}, fds));
    EXPECT_TRUE(client.ends());
    ASSERT_TRUE(eventually([&] { return !host.connected(); }));
    EXPECT_LE(descriptors(), before);
}

TEST_F(VhostHostileTest, RingsOutsideMemoryDoNotRun) {
    ASSERT_TRUE(client.start(1));
    client.stop(1);
    for (const uint64_t at : {uint64_t{0}, VhostClient::kUserBase + VhostClient::kMemory,
                              VhostClient::kUserBase + VhostClient::kMemory - 8,
                              VhostClient::kUserBase + 1, ~uint64_t{0}}) {
        VringAddress address = client.ring_address(0);
        address.descriptors = at;
        const int kick = client.kick_fd(0);
        ASSERT_TRUE(client.send(Request::kSetVringNum, VringState{0, 16}));
        ASSERT_TRUE(client.send(Request::kSetVringAddr, address));
        ASSERT_TRUE(client.send(Request::kSetVringKick, uint64_t{0}, std::span(&kick, 1)));
        ASSERT_TRUE(client.send(Request::kSetVringEnable, VringState{0, 1}));
        client.kick(0);
        ASSERT_EQ(client.get(Request::kGetFeatures), client.features) << at;
        client.stop(1);
    }
    EXPECT_EQ(host.toy().answered, 0u);
}

TEST_F(VhostHostileTest, ASizeThatIsNoPowerOfTwoDoesNotRun) {
    ASSERT_TRUE(client.start(1));
    client.stop(1);
    const int kick = client.kick_fd(0);
    ASSERT_TRUE(client.send(Request::kSetVringNum, VringState{0, 15}));
    ASSERT_TRUE(client.send(Request::kSetVringAddr, client.ring_address(0)));
    ASSERT_TRUE(client.send(Request::kSetVringKick, uint64_t{0}, std::span(&kick, 1)));
    ASSERT_TRUE(client.send(Request::kSetVringEnable, VringState{0, 1}));
    EXPECT_EQ(client.get(Request::kGetFeatures), client.features);
    bool enabled = true;
    host.on_loop([&] { enabled = host.toy().queue_enabled(0); });
    EXPECT_FALSE(enabled);
}

TEST_F(VhostHostileTest, ARingThatRunsCannotBeMovedOrResized) {
    ASSERT_TRUE(client.start(1));
    VringAddress moved = client.ring_address(0);
    EXPECT_EQ(client.ask(Request::kSetVringAddr, moved), 0u) << "the same again, as QEMU says it";
    moved.used += 0x1000;
    EXPECT_EQ(client.ask(Request::kSetVringAddr, moved), 1u);
    EXPECT_EQ(client.ask(Request::kSetVringNum, VringState{0, 8}), 1u);
    EXPECT_EQ(client.ask(Request::kSetVringBase, VringState{0, 8}), 1u);
    EXPECT_EQ(client.ask(Request::kSetFeatures, client.features ^ 1ULL << kToyFeature), 1u);
    EXPECT_TRUE(client.request(0, 10));
}

TEST_F(VhostHostileTest, MemoryThatIsTakenAwayEndsNobody) {
    ASSERT_TRUE(client.start(1));
    ASSERT_TRUE(client.request(0, 10));
    ASSERT_EQ(::ftruncate(client.memory_fd(), 0), 0);
    client.kick(0);
    EXPECT_EQ(client.get(Request::kGetFeatures), client.features);
}

TEST_F(VhostHostileTest, AFullBlockingCallHoldsNobodyUp) {
    ASSERT_TRUE(client.start(1));
    const UniqueFd full(::eventfd(0, EFD_CLOEXEC));
    const uint64_t most = UINT64_MAX - 1;
    ASSERT_EQ(::write(full.get(), &most, sizeof most), static_cast<ssize_t>(sizeof most));
    const int fd = full.get();
    ASSERT_EQ(client.ask(Request::kSetVringCall, uint64_t{0}, std::span(&fd, 1)), 0u);
    ASSERT_TRUE(client.queue(0).add({}, {{VhostClient::kData, 8}}));
    client.kick(0);
    EXPECT_TRUE(eventually([&] { return client.queue(0).take().has_value(); }));
    EXPECT_EQ(client.get(Request::kGetFeatures), client.features);
}

TEST_F(VhostHostileTest, ConfigurationBeyondItsEndIsZerosAndBeyondTheProtocolRefused) {
    std::array<uint8_t, sizeof(ConfigHead) + 4> message{};
    ConfigHead head{200, 4, 0};
    std::memcpy(message.data(), &head, sizeof head);
    ASSERT_TRUE(client.send(Request::kGetConfig, std::span<const uint8_t>(message)));
    auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, std::vector<uint8_t>(message.begin(), message.end()));
    for (const ConfigHead& bad : {ConfigHead{0, 0, 0}, ConfigHead{0, 257, 0}, ConfigHead{256, 4, 0},
                                  ConfigHead{0xffff'fffc, 4, 0}, ConfigHead{0, 8, 0}}) {
        std::memcpy(message.data(), &bad, sizeof bad);
        ASSERT_TRUE(client.send(Request::kGetConfig, std::span<const uint8_t>(message)));
        answer = client.receive();
        ASSERT_TRUE(answer);
        EXPECT_TRUE(answer->body.empty()) << bad.offset << " " << bad.size;
        EXPECT_EQ(client.ask(Request::kSetConfig, std::span<const uint8_t>(message)), 1u);
    }
    EXPECT_EQ(host.toy().config_writes, 0u);
}

TEST_F(VhostHostileTest, ASilentPeerAndHalfAMessageDoNotKeepTheDevice) {
    VhostHost strict{{.handshake_timeout = std::chrono::milliseconds(300)}};
    VhostClient silent(strict.path());
    EXPECT_TRUE(silent.ends());
    // Again, for a busy machine may need longer than that handshake.
    const auto is_served = [](VhostHost& one) {
        return VhostClient(one.path()).get(Request::kGetFeatures).has_value();
    };
    EXPECT_TRUE(eventually([&] { return is_served(strict); }));
    VhostHost shortly{{.message_timeout = std::chrono::milliseconds(300)}};
    VhostClient half(shortly.path());
    ASSERT_TRUE(half.get(Request::kGetFeatures));
    const std::array<uint8_t, 5> some{1, 0, 0, 0, 1};
    ASSERT_TRUE(half.send_raw(some));
    EXPECT_TRUE(half.ends());
    EXPECT_TRUE(eventually([&] { return is_served(shortly); }));
}

TEST_F(VhostHostileTest, APeerThatReadsNothingIsNotReadFrom) {
    const Header header{static_cast<uint32_t>(Request::kGetFeatures), kVersion, 0};
    const std::span bytes(reinterpret_cast<const uint8_t*>(&header), sizeof header);
    ASSERT_EQ(::fcntl(client.socket(), F_SETFL, O_NONBLOCK), 0);
    size_t sent = 0;
    while (sent < 1'000'000 && client.send_raw(bytes)) ++sent;
    EXPECT_LT(sent, 1'000'000u) << "the back-end keeps answers without limit";
    VhostClient second(host.path());
    EXPECT_TRUE(second.ends()) << "the loop is alive";
}

TEST_F(VhostHostileTest, DriversThatLieBreakTheirRingOnly) {
    ASSERT_TRUE(client.start(2));
    auto& ring = static_cast<virtio::SplitGuestQueue&>(client.queue(0));
    ring.put(ring.descriptor(0), {VhostClient::kData, 8, virtio::kNext, 0});  // a loop
    ring.make_available(0);
    client.kick(0);
    EXPECT_TRUE(eventually([&] {
        bool broken = false;
        host.on_loop([&] { broken = std::as_const(host.toy()).queue(0).broken(); });
        return broken;
    }));
    client.stop(2);
    ASSERT_TRUE(client.send(Request::kRemMemReg, SingleRegion{0, client.region()}));
    ASSERT_TRUE(client.start(2)) << "a new driver begins anew";
    EXPECT_TRUE(client.request(0, 10));
}

}  // namespace
}  // namespace mimic::test
