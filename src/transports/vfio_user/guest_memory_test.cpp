// SPDX-License-Identifier: Apache-2.0
// DMA regions: what may be mapped, what a device may reach, and transfers by message that go wrong
// in every way.
#include "vfio_user/guest_memory.h"

#include <fcntl.h>

#include <gtest/gtest.h>

#include "memory/process_limits.h"
#include "memory/sigbus_guard.h"
#include "vfio_user/test_peer.h"

namespace mimic::vfio_user {
namespace {

using memory::DmaAccess;

/// Keeps what GuestMemory asks of the client; the test answers.
class FakeMessenger final : public GuestMemory::Messenger {
public:
    struct Sent {
        uint16_t id;
        bool is_read;
        uint64_t iova;
        uint64_t size;
        std::vector<std::byte> data;
    };
    void send_dma_read(uint16_t id, uint64_t iova, uint64_t size) override {
        sent.push_back({id, true, iova, size, {}});
    }
    void send_dma_write(uint16_t id, uint64_t iova, std::span<const std::byte> data) override {
        sent.push_back({id, false, iova, data.size(), {data.begin(), data.end()}});
    }
    uint64_t max_dma_message() const override { return max_message; }
    void on_memory_lost(uint64_t) override { ++lost; }

    std::vector<Sent> sent;
    uint64_t max_message = 1 << 20;
    unsigned lost = 0;
};

struct GuestMemoryTest : ::testing::Test {
    // errno of a map() without a descriptor.
    int map(uint64_t iova, uint64_t size, DmaAccess access = DmaAccess::kReadWrite) {
        return errno_of(memory.map(iova, size, 0, access, UniqueFd()));
    }
    int map_file(uint64_t iova, uint64_t size, DmaAccess access = DmaAccess::kReadWrite,
                 uint64_t offset = 0) {
        return errno_of(memory.map(iova, size, offset, access,
                                   UniqueFd(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0))));
    }
    static int errno_of(const Status& status) { return status ? 0 : status.error().errno_value(); }

    GuestMemory::ReadDone on_read() {
        return [this](Result<std::span<const std::byte>> bytes) {
            ++reads;
            read_error = bytes ? 0 : bytes.error().errno_value();
            if (bytes) data.assign(bytes->begin(), bytes->end());
        };
    }
    GuestMemory::WriteDone on_write() {
        return [this](const Status& ok) {
            ++writes;
            write_error = errno_of(ok);
        };
    }
    bool reply(const FakeMessenger::Sent& message, uint8_t fill, int error = 0) {
        const Bytes bytes(message.is_read ? message.size : 0, fill);
        return memory.on_reply(message.id, message.is_read, error, bytes);
    }

