// SPDX-License-Identifier: Apache-2.0
// GuestMemory: the client's DMA regions (DMA_MAP, DMA_UNMAP) as a pci::DmaSpace. Regions with a descriptor are mapped;
// for the others, and for nothing else, it asks the client by DMA_READ and DMA_WRITE.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "pci/dma.h"

namespace mimic::vfio_user {

/// Largest transfer of one DmaSpace::read() or write(), in bytes.
inline constexpr uint64_t kMaxDmaTransfer = 16u << 20;

/// Transfers by message that may be under way at once; more are refused with EAGAIN. Arbitrary, and enough for a ring
/// engine's prefetch; bounds what a guest can make the process remember.
inline constexpr size_t kMaxDmaInFlight = 1024;

/// Regions of one client. Thread-bound.
class GuestMemory final : public pci::DmaSpace {
public:
    /// Sends the two server-to-client commands. Implemented by the session.
    class Messenger {
    public:
        /// Sends DMA_READ or DMA_WRITE of `size` bytes at `iova` (`data` is empty for a read). Returns the message id.
        virtual uint16_t send_dma_read(uint64_t iova, uint64_t size) = 0;
        virtual uint16_t send_dma_write(uint64_t iova, std::span<const std::byte> data) = 0;
        /// Largest count of one message, in bytes; at least 1.
        virtual uint64_t max_dma_message() const = 0;

    protected:
        ~Messenger() = default;
    };

    /// `messenger` is borrowed for the life of this object.
    explicit GuestMemory(Messenger& messenger) : messenger_(messenger) {}

    /// Adds [iova, iova + size). `fd` may be empty: then the region is reached by messages. Errors: EINVAL (size 0,
    /// overflow, beyond the end of the file), EEXIST (overlap), ENOSPC (kMaxDmaMaps regions), those of mmap(2).
    Status map(uint64_t iova, uint64_t size, uint64_t fd_offset, pci::DmaAccess access, UniqueFd fd);

    /// Removes the region with exactly this iova and size. Errors: ENOENT if there is none.
    Status unmap(uint64_t iova, uint64_t size);

    /// Removes all regions.
    void unmap_all();

    size_t region_count() const { return regions_.size(); }

    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                             pci::DmaAccess access) override;
    void read(uint64_t iova, uint64_t size, ReadDone done) override;
    void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) override;

    /// Takes the client's reply to message `id`. `data` holds what DMA_READ brought; `error` is an errno, 0 for success.
    /// False if no such message is under way.
    bool on_reply(uint16_t id, int error, std::span<const uint8_t> data);

    /// Fails every transfer under way with ECANCELED.
    void cancel_all();

private:
    struct Region {
        uint64_t iova;
        uint64_t size;
        pci::DmaAccess access;
        Mapping mapping;  // empty: by message
    };

    // One read() or write() that needs messages. Shared by its messages, which may be answered in any order.
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

    Region* find(uint64_t iova);
    Status check(uint64_t iova, uint64_t size, pci::DmaAccess access, size_t& messages);
    void start(uint64_t iova, const std::shared_ptr<Transfer>& transfer, bool is_read);
    static void finish(const std::shared_ptr<Transfer>& transfer);

    Messenger& messenger_;
    std::vector<Region> regions_;  // sorted by iova, disjoint
    size_t last_hit_ = 0;
    std::unordered_map<uint16_t, InFlight> in_flight_;
};

}  // namespace mimic::vfio_user
