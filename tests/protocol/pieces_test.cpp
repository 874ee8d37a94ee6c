// SPDX-License-Identifier: Apache-2.0
// Messages that take more than a turn of the loop: carried out in pieces, they look as if they were
// not.
#include <gtest/gtest.h>

#include "pci/config/pci_regs.h"
#include "tests/protocol/device_host.h"

namespace mimic::test {
namespace {

using namespace vfio_user;

constexpr uint32_t kEntries = 40'000;

// kScratch becomes 0, 1, 2 and so on.
Request count_up() {
    Bytes body = bytes_of(uint64_t{kEntries});
    for (uint32_t i = 0; i < kEntries; ++i) {
        WriteMultiEntry entry{kScratch, 0, 4, {}};
        std::memcpy(entry.data, &i, sizeof i);
        body = std::move(body) + bytes_of(entry);
    }
    return {Command::kRegionWriteMulti, std::move(body)};
}

TEST(Pieces, WhatFollowsAManifoldWriteSeesAllOfIt) {
    DeviceHost host;
    auto client = host.client();
    ASSERT_TRUE(client->raw().send_bytes(count_up().bytes() + read_request(0, kScratch, 4).bytes() +
                                         posted(write_request(0, kScratch, Bytes(4, 7))).bytes()));
    const auto multi = client->raw().receive();
    ASSERT_TRUE(multi);
    EXPECT_EQ(multi->error(), 0);
    EXPECT_EQ(multi->as<uint64_t>(), kEntries);
    const auto read = client->raw().receive();
    ASSERT_TRUE(read);
    ASSERT_EQ(read->payload.size(), sizeof(RegionAccessBody) + 4);
    uint32_t value = 0;
    std::memcpy(&value, read->payload.data() + sizeof(RegionAccessBody), sizeof value);
    EXPECT_EQ(value, kEntries - 1);
    EXPECT_EQ(client->get(0, kScratch), 0x07070707u);
    EXPECT_GE(host.counters().region_writes, kEntries);
}

TEST(Pieces, LargeAccessesAtOddOffsetsAreWhole) {
    DeviceHost host;
    auto client = host.client();
    Bytes pattern(0x7001);
    for (size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<uint8_t>(i * 13 + i / 255);
    ASSERT_TRUE(client->post(1, 0x803, pattern));
    Bytes back(pattern.size());
    ASSERT_EQ(client->read(1, 0x803, back), 0);
    EXPECT_EQ(back, pattern);
    Bytes all(1 << 20);
    ASSERT_EQ(client->read(2, 5, all), 0);
    for (size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], static_cast<uint8_t>((i + 5) * 7));
}

TEST(Pieces, EachOfManyVectorsHasItsOwnBoolean) {
    DeviceHost host;
    auto client = host.client();
    std::vector<UniqueFd> events;
    std::vector<int> fds;
    Bytes wanted;
    for (uint32_t i = 0; i < kToyMsixVectors; ++i) {
        fds.push_back(events.emplace_back(make_eventfd()).get());
        wanted.push_back(i % 3 == 0);
    }
    ASSERT_EQ(
        client->set_irqs(kIrqDataEventfd | kIrqActionTrigger, kIrqMsix, 0, kToyMsixVectors, fds),
        0);
    ASSERT_EQ(client->set_irqs(kIrqDataBool | kIrqActionTrigger, kIrqMsix, 0, kToyMsixVectors, {},
                               wanted),
              0);
    for (uint32_t i = 0; i < kToyMsixVectors; ++i) EXPECT_EQ(take_events(fds[i]), wanted[i]) << i;
    // What lies behind a request that has no booleans is not taken for some.
    ASSERT_EQ(client->set_irqs(kIrqDataNone | kIrqActionTrigger, kIrqMsix, 0, kToyMsixVectors, {},
                               Bytes(3, 0)),
              0);
    for (uint32_t i = 0; i < kToyMsixVectors; ++i) EXPECT_EQ(take_events(fds[i]), 1U) << i;
    // One that is refused triggers nothing, not even its first vectors.
    EXPECT_EQ(client->set_irqs(kIrqDataBool | kIrqActionTrigger, kIrqMsix, 1, kToyMsixVectors, {},
                               wanted),
              EINVAL);
    EXPECT_EQ(take_events(fds[0]) + take_events(fds[3]), 0u);
}

TEST(Pieces, AllRegionsAreGoneWhenUnmapOfAllIsAnswered) {
    DeviceHost host;
    auto client = host.client();
    const UniqueFd memory = make_memfd(0x1000);
    for (uint64_t i = 0; i < 1000; ++i)
        ASSERT_EQ(client->dma_map(i << 12, 0x1000, memory.get()), 0);
    ASSERT_TRUE(client->raw().send(posted(unmap_request(0, 0, kUnmapAll))));
    EXPECT_EQ(client->dma_map(0, 1000 << 12), 0);  // would overlap
}

TEST(Pieces, NextClientDoesNotWaitForWhatTheLastLeft) {
    DeviceHost host;
    for (int round = 0; round < 3; ++round) {
        auto client = host.client();
        const Request request = posted(count_up());
        ASSERT_TRUE(client->raw().send_bytes(request.bytes() + request.bytes()));
        client.reset();
        auto next = host.client();
        EXPECT_EQ(next->get(0, kScratch), 0u);  // a reset lies between them
    }
}

}  // namespace
}  // namespace mimic::test