    FakeMessenger messenger;
    GuestMemory memory{messenger};
    UniqueFd file = memfd(0x10000);
    int reads = 0;
    int read_error = -1;
    int writes = 0;
    int write_error = -1;
    std::vector<std::byte> data;
};

// --- Regions ---------------------------------------------------------------------------------

TEST_F(GuestMemoryTest, RegionsMayTouchButNotOverlap) {
    EXPECT_EQ(map(0x2000, 0x1000), 0);
    EXPECT_EQ(map(0x1000, 0x1000), 0);
    EXPECT_EQ(map(0x3000, 0x1000), 0);
    for (const auto& [iova, size] : std::vector<std::pair<uint64_t, uint64_t>>{{0x2000, 0x1000},
                                                                               {0x2fff, 1},
                                                                               {0x1fff, 2},
                                                                               {0, 0x1001},
                                                                               {0, 0x10000},
                                                                               {0x3800, 0x1000},
                                                                               {0, UINT64_MAX}})
        EXPECT_EQ(map(iova, size), EEXIST) << iova;
    EXPECT_EQ(map(0, 0x1000), 0);
    EXPECT_EQ(memory.region_count(), 4u);
}

TEST_F(GuestMemoryTest, SizeZeroAndWrapAroundAreRefused) {
    EXPECT_EQ(map(0x1000, 0), EINVAL);
    EXPECT_EQ(map(UINT64_MAX, 2), EINVAL);
    EXPECT_EQ(map(1, UINT64_MAX), 0);  // ends at the very last byte
    memory.unmap_all();
    EXPECT_EQ(map(2, UINT64_MAX), EINVAL);
    EXPECT_EQ(map(UINT64_MAX, 1), 0);
}

TEST_F(GuestMemoryTest, ManyRegionsGoBitByBit) {
    for (uint64_t i = 0; i < 10; ++i) ASSERT_EQ(map_file(i << 12, 0x1000), 0);
    EXPECT_FALSE(memory.unmap_some(4));
    EXPECT_EQ(memory.region_count(), 6u);
    EXPECT_EQ(memory.mapped_region_count(), 6u);
    const auto free_some = memory.abandon_all();
    EXPECT_EQ(memory.region_count(), 0u);
    EXPECT_EQ(memory.mapped_region_count(), 0u);
    EXPECT_EQ(map_file(0, 0x1000), 0);  // not in the way of the next ones
    EXPECT_FALSE(free_some(5));
    EXPECT_TRUE(free_some(5));
    EXPECT_EQ(memory.region_count(), 1u);
}

TEST_F(GuestMemoryTest, FileShorterThanTheRegionIsRefused) {
    EXPECT_EQ(map_file(0, 0x10001), EINVAL);
    EXPECT_EQ(map_file(0, 0x1000, DmaAccess::kReadWrite, 0x10000), EINVAL);
    EXPECT_EQ(map_file(0, 0x1000, DmaAccess::kReadWrite, UINT64_MAX - 0xfff), EINVAL);
    EXPECT_EQ(map_file(0, 0x1000, DmaAccess::kReadWrite, uint64_t{1} << 63), EINVAL);
    EXPECT_EQ(memory.region_count(), 0u);
}

TEST_F(GuestMemoryTest, UnmapWantsExactlyOneMappedRange) {
    ASSERT_EQ(map(0x1000, 0x2000), 0);
    ASSERT_EQ(map(0x3000, 0x1000), 0);
    for (const auto& [iova, size] : std::vector<std::pair<uint64_t, uint64_t>>{{0x1000, 0x1000},
                                                                               {0x2000, 0x1000},
                                                                               {0x1000, 0x3000},
                                                                               {0, 0x2000},
                                                                               {0x1000, 0},
                                                                               {0x4000, 1}})
        EXPECT_EQ(errno_of(memory.unmap(iova, size)), ENOENT) << iova;
    EXPECT_EQ(errno_of(memory.unmap(0x1000, 0x2000)), 0);
    EXPECT_EQ(errno_of(memory.unmap(0x1000, 0x2000)), ENOENT);
    EXPECT_EQ(memory.region_count(), 1u);
}

TEST_F(GuestMemoryTest, ManyRegionsInDescendingOrderAreAllFound) {
    for (uint64_t i = kMaxDmaMaps; i-- > 0;) ASSERT_EQ(map(i * 0x1000, 0x1000), 0);
    EXPECT_EQ(map(uint64_t{kMaxDmaMaps} * 0x1000, 0x1000), ENOSPC);
    for (uint64_t i = 0; i < kMaxDmaMaps; ++i)
        ASSERT_EQ(errno_of(memory.unmap(i * 0x1000, 0x1000)), 0);
}

TEST_F(GuestMemoryTest, RegionsBeyondTheMappingLimitAreReachedByMessages) {
    for (uint64_t i = 0; i <= kMaxMappedRegions; ++i) ASSERT_EQ(map_file(i * 0x1000, 0x1000), 0);
    EXPECT_EQ(memory.mapped_region_count(), kMaxMappedRegions);
    EXPECT_TRUE(memory.span(0, 1, DmaAccess::kRead));
    EXPECT_FALSE(memory.span(kMaxMappedRegions * 0x1000, 1, DmaAccess::kRead));
    memory.read(kMaxMappedRegions * 0x1000, 8, on_read());
    ASSERT_EQ(messenger.sent.size(), 1u);
    reply(messenger.sent[0], 1);
    EXPECT_EQ(read_error, 0);
    ASSERT_EQ(errno_of(memory.unmap(0, 0x1000)), 0);
    ASSERT_EQ(map_file(0, 0x1000), 0);
    EXPECT_TRUE(memory.span(0, 1, DmaAccess::kRead));
}

// Many clients at their own limits would take all the mappings of the process.
TEST_F(GuestMemoryTest, ClientsTogetherLeaveMappingsForOthers) {
    ASSERT_FALSE(mappings_scarce());
    std::vector<std::unique_ptr<GuestMemory>> greedy;
    while (!mappings_scarce() && greedy.size() < 1000) {
        greedy.push_back(std::make_unique<GuestMemory>(messenger));
        for (uint64_t i = 0; i < kMaxMappedRegions; ++i)
            ASSERT_TRUE(greedy.back()->map(i * 0x1000, 0x1000, 0, DmaAccess::kReadWrite,
                                           UniqueFd(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0))));
    }
    ASSERT_TRUE(mappings_scarce());
    for (uint64_t i = 0; i <= kAssuredMappedRegions; ++i)
        ASSERT_EQ(map_file(i * 0x1000, 0x1000), 0);
    EXPECT_EQ(memory.mapped_region_count(), kAssuredMappedRegions);
    EXPECT_TRUE(memory.span((kAssuredMappedRegions - 1) * 0x1000, 1, DmaAccess::kRead));
    EXPECT_FALSE(memory.span(kAssuredMappedRegions * 0x1000, 1, DmaAccess::kRead))
        << "reached by messages";
    greedy.clear();
    ASSERT_EQ(map_file(0x100000, 0x1000), 0);
    EXPECT_TRUE(memory.span(0x100000, 1, DmaAccess::kRead));
}

