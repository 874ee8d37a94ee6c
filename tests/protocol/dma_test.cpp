// SPDX-License-Identifier: Apache-2.0
// Bus mastering over the wire: mapped memory, memory that shrinks or is remapped, and DMA messages
// that must not wait.
#include <linux/memfd.h>
#include <sys/mman.h>

#include <gtest/gtest.h>

#include "memory/sigbus_guard.h"
#include "tests/protocol/device_host.h"

namespace mimic::test {
namespace {

using namespace vfio_user;

class DmaTest : public ::testing::Test {
protected:
    static uint8_t byte_of(int fd, off_t at) {
        uint8_t value = 0;
        return ::pread(fd, &value, 1, at) == 1 ? value : 0xff;
    }
    // Starts a transfer without waiting for its end.
    void start(uint32_t kind, uint64_t iova, uint32_t size) {
        ASSERT_EQ(client->put<uint64_t>(0, kDmaAddress, iova), 0);
        ASSERT_EQ(client->put(0, kDmaSize, size), 0);
        ASSERT_EQ(client->put(0, kDmaStart, kind), 0);
    }

    DeviceHost host{2};
    std::unique_ptr<Client> client = host.client();
};

TEST_F(DmaTest, MappedMemoryIsReadAndWritten) {
    const UniqueFd memory = make_memfd(0x10000);
    ASSERT_EQ(client->dma_map(0x100000, 0x8000, memory.get(), 0x8000), 0);
    ASSERT_EQ(run_dma(*client, kStartWrite, 0x100010, 100), kDmaDone);
    EXPECT_EQ(byte_of(memory.get(), 0x8010), 1);
    EXPECT_EQ(byte_of(memory.get(), 0x8011), 4);
    ASSERT_EQ(run_dma(*client, kStartRead, 0x100010, 2), kDmaDone);
    EXPECT_EQ(client->get(0, kDmaSum), 5u);
    EXPECT_EQ(run_dma(*client, kStartRead, 0x108000 - 1, 2), kDmaFailed | EFAULT);
    EXPECT_EQ(run_dma(*client, kStartRead, 0x100000, 0), kDmaFailed | EINVAL);
    EXPECT_EQ(run_dma(*client, kStartRead, UINT64_MAX, 2), kDmaFailed | EINVAL);
}

TEST_F(DmaTest, PermissionsHold) {
    const UniqueFd memory = make_memfd(0x3000);
    ASSERT_EQ(client->dma_map(0, 0x1000, memory.get(), 0, kDmaRead), 0);
    ASSERT_EQ(client->dma_map(0x1000, 0x1000, memory.get(), 0x1000, kDmaWrite), 0);
    ASSERT_EQ(client->dma_map(0x2000, 0x1000, memory.get(), 0x2000, 0), 0);
    EXPECT_EQ(run_dma(*client, kStartRead, 0, 16), kDmaDone);
    EXPECT_EQ(run_dma(*client, kStartWrite, 0, 16), kDmaFailed | EFAULT);
    EXPECT_EQ(run_dma(*client, kStartWrite, 0x1000, 16), kDmaDone);
    EXPECT_EQ(run_dma(*client, kStartRead, 0x1000, 16), kDmaFailed | EFAULT);
    EXPECT_EQ(run_dma(*client, kStartWrite, 0x2000, 16), kDmaFailed | EFAULT);
    EXPECT_EQ(run_dma(*client, kStartWrite, 0xff8, 16), kDmaFailed | EFAULT);
    EXPECT_EQ(byte_of(memory.get(), 0), 0);
}

TEST_F(DmaTest, MemoryTruncatedAfterMapHarmsNobody) {
    const UniqueFd memory = make_memfd(0x10000);
    ASSERT_EQ(client->dma_map(0, 0x10000, memory.get()), 0);
    ASSERT_EQ(run_dma(*client, kStartWrite, 0, 0x10000), kDmaDone);
    ASSERT_EQ(::ftruncate(memory.get(), 0x1000), 0);
    EXPECT_EQ(run_dma(*client, kStartRead, 0x8000, 0x1000), kDmaFailed | EFAULT);
    EXPECT_EQ(run_dma(*client, kStartWrite, 0, 0x10000), kDmaFailed | EFAULT);
    EXPECT_EQ(run_dma(*client, kStartWrite, 0, 0x1000), kDmaDone);
    EXPECT_GT(sigbus_pages_replaced(), 0u);
    EXPECT_NE(host.client(1)->get(kRegionConfig, 0), UINT32_MAX);
}

// QEMU with memory-backend-memfd,hugetlb=on: one file, and RAM above 1 MiB at an offset in the
// middle of a huge page. Whether the machine has a huge page does not matter to DMA_MAP.
TEST_F(DmaTest, MemoryOnHugePagesIsMappedAtAnyOffset) {
    const struct {
        unsigned flag;
        uint64_t page;
    } kinds[] = {{MFD_HUGE_2MB, 2 << 20}, {MFD_HUGE_1GB, 1 << 30}};
    for (const auto& [flag, page] : kinds) {
        const UniqueFd memory(::memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | flag));
        if (!memory) continue;  // a CPU without pages of this size
        ASSERT_EQ(::ftruncate(memory.get(), static_cast<off_t>(2 * page)), 0);
        ASSERT_EQ(client->dma_map(0, 0xc0000, memory.get()), 0);
        ASSERT_EQ(client->dma_map(0xc0000, 0x20000, memory.get(), 0xc0000, kDmaRead), 0);
        ASSERT_EQ(client->dma_map(0x100000, 2 * page - 0x100000, memory.get(), 0x100000), 0);
        EXPECT_EQ(client->dma_map(2 * page, 0x1000, memory.get(), 2 * page), EINVAL);
        ASSERT_EQ(client->dma_unmap(0x100000, 2 * page - 0x100000), 0);
        ASSERT_EQ(client->dma_unmap(0, 0, kUnmapAll), 0);
    }
}

TEST_F(DmaTest, SameDescriptorMappedAndUnmappedOverAndOver) {
    const UniqueFd memory = make_memfd(0x100000);
    const size_t before = open_descriptors();
    for (uint64_t round = 0; round < 100; ++round) {
        ASSERT_EQ(client->dma_map(0, 0xc0000, memory.get()), 0);
        ASSERT_EQ(client->dma_map(0xc0000, 0x20000, memory.get(), 0xc0000, kDmaRead), 0);
        ASSERT_EQ(client->dma_map(0x1000000, 0x1000), 0);
        ASSERT_EQ(run_dma(*client, kStartWrite, round * 0x1000, 8), kDmaDone);
        ASSERT_EQ(client->dma_unmap(0xc0000, 0x20000), 0);
        ASSERT_EQ(client->dma_unmap(0, 0xc0000), 0);
        ASSERT_EQ(run_dma(*client, kStartRead, 0, 8), kDmaFailed | EFAULT);
        ASSERT_EQ(client->dma_unmap(0x1000000, 0x1000), 0);
    }
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(byte_of(memory.get(), 99 * 0x1000), 1);
}

TEST_F(DmaTest, UnmapAllRemovesEveryRegion) {
    const UniqueFd memory = make_memfd(0x4000);
    for (uint64_t i = 0; i < 4; ++i)
        ASSERT_EQ(client->dma_map(i * 0x1000, 0x1000, memory.get(), i * 0x1000), 0);
    const Reply reply = client->call(unmap_request(0, 0, kUnmapAll));
    EXPECT_EQ(reply.error(), 0);
    EXPECT_EQ(reply.payload.size(), 24u);
    EXPECT_EQ(run_dma(*client, kStartRead, 0, 8), kDmaFailed | EFAULT);
    EXPECT_EQ(client->dma_map(0, 0x4000, memory.get()), 0);
    EXPECT_EQ(client->dma_unmap(0, 0, kUnmapAll), 0);
    EXPECT_EQ(client->dma_unmap(0, 0, kUnmapAll), 0);
}

TEST_F(DmaTest, BurstOfMapsWithDescriptorsPipelinedIsTakenApartRightly) {
    // As QEMU at realize: all in one go, only the last one answered.
    std::vector<UniqueFd> memories;
    for (uint8_t i = 0; i < 40; ++i) {
        memories.push_back(make_memfd(0x1000));
        ASSERT_EQ(::pwrite(memories.back().get(), &i, 1, 0), 1);
        Request map = posted(
            map_request(i * 0x2000, 0x1000, i % 3 == 2 ? -1 : memories.back().get()));
        ASSERT_TRUE(client->raw().send(map));
    }
    for (uint32_t i = 0; i < 40; ++i) {
        if (i % 3 == 2) continue;
        ASSERT_EQ(run_dma(*client, kStartRead, i * 0x2000, 1), kDmaDone);
        ASSERT_EQ(client->get(0, kDmaSum), i);
    }
}

// --- Messages --------------------------------------------------------------------------------

TEST_F(DmaTest, RegionWithoutDescriptorIsReachedByMessages) {
    client->memory.assign(0x3000, 2);
    client->memory_base = 0x5000;
    ASSERT_EQ(client->dma_map(0x5000, 0x3000), 0);
    ASSERT_EQ(run_dma(*client, kStartRead, 0x5800, 0x1000), kDmaDone);
    EXPECT_EQ(client->get(0, kDmaSum), 0x2000u);
    ASSERT_EQ(run_dma(*client, kStartWrite, 0x7000, 4), kDmaDone);
    EXPECT_EQ(client->memory[0x2003], 10);
    EXPECT_EQ(client->served, 2u);
}

TEST_F(DmaTest, TransferIsCutToTheClientsLargestMessage) {
    client.reset();
    ASSERT_TRUE(host.wait_idle());
    client = std::make_unique<Client>(host.path());
    ASSERT_EQ(client->negotiate(0, R"({"capabilities":{"max_data_xfer_size":4096}})"), 0);
    enable_device(*client);
    client->memory.assign(0x10000, 1);
    ASSERT_EQ(client->dma_map(0, 0x10000), 0);
    ASSERT_EQ(run_dma(*client, kStartRead, 0, 0x4001), kDmaDone);
    EXPECT_EQ(client->get(0, kDmaSum), 0x4001u);
    EXPECT_EQ(client->served, 5u);
}

// The rule of facts 2.5: a peer that waits for its own reply cannot serve a DMA message, so the
// server never waits.
TEST_F(DmaTest, SynchronousRequestsAreAnsweredWhileADmaMessageIsUnderWay) {
    client->memory.assign(0x1000, 3);
    client->serve_while_waiting = false;
    ASSERT_EQ(client->dma_map(0, 0x1000), 0);
    start(kStartRead, 0, 16);
    EXPECT_EQ(client->get(0, kDmaStatus), kDmaBusy);
    EXPECT_EQ(client->get<uint16_t>(kRegionConfig, 0), 0x1de5);
    EXPECT_EQ(client->put(0, kScratch, 1u), 0);
    EXPECT_EQ(client->dma_unmap(0, 0x1000), 0);
    ASSERT_EQ(client->held.size(), 1u);
    client->serve_dma(client->held[0]);
    EXPECT_EQ(client->get(0, kDmaStatus), kDmaDone);
    EXPECT_EQ(client->get(0, kDmaSum), 48u);
}

TEST_F(DmaTest, RefusedOrMalformedReplyFailsTheTransferOnly) {
    client->serve_while_waiting = false;
    ASSERT_EQ(client->dma_map(0, 0x1000), 0);
    const auto answer = [&](uint32_t flags, Bytes payload) {
        client->held.clear();
        start(kStartRead, 0, 16);
        EXPECT_EQ(client->get(0, kDmaStatus), kDmaBusy);
        Header header = client->held.at(0).header;
        header.flags = flags;
        header.error = (flags & kFlagError) != 0 ? EFAULT : 0;
        header.size = static_cast<uint32_t>(sizeof header + payload.size());
        client->raw().send_bytes(bytes_of(header) + payload);
        return client->get(0, kDmaStatus);
    };
    const Bytes body = bytes_of(DmaAccessBody{0, 16});
    EXPECT_EQ(answer(kFlagTypeReply | kFlagError, {}), kDmaFailed | EIO);
    EXPECT_EQ(answer(kFlagTypeReply | kFlagError, body), kDmaFailed | EIO);
    EXPECT_EQ(answer(kFlagTypeReply, {}), kDmaFailed | EIO);
    EXPECT_EQ(answer(kFlagTypeReply, body), kDmaFailed | EIO);
    EXPECT_EQ(answer(kFlagTypeReply, body + Bytes(15)), kDmaFailed | EIO);
    EXPECT_EQ(answer(kFlagTypeReply, body + Bytes(17)), kDmaFailed | EIO);
    EXPECT_EQ(answer(kFlagTypeReply, body + Bytes(16, 2)), kDmaDone);
}

TEST_F(DmaTest, WriteReplyMayBeABareHeader) {
    client->serve_while_waiting = false;
    ASSERT_EQ(client->dma_map(0, 0x1000), 0);
    start(kStartWrite, 0, 16);
    EXPECT_EQ(client->get(0, kDmaStatus), kDmaBusy);
    Header header = client->held.at(0).header;
    EXPECT_EQ(client->held[0].payload.size(), 32u);
    header.flags = kFlagTypeReply;
    header.size = sizeof header;
    client->raw().send_bytes(bytes_of(header));
    EXPECT_EQ(client->get(0, kDmaStatus), kDmaDone);
}

TEST_F(DmaTest, SpoofedReplyOfTheOtherKindOrIdDoesNotEndATransfer) {
    client->serve_while_waiting = false;
    client->memory.assign(0x1000, 1);
    ASSERT_EQ(client->dma_map(0, 0x1000), 0);
    start(kStartRead, 0, 16);
    EXPECT_EQ(client->get(0, kDmaStatus), kDmaBusy);
    Header header = client->held.at(0).header;
    header.flags = kFlagTypeReply;
    header.size = sizeof header + 16;
    header.command = static_cast<uint16_t>(Command::kDmaWrite);
    client->raw().send_bytes(bytes_of(header) + Bytes(16));
    header.command = static_cast<uint16_t>(Command::kDmaRead);
    ++header.id;
    client->raw().send_bytes(bytes_of(header) + Bytes(16));
    EXPECT_EQ(client->get(0, kDmaStatus), kDmaBusy);
    client->serve_dma(client->held[0]);
    client->serve_dma(client->held[0]);  // and once more
    EXPECT_EQ(client->get(0, kDmaStatus), kDmaDone);
}

TEST_F(DmaTest, DisconnectWithMessagesUnderWayCancelsThem) {
    client->serve_while_waiting = false;
    ASSERT_EQ(client->dma_map(0, 64 << 20), 0);
    for (int i = 0; i < 5; ++i)
        start(kStartWrite, 0, 16 << 20);  // the last is over the limit; nothing is read
    client.reset();
    ASSERT_TRUE(host.wait_idle());
    client = host.client();
    EXPECT_EQ(client->get(0, kDmaStatus), kDmaIdle);
}

TEST_F(DmaTest, ClientThatReadsLateGetsEveryMessage) {
    client->memory.assign(16 << 20, 0);
    ASSERT_EQ(client->dma_map(0, 16 << 20), 0);
    const Bytes go = bytes_of(kStartWrite);
    ASSERT_EQ(client->put<uint64_t>(0, kDmaAddress, 0), 0);
    ASSERT_EQ(client->put(0, kDmaSize, 16u << 20), 0);
    ASSERT_TRUE(client->post(0, kDmaStart, go));
    for (int i = 0; i < 16; ++i) ASSERT_TRUE(client->serve_one());
    while (client->get(0, kDmaStatus) == kDmaBusy) {
    }
    EXPECT_EQ(client->get(0, kDmaStatus), kDmaDone);
    EXPECT_EQ(client->memory[(16 << 20) - 1], static_cast<uint8_t>(((16u << 20) - 1) * 3 + 1));
}

}  // namespace
}  // namespace mimic::test
