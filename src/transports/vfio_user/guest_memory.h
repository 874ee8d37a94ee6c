// SPDX-License-Identifier: Apache-2.0
// GuestMemory: the client's DMA regions (DMA_MAP, DMA_UNMAP) as a memory::DmaSpace. Regions with a
// descriptor are mapped; for the others, and for nothing else, it asks the client by DMA_READ and
// DMA_WRITE.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/thread_bound.h"
#include "base/unique_fd.h"
#include "memory/dma_space.h"
#include "memory/guest_regions.h"
#include "vfio_user/protocol.h"

namespace mimic::vfio_user {

/// Largest transfer of one DmaSpace::read() or write(), in bytes.
inline constexpr uint64_t kMaxDmaTransfer = 16u << 20;

/// Transfers by message that may be under way at once; more are refused with EAGAIN. Arbitrary, and
/// enough for a ring engine's prefetch; bounds what a guest can make the process remember.
inline constexpr size_t kMaxDmaInFlight = 1024;

/// Bytes of transfers that wait for messages at once; more are refused with EAGAIN. Each transfer
/// has a buffer of its size, and what a peer does not read waits in another. Arbitrary: four of the
/// largest transfers.
inline constexpr uint64_t kMaxDmaBytesInFlight = 4 * kMaxDmaTransfer;

// Regions beyond these limits are reached by messages.
using memory::kAssuredMappedRegions;
using memory::kMaxMappedBytes;
using memory::kMaxMappedRegions;

/// Regions of one client. Thread-bound.
class GuestMemory final : public memory::DmaSpace {
public:
    /// Sends the two server-to-client commands. Implemented by the session.
    class Messenger {
    public:
        /// Sends DMA_READ or DMA_WRITE with message id `id`.
        virtual void send_dma_read(uint16_t id, uint64_t iova, uint64_t size) = 0;
        virtual void send_dma_write(uint16_t id, uint64_t iova,
                                    std::span<const std::byte> data) = 0;
        /// Largest count of one message, in bytes; at least 1.
        virtual uint64_t max_dma_message() const = 0;
        /// DMA met mapped memory at `iova` that its owner has taken away. For the log: called each
        /// time.
        virtual void on_memory_lost(uint64_t /*iova*/) {}

    protected:
        ~Messenger() = default;
    };

    /// `messenger` is borrowed for the life of this object.
    explicit GuestMemory(Messenger& messenger) : messenger_(messenger) {}

    /// Adds [iova, iova + size). `fd` may be empty: then the region is reached by messages, as is
    /// one beyond kMaxMappedRegions or kMaxMappedBytes, or beyond kAssuredMappedRegions while the
    /// process has few mappings left. Errors: EINVAL (size 0, overflow, beyond the end of the
    /// file), EEXIST (overlap, also with the very same region: vfio-user.rst wants that, where
    /// libvfio-user says EINVAL or takes it for done), ENOSPC (kMaxDmaMaps regions; as the kernel's
    /// VFIO, where libvfio-user says EINVAL), those of Mapping::map().
    Status map(uint64_t iova, uint64_t size, uint64_t fd_offset, memory::DmaAccess access,
               UniqueFd fd);

    /// Removes the region with exactly this iova and size. Errors: ENOENT if there is none.
    Status unmap(uint64_t iova, uint64_t size);

    /// Removes all regions.
    void unmap_all() { (void)regions_.remove_some(SIZE_MAX); }

    /// Removes up to `most` regions; true when none is left. Unmapping 65,535 takes many turns of a
    /// loop.
    bool unmap_some(size_t most) { return regions_.remove_some(most); }

    /// Forgets all regions at once. The caller frees them: each call of what is returned unmaps up
    /// to `most`, and is true when none is left.
    std::function<bool(size_t most)> abandon_all() { return regions_.abandon_all(); }

    size_t region_count() const { return regions_.count(); }
    size_t mapped_region_count() const { return regions_.mapped_count(); }

    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                             memory::DmaAccess access) override;
    bool intact(uint64_t iova, uint64_t size) override;
    void read(uint64_t iova, uint64_t size, ReadDone done) override;
    void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) override;

    /// Takes the client's reply to DMA_READ (`is_read`) or DMA_WRITE `id`. `data` holds what
    /// DMA_READ brought; `error` is an errno, 0 for success. False if no such message is under way.
    bool on_reply(uint16_t id, bool is_read, int error, std::span<const uint8_t> data);

    /// Fails every transfer under way with ECANCELED, and from now on every new one too: the client
    /// is gone.
    void shut_down();

private:
    // One read() or write() that needs messages. Shared by its messages, which may be answered in
    // any order.
    struct Transfer {
        std::vector<std::byte> bytes;
        size_t outstanding = 0;
        int error = 0;
        ReadDone read_done;
        WriteDone write_done;
    };

    struct InFlight {
        std::shared_ptr<Transfer> transfer;
        size_t offset;  // in transfer->bytes
        size_t size;
        bool is_read;
    };

    bool lost(const memory::GuestRegions::Entry& region, uint64_t iova, uint64_t size);
    uint16_t new_id();
    Status check(uint64_t iova, uint64_t size, memory::DmaAccess access, size_t& messages);
    void start(uint64_t iova, const std::shared_ptr<Transfer>& transfer, bool is_read);
    void finish(const std::shared_ptr<Transfer>& transfer);

    Messenger& messenger_;
    memory::GuestRegions regions_{kMaxDmaMaps};
    std::unordered_map<uint16_t, InFlight> in_flight_;
    uint64_t bytes_in_flight_ = 0;
    uint16_t next_id_ = 0;
    bool shut_down_ = false;
    ThreadBound thread_;
};

}  // namespace mimic::vfio_user