// --- Spans -----------------------------------------------------------------------------------

TEST_F(GuestMemoryTest, SpanStaysInOneRegionAndItsPermissions) {
    ASSERT_EQ(map_file(0x1000, 0x1000, DmaAccess::kRead), 0);
    ASSERT_EQ(map_file(0x2000, 0x1000, DmaAccess::kWrite, 0x1000), 0);
    ASSERT_EQ(map(0x3000, 0x1000), 0);
    EXPECT_EQ(memory.span(0x1000, 0x1000, DmaAccess::kRead)->size(), 0x1000u);
    EXPECT_TRUE(memory.span(0x1fff, 1, DmaAccess::kRead));
    EXPECT_FALSE(memory.span(0x1fff, 2, DmaAccess::kRead));
    EXPECT_FALSE(memory.span(0x1000, 0, DmaAccess::kRead));
    EXPECT_FALSE(memory.span(0x1000, 1, DmaAccess::kWrite));
    EXPECT_FALSE(memory.span(0x1000, 1, DmaAccess::kReadWrite));
    EXPECT_FALSE(memory.span(0x2000, 1, DmaAccess::kRead));
    EXPECT_TRUE(memory.span(0x2000, 1, DmaAccess::kWrite));
    EXPECT_FALSE(memory.span(0x3000, 1, DmaAccess::kRead));
    EXPECT_FALSE(memory.span(0xfff, 1, DmaAccess::kRead));
    EXPECT_FALSE(memory.span(0x1800, UINT64_MAX, DmaAccess::kRead));
}

TEST_F(GuestMemoryTest, SpanOfAnUnalignedFileOffsetShowsTheRightBytes) {
    ASSERT_EQ(::pwrite(file.get(), "xy", 2, 0x1234), 2);
    ASSERT_EQ(map_file(0x5000, 0x100, DmaAccess::kRead, 0x1234), 0);
    EXPECT_EQ(static_cast<char>((*memory.span(0x5000, 2, DmaAccess::kRead))[1]), 'y');
}

// --- Mapped transfers ------------------------------------------------------------------------

TEST_F(GuestMemoryTest, TransferOverAdjacentMappedRegionsIsDoneAtOnce) {
    ASSERT_EQ(map_file(0x1000, 0x1000), 0);
    ASSERT_EQ(map_file(0x2000, 0x1000, DmaAccess::kReadWrite, 0x4000), 0);
    const std::vector<std::byte> out(0x20, std::byte{7});
    memory.write(0x1ff0, out, on_write());
    EXPECT_EQ(write_error, 0);
    memory.read(0x1ff0, 0x20, on_read());
    EXPECT_EQ(data, out);
    EXPECT_TRUE(messenger.sent.empty());
    uint8_t byte = 0;
    ASSERT_EQ(::pread(file.get(), &byte, 1, 0x4000), 1);
    EXPECT_EQ(byte, 7);
}

