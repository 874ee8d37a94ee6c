// SPDX-License-Identifier: Apache-2.0
// A vhost-user back-end and a front-end that does what QEMU 11.1's generic device does.
#include <unistd.h>

#include <cstring>

#include <gtest/gtest.h>

#include "tests/protocol/vhost_client.h"

namespace mimic::test {
namespace {

using namespace vhost_user;

class VhostUserTest : public ::testing::TestWithParam<bool> {
protected:
    void SetUp() override { ASSERT_TRUE(client.negotiate()); }
    void start(uint16_t rings = kToyQueues) {
        ASSERT_TRUE(client.start(rings, GetParam()));
        ASSERT_EQ(host.toy().starts, 1u);
    }

    VhostHost host{{.drain_timeout = std::chrono::milliseconds(100)}};
    VhostClient client{host.path()};
};

std::string name_of(const testing::TestParamInfo<bool>& info) {
    return info.param ? "Packed" : "Split";
}
INSTANTIATE_TEST_SUITE_P(Rings, VhostUserTest, testing::Bool(), name_of);

TEST_P(VhostUserTest, OffersWhatTheDeviceHasAndAFrontEndCanCarry) {
    using namespace virtio;
    EXPECT_EQ(client.features, feature(kToyFeature) | feature(kIndirectDesc) |
                                   feature(kEventIndex) | feature(kVersion1) |
                                   feature(kRingPacked) | feature(kProtocolFeaturesBit));
}

TEST_P(VhostUserTest, ServesRequestsOfEveryRingForLongerThanItsIndexLasts) {
    start();
    for (uint16_t ring = 0; ring < 2; ++ring) {
        for (int i = 0; i < 100; ++i) {
            const auto bytes = client.request(ring, 100);
            ASSERT_TRUE(bytes) << i;
            ASSERT_EQ(bytes->size(), 100u);
            for (size_t at = 1; at < bytes->size(); ++at)
                ASSERT_EQ(static_cast<uint8_t>((*bytes)[at] - (*bytes)[at - 1]), 1);
        }
    }
    EXPECT_EQ(host.toy().answered, 200u);
    EXPECT_GE(host.counters().kicks, 1u);
    EXPECT_GE(host.counters().interrupts, 1u);
}

TEST_P(VhostUserTest, FindsBuffersThatWereThereBeforeItsRings) {
    start(1);
    client.stop(1);
    ASSERT_TRUE(client.queue(0).add({}, {{VhostClient::kData, 8}}));
    ASSERT_TRUE(client.go_on(1, {GetParam() ? 0x8000'8000u : 0u}));
    EXPECT_TRUE(client.wait_call(0));
}

TEST_P(VhostUserTest, APauseOfTheMachineKeepsTheDevice) {
    start();
    ASSERT_TRUE(client.request(0, 10));
    const uint32_t resets = host.toy().resets;
    const auto bases = client.stop(kToyQueues);
    ASSERT_EQ(bases.size(), kToyQueues);
    EXPECT_EQ(bases[0], GetParam() ? 0x8001'8001u : 1u);
    ASSERT_TRUE(client.go_on(kToyQueues, bases));
    EXPECT_EQ(host.toy().starts, 1u);
    EXPECT_EQ(host.toy().resets, resets);
    EXPECT_TRUE(client.request(0, 10));
    EXPECT_TRUE(client.request(1, 10));
}

TEST_P(VhostUserTest, ANewDriverGetsAResetDevice) {
    start();
    ASSERT_TRUE(client.request(0, 10));
    const uint32_t resets = host.toy().resets;
    client.stop(kToyQueues);
    ASSERT_TRUE(client.send(Request::kRemMemReg, SingleRegion{0, client.region()}));
    ASSERT_TRUE(client.start(2, GetParam()));  // which uses fewer rings
    EXPECT_EQ(host.toy().starts, 2u);
    EXPECT_GT(host.toy().resets, resets);
    EXPECT_TRUE(client.request(1, 10));
}

TEST_P(VhostUserTest, StopWaitsForBuffersThatAreOut) {
    start();
    ASSERT_TRUE(client.queue(kToyHeldQueue).add({}, {{VhostClient::kData, 8}}));
    client.kick(kToyHeldQueue);
    ASSERT_TRUE(eventually([&] { return host.toy().held == 1; }));
    client.send(Request::kGetVringBase, VringState{kToyHeldQueue, 0});
    host.on_loop([&] { host.toy().release(); });
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    VringState state{};
    ASSERT_EQ(answer->body.size(), sizeof state);
    std::memcpy(&state, answer->body.data(), sizeof state);
    EXPECT_EQ(state.value, GetParam() ? 0x8001'8001u : 1u);
    EXPECT_TRUE(client.queue(kToyHeldQueue).take());
}

TEST_P(VhostUserTest, StopDoesNotWaitForEver) {
    start();
    ASSERT_TRUE(client.queue(kToyHeldQueue).add({}, {{VhostClient::kData, 8}}));
    client.kick(kToyHeldQueue);
    ASSERT_TRUE(eventually([&] { return host.toy().held == 1; }));
    const auto bases = client.stop(kToyQueues);
    ASSERT_EQ(bases.size(), kToyQueues);
    // The buffer is found again.
    EXPECT_EQ(bases[kToyHeldQueue], GetParam() ? 0x8000'8000u : 0u);
    EXPECT_EQ(host.toy().held, 0u);
}

TEST_P(VhostUserTest, ConfigurationIsReadAndOnlyChangesAreWritten) {
    std::array<uint8_t, sizeof(ConfigHead) + kToyConfigSize> message{};
    const ConfigHead head{0, kToyConfigSize, 0};
    std::memcpy(message.data(), &head, sizeof head);
    ASSERT_TRUE(client.send(Request::kGetConfig, std::span<const uint8_t>(message)));
    auto answer = client.receive();
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->body.size(), message.size());
    for (size_t i = 0; i < kToyConfigSize; ++i) EXPECT_EQ(answer->body[sizeof head + i], i);

    answer->body[sizeof head + 5] = 0xee;
    EXPECT_EQ(client.ask(Request::kSetConfig, std::span<const uint8_t>(answer->body)), 0u);
    EXPECT_EQ(host.toy().config_writes, 1u) << "one word was changed";
    EXPECT_EQ(client.ask(Request::kSetConfig, std::span<const uint8_t>(answer->body)), 0u);
    EXPECT_EQ(host.toy().config_writes, 1u);
}

TEST_P(VhostUserTest, AChangeOfConfigurationIsTold) {
    start();
    host.on_loop([&] { host.toy().change_config(9); });
    EXPECT_TRUE(client.wait_config_change());
}

TEST_P(VhostUserTest, ResetDeviceAndStatusZeroReset) {
    start();
    const uint32_t resets = host.toy().resets;
    EXPECT_EQ(client.ask(Request::kResetDevice), 0u);
    EXPECT_EQ(host.toy().resets, resets + 1);
    EXPECT_EQ(client.ask(Request::kSetStatus, uint64_t{3}), 0u);
    EXPECT_EQ(client.get(Request::kGetStatus), 3u);
    EXPECT_EQ(client.ask(Request::kSetStatus, uint64_t{0}), 0u);
    EXPECT_EQ(host.toy().resets, resets + 2);
}

TEST_P(VhostUserTest, AMemoryTableReplacesTheOneBefore) {
    start();
    struct {
        MemoryTable head;
        MemoryRegion region;
    } table{{1, 0}, client.region()};
    const int fd = client.memory_fd();
    EXPECT_EQ(client.ask(Request::kSetMemTable, table, std::span(&fd, 1)), 0u);
    EXPECT_TRUE(client.request(0, 10)) << "rings go on in the new mapping";
    table.head.count = 0;
    EXPECT_EQ(client.ask(Request::kSetMemTable,
                         std::span(reinterpret_cast<const uint8_t*>(&table.head), 8)),
              0u);
    client.kick(0);  // there is nothing to look at: the device must live
    EXPECT_EQ(client.get(Request::kGetFeatures), client.features);
}

TEST_P(VhostUserTest, TheNextFrontEndFindsAResetDevice) {
    start();
    ASSERT_TRUE(client.request(0, 10));
    client.hang_up();
    ASSERT_TRUE(eventually([&] { return !host.connected(); }));
    VhostClient next(host.path());
    ASSERT_TRUE(next.negotiate());
    ASSERT_TRUE(next.start(kToyQueues, GetParam()));
    EXPECT_EQ(host.toy().starts, 2u);
    EXPECT_TRUE(next.request(0, 10));
}

TEST_P(VhostUserTest, ASecondFrontEndIsTurnedAway) {
    start(1);
    VhostClient second(host.path());
    EXPECT_TRUE(second.ends());
    EXPECT_TRUE(client.request(0, 10));
}

// QEMU's restarted back-end: the split ring goes on where its used ring says.
TEST(VhostUserRestart, ASplitRingGoesOnWhereItsUsedRingSays) {
    auto host = std::make_unique<VhostHost>();
    auto client = std::make_unique<VhostClient>(host->path());
    ASSERT_TRUE(client->negotiate() && client->start(1));
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(client->request(0, 10));
    client->stop(1);
    ASSERT_TRUE(client->send(Request::kResetDevice));
    ASSERT_TRUE(client->go_on(1, {5}));
    EXPECT_TRUE(client->request(0, 10));
}

}  // namespace
}  // namespace mimic::test
