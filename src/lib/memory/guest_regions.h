// SPDX-License-Identifier: Apache-2.0
// GuestRegions: the parts of a guest's memory that a client has announced, by bus address, mapped
// where a descriptor came with them. What vfio-user's DMA_MAP and vhost-user's memory table share:
// checks, limits, and looking up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "memory/dma_space.h"
#include "memory/mapping.h"

namespace mimic::memory {

/// Regions of one client that are mapped. A process may have 65,530 mappings (vm.max_map_count),
/// and one client must not take those of the other devices. Arbitrary: QEMU has tens.
inline constexpr size_t kMaxMappedRegions = 2048;

/// Regions of one client that are mapped even if the process has few mappings left
/// (mappings_scarce()). Arbitrary, and as many as QEMU needs.
inline constexpr size_t kAssuredMappedRegions = 64;

/// Address space that the mapped regions of one client may take in all, for the same reason.
/// Arbitrary, and more than the memory of any guest.
inline constexpr uint64_t kMaxMappedBytes = uint64_t{8} << 40;

/// Regions of one client. Thread-bound to the loop of its device.
class GuestRegions {
public:
    struct Region {
        uint64_t size;
        DmaAccess access;
        Mapping mapping;  // empty: there was no descriptor, or it is beyond the limits

        /// Whether the owner of the file has taken away some of [offset, offset + size) of it.
        bool lost(uint64_t offset, uint64_t bytes) const { return mapping.lost(offset, bytes); }
    };
    using Regions = std::map<uint64_t, Region>;  // by iova; disjoint
    using Entry = Regions::value_type;

    /// At most `most` regions, mapped or not.
    explicit GuestRegions(size_t most) : most_(most) {}
    GuestRegions(const GuestRegions&) = delete;
    GuestRegions& operator=(const GuestRegions&) = delete;

    /// Adds [iova, iova + size), mapped from `fd_offset` of `fd` unless that is empty or the limits
    /// above are reached. Errors: EINVAL (size 0, overflow, beyond the end of the file), EEXIST
    /// (overlap, also with the very same region), ENOSPC (too many regions), those of
    /// Mapping::map().
    Status add(uint64_t iova, uint64_t size, uint64_t fd_offset, DmaAccess access,
               const UniqueFd& fd);

    /// Removes the region with exactly this iova and size. Errors: ENOENT if there is none.
    Status remove(uint64_t iova, uint64_t size);

    /// Removes up to `most` regions; true when none is left. Unmapping 65,535 takes many turns of a
    /// loop.
    bool remove_some(size_t most);

    /// Forgets all regions at once. The caller frees them: each call of what is returned unmaps up
    /// to `most`, and is true when none is left.
    std::function<bool(size_t most)> abandon_all();

    /// The region that holds `iova`, or nullptr. Valid until the next change.
    const Entry* find(uint64_t iova);

    /// The bytes of [iova, iova + size) if one mapped region that permits `access` holds them all.
    /// Whether they were lost is the caller's question.
    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size, DmaAccess access);

    size_t count() const { return regions_.size(); }
    size_t mapped_count() const { return mapped_regions_; }

private:
    bool may_map(uint64_t size) const;
    void erase(Regions::iterator region);

    size_t most_;
    Regions regions_;
    Entry* last_hit_ = nullptr;  // a device works in one region at a time, mostly
    size_t mapped_regions_ = 0;
    uint64_t mapped_bytes_ = 0;
};

/// Whether `have` permits all that `want` asks for.
constexpr bool permits(DmaAccess have, DmaAccess want) {
    return (static_cast<unsigned>(have) & static_cast<unsigned>(want)) ==
           static_cast<unsigned>(want);
}

/// Calls what GuestRegions::abandon_all() gave until all is unmapped: now, and where that is more
/// than the caller's share of a turn, in later turns of `loop`, which is borrowed. On the loop's
/// thread.
void free_in_turns(EventLoop& loop, std::function<bool(size_t most)> free_some);

}  // namespace mimic::memory