TEST_F(GuestMemoryTest, TransferThatLeavesTheRegionsTouchesNothing) {
    ASSERT_EQ(map_file(0x1000, 0x1000), 0);
    memory.write(0x1ff0, std::vector<std::byte>(0x20, std::byte{7}), on_write());
    EXPECT_EQ(write_error, EFAULT);
    EXPECT_EQ(static_cast<int>((*memory.span(0x1ff0, 1, DmaAccess::kRead))[0]), 0);
    memory.read(0x1ff0, 0x20, on_read());
    EXPECT_EQ(read_error, EFAULT);
    memory.read(0x8000, 1, on_read());
    EXPECT_EQ(read_error, EFAULT);
}

TEST_F(GuestMemoryTest, TransferSizesOutOfRangeAreRefused) {
    ASSERT_EQ(map(0, UINT64_MAX), 0);
    memory.read(0, 0, on_read());
    EXPECT_EQ(read_error, EINVAL);
    memory.read(0, kMaxDmaTransfer + 1, on_read());
    EXPECT_EQ(read_error, EINVAL);
    memory.read(UINT64_MAX - 3, 8, on_read());
    EXPECT_EQ(read_error, EINVAL);
    EXPECT_TRUE(messenger.sent.empty());
}

TEST_F(GuestMemoryTest, TransferAgainstThePermissionFails) {
    ASSERT_EQ(map_file(0, 0x1000, DmaAccess::kRead), 0);
    ASSERT_EQ(map(0x1000, 0x1000, DmaAccess::kWrite), 0);
    ASSERT_EQ(map(0x2000, 0x1000, DmaAccess{}), 0);
    memory.write(0, std::vector<std::byte>(4), on_write());
    EXPECT_EQ(write_error, EFAULT);
    memory.read(0x1000, 4, on_read());
    EXPECT_EQ(read_error, EFAULT);
    memory.read(0x2000, 4, on_read());
    EXPECT_EQ(read_error, EFAULT);
    EXPECT_TRUE(messenger.sent.empty());
}

TEST_F(GuestMemoryTest, FileTruncatedAfterMapFailsTransfersOfWhatIsLost) {
    ASSERT_TRUE(install_sigbus_guard());
    ASSERT_EQ(map_file(0, 0x10000), 0);
    ASSERT_EQ(::ftruncate(file.get(), 0x1000), 0);
    const uint64_t before = sigbus_pages_replaced();
    // The first touch finds out, and the second must not take the zeros for the guest's.
    for (int i = 0; i < 2; ++i) {
        memory.read(0x3000, 0x1000, on_read());
        EXPECT_EQ(read_error, EFAULT);
        memory.write(0x8ff0, std::vector<std::byte>(0x20, std::byte{1}), on_write());
        EXPECT_EQ(write_error, EFAULT);
    }
    EXPECT_EQ(reads, 2);
    EXPECT_EQ(writes, 2);
    EXPECT_TRUE(data.empty());
    EXPECT_EQ(sigbus_pages_replaced(), before + 3);
    EXPECT_EQ(messenger.lost, 4u);
    memory.read(0, 0x1000, on_read());
    EXPECT_EQ(read_error, 0) << "the page that is left";
}

TEST_F(GuestMemoryTest, SpanIsNotIntactOnceItsPagesAreLost) {
    ASSERT_TRUE(install_sigbus_guard());
    ASSERT_EQ(map_file(0, 0x10000), 0);
    const auto bytes = memory.span(0x2000, 0x100, DmaAccess::kReadWrite);
    ASSERT_TRUE(bytes);
    ASSERT_EQ(::ftruncate(file.get(), 0), 0);
    EXPECT_TRUE(memory.intact(0x2000, 0x100));
    (*bytes)[0x20] = std::byte{1};
    EXPECT_FALSE(memory.intact(0x2000, 0x100));
    EXPECT_FALSE(memory.span(0x2040, 0x10, DmaAccess::kRead));
    EXPECT_TRUE(memory.intact(0x3000, 0x100));
    EXPECT_TRUE(memory.intact(0x20000, 0x100)) << "in no region: nobody had a span of it";
}

TEST_F(GuestMemoryTest, TransferOverAMessageRegionAndLostMemoryFails) {
    ASSERT_TRUE(install_sigbus_guard());
    ASSERT_EQ(map_file(0, 0x10000), 0);
    ASSERT_EQ(map(0x10000, 0x1000), 0);
    ASSERT_EQ(::ftruncate(file.get(), 0), 0);
    memory.read(0xff00, 0x200, on_read());
    ASSERT_EQ(messenger.sent.size(), 1u);
    EXPECT_EQ(reads, 0);
    EXPECT_TRUE(reply(messenger.sent[0], 7));
    EXPECT_EQ(read_error, EFAULT);
}

