// SPDX-License-Identifier: Apache-2.0
// SharedMemory: the guest memory that a front-end has shared, as a memory::DmaSpace by
// guest-physical address; and its own addresses for it, which it uses for rings.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/thread_bound.h"
#include "base/unique_fd.h"
#include "memory/dma_space.h"
#include "memory/guest_regions.h"
#include "vhost_user/protocol.h"

namespace mimic::vhost_user {

/// Regions of one front-end, all of them mapped. Thread-bound.
class SharedMemory final : public memory::DmaSpace {
public:
    /// `on_lost` hears each time that memory is used which its owner has taken away: for the log.
    explicit SharedMemory(std::function<void(uint64_t address)> on_lost)
        : on_lost_(std::move(on_lost)) {}

    /// Adds a region, from `fd`. Errors: EINVAL (no descriptor, size 0, overflow, beyond the end of
    /// the file), EEXIST (overlaps another, by either address), ENOSPC (kMaxMemorySlots), ENOMEM
    /// (this process has no mapping left for it), those of Mapping::map().
    Status add(const MemoryRegion& region, const UniqueFd& fd);

    /// Removes the region with exactly these addresses and size. Errors: ENOENT.
    Status remove(const MemoryRegion& region);

    /// Forgets all regions. What is returned unmaps up to `most` a call, and is true when none is
    /// left.
    std::function<bool(size_t most)> abandon_all();

    size_t count() const { return regions_.count(); }

    /// The guest-physical address of the front-end's `user_address`; nullopt where it has no
    /// memory.
    std::optional<uint64_t> translate(uint64_t user_address) const;

    std::optional<std::span<std::byte>> span(uint64_t address, uint64_t size,
                                             memory::DmaAccess access) override;
    bool intact(uint64_t address, uint64_t size) override;

    /// Both are done when they return. Errors: EFAULT where no region holds a byte, or its owner
    /// has taken it away; EINVAL for a size that is 0 or above 16 MiB.
    void read(uint64_t address, uint64_t size, ReadDone done) override;
    void write(uint64_t address, std::span<const std::byte> data, WriteDone done) override;

private:
    struct UserRange {
        uint64_t size;
        uint64_t guest_address;
    };

    template <typename Copy>
    Status transfer(uint64_t address, uint64_t size, Copy copy);

    std::function<void(uint64_t)> on_lost_;
    memory::GuestRegions regions_{kMaxMemorySlots};
    std::map<uint64_t, UserRange> user_;  // by user address; disjoint
    ThreadBound thread_;
};

}  // namespace mimic::vhost_user