// --- Transfers by message --------------------------------------------------------------------

TEST_F(GuestMemoryTest, LargeReadIsChunkedAndRepliesMayComeInAnyOrder) {
    messenger.max_message = 0x1000;
    ASSERT_EQ(map(0, 0x10000), 0);
    memory.read(0x800, 0x2800, on_read());
    ASSERT_EQ(messenger.sent.size(), 3u);
    EXPECT_EQ(messenger.sent[1].iova, 0x1800u);
    EXPECT_EQ(messenger.sent[2].size, 0x800u);
    reply(messenger.sent[2], 3);
    reply(messenger.sent[0], 1);
    EXPECT_EQ(reads, 0);
    reply(messenger.sent[1], 2);
    ASSERT_EQ(reads, 1);
    ASSERT_EQ(data.size(), 0x2800u);
    EXPECT_EQ(data[0], std::byte{1});
    EXPECT_EQ(data[0x1000], std::byte{2});
    EXPECT_EQ(data[0x27ff], std::byte{3});
}

TEST_F(GuestMemoryTest, TransferOverMappedAndUnmappedRegionsUsesBoth) {
    ASSERT_EQ(map_file(0, 0x1000), 0);
    ASSERT_EQ(map(0x1000, 0x1000), 0);
    ASSERT_EQ(map_file(0x2000, 0x1000, DmaAccess::kReadWrite, 0x1000), 0);
    std::vector<std::byte> out(0x1020, std::byte{5});
    memory.write(0xff0, out, on_write());
    ASSERT_EQ(messenger.sent.size(), 1u);
    EXPECT_EQ(messenger.sent[0].iova, 0x1000u);
    EXPECT_EQ(messenger.sent[0].data, std::vector<std::byte>(0x1000, std::byte{5}));
    EXPECT_EQ(writes, 0);
    reply(messenger.sent[0], 0);
    EXPECT_EQ(writes, 1);
    EXPECT_EQ((*memory.span(0x200f, 1, DmaAccess::kRead))[0], std::byte{5});
}

TEST_F(GuestMemoryTest, OneFailedMessageFailsTheTransferOnce) {
    messenger.max_message = 0x1000;
    ASSERT_EQ(map(0, 0x10000), 0);
    memory.read(0, 0x3000, on_read());
    reply(messenger.sent[1], 0, EFAULT);
    reply(messenger.sent[0], 0);
    EXPECT_EQ(reads, 0);
    reply(messenger.sent[2], 0);
    EXPECT_EQ(reads, 1);
    EXPECT_EQ(read_error, EIO);
}

TEST_F(GuestMemoryTest, ReplyOfTheWrongLengthIsAnError) {
    ASSERT_EQ(map(0, 0x10000), 0);
    for (const size_t size : {size_t{0}, size_t{7}, size_t{9}}) {
        memory.read(0, 8, on_read());
        EXPECT_TRUE(memory.on_reply(messenger.sent.back().id, true, 0, Bytes(size)));
        EXPECT_EQ(read_error, EIO) << size;
    }
}

TEST_F(GuestMemoryTest, ReplyToNothingOrOfTheWrongKindIsRefused) {
    ASSERT_EQ(map(0, 0x10000), 0);
    EXPECT_FALSE(memory.on_reply(0, true, 0, Bytes(8)));
    memory.read(0, 8, on_read());
    const auto id = messenger.sent[0].id;
    EXPECT_FALSE(memory.on_reply(id, /*is_read=*/false, 0, {}));
    EXPECT_FALSE(memory.on_reply(static_cast<uint16_t>(id + 1), true, 0, Bytes(8)));
    EXPECT_TRUE(reply(messenger.sent[0], 1));
    EXPECT_FALSE(reply(messenger.sent[0], 1));
    EXPECT_EQ(reads, 1);
}

TEST_F(GuestMemoryTest, MessagesUnderWayAreLimited) {
    messenger.max_message = 1;
    ASSERT_EQ(map(0, 0x10000), 0);
    memory.read(0, kMaxDmaInFlight, on_read());
    EXPECT_EQ(messenger.sent.size(), kMaxDmaInFlight);
    memory.read(0, 1, on_read());
    EXPECT_EQ(read_error, EAGAIN);
    for (const auto& message : std::vector(messenger.sent)) reply(message, 0);
    EXPECT_EQ(read_error, 0);
    memory.read(0, 1, on_read());
    EXPECT_EQ(messenger.sent.size(), kMaxDmaInFlight + 1);
}

TEST_F(GuestMemoryTest, BytesUnderWayAreLimited) {
    ASSERT_EQ(map(0, uint64_t{1} << 40), 0);
    const std::vector<std::byte> large(kMaxDmaTransfer);
    for (uint64_t i = 0; i < kMaxDmaBytesInFlight / kMaxDmaTransfer; ++i)
        memory.write(0, large, on_write());
    EXPECT_EQ(writes, 0);
    memory.write(0, std::vector<std::byte>(1), on_write());
    EXPECT_EQ(write_error, EAGAIN);
    for (const auto& message : std::vector(messenger.sent)) reply(message, 0);
    EXPECT_EQ(writes, 1 + static_cast<int>(kMaxDmaBytesInFlight / kMaxDmaTransfer));
    memory.write(0, std::vector<std::byte>(1), on_write());
    reply(messenger.sent.back(), 0);
    EXPECT_EQ(write_error, 0);
}

// A peer that leaves one message unanswered while the ids wrap must not get two with the same id.
TEST_F(GuestMemoryTest, IdsUnderWayAreNotReused) {
    ASSERT_EQ(map(0, 0x10000), 0);
    memory.read(0, 8, on_read());
    const FakeMessenger::Sent first = messenger.sent[0];
    for (int i = 0; i < 70000; ++i) {
        messenger.sent.clear();
        memory.write(0, std::vector<std::byte>(1), on_write());
        ASSERT_NE(messenger.sent[0].id, first.id);
        reply(messenger.sent[0], 0);
    }
    EXPECT_EQ(reads, 0);
    EXPECT_TRUE(reply(first, 1));
    EXPECT_EQ(reads, 1);
}

TEST_F(GuestMemoryTest, CallbackMayStartTheNextTransfer) {
    ASSERT_EQ(map(0, 0x10000), 0);
    memory.read(0, 8, [this](const Result<std::span<const std::byte>>&) {
        memory.unmap_all();
        ASSERT_EQ(map(0x1000, 0x1000), 0);
        memory.write(0x1000, std::vector<std::byte>(4), on_write());
    });
    reply(messenger.sent[0], 1);
    ASSERT_EQ(messenger.sent.size(), 2u);
    reply(messenger.sent[1], 1);
    EXPECT_EQ(write_error, 0);
}

TEST_F(GuestMemoryTest, RegionUnmappedUnderATransferDoesNotDisturbIt) {
    ASSERT_EQ(map(0, 0x1000), 0);
    memory.read(0, 8, on_read());
    ASSERT_EQ(errno_of(memory.unmap(0, 0x1000)), 0);
    EXPECT_TRUE(reply(messenger.sent[0], 9));
    EXPECT_EQ(read_error, 0);
    EXPECT_EQ(data[7], std::byte{9});
}

TEST_F(GuestMemoryTest, ShutDownCancelsEachTransferOnceAndRefusesNewOnes) {
    messenger.max_message = 0x1000;
    ASSERT_EQ(map(0, 0x10000), 0);
    memory.write(0, std::vector<std::byte>(4), on_write());
    int retries = 0;
    memory.read(0, 0x3000, [&](Result<std::span<const std::byte>> bytes) {
        EXPECT_FALSE(bytes);
        EXPECT_EQ(bytes.error().errno_value(), ECANCELED);
        ++retries;
        memory.read(0, 8, on_read());  // a device that tries again
    });
    const size_t sent = messenger.sent.size();
    memory.shut_down();
    EXPECT_EQ(retries, 1);
    EXPECT_EQ(reads, 1);
    EXPECT_EQ(read_error, ECANCELED);
    EXPECT_EQ(writes, 1);
    EXPECT_EQ(write_error, ECANCELED);
    EXPECT_EQ(messenger.sent.size(), sent);
    EXPECT_FALSE(reply(messenger.sent[0], 0));
}

}  // namespace
}  // namespace mimic::vfio_user
