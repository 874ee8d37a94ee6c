// SPDX-License-Identifier: Apache-2.0
#include "memory/guest_regions.h"

#include <sys/mman.h>

#include <memory>

#include "memory/process_limits.h"

namespace mimic::memory {

// NOLINTNEXTLINE(readability-function-size): the fields of DMA_MAP
Status GuestRegions::add(uint64_t iova, uint64_t size, uint64_t fd_offset, DmaAccess access,
                         const UniqueFd& fd) {
    if (size == 0 || iova + (size - 1) < iova)
        return fail(std::errc::invalid_argument, "DMA region of {:#x} bytes at {:#x}", size, iova);
    const auto next = regions_.lower_bound(iova);
    const bool hits_next = next != regions_.end() && next->first - iova < size;
    const bool hits_previous = next != regions_.begin() &&
                               iova - std::prev(next)->first < std::prev(next)->second.size;
    if (hits_next || hits_previous)
        return fail(std::errc::file_exists, "DMA region {:#x}+{:#x} overlaps another", iova, size);
    if (regions_.size() >= most_)
        return fail(std::errc::no_space_on_device, "{} DMA regions", regions_.size());
    Mapping mapping;
    if (fd && may_map(size)) {
        int protection = 0;
        if (permits(access, DmaAccess::kRead)) protection |= PROT_READ;
        if (permits(access, DmaAccess::kWrite)) protection |= PROT_WRITE;
        MIMIC_ASSIGN_OR_RETURN(mapping, Mapping::map(fd.get(), fd_offset, size, protection));
        ++mapped_regions_;
        mapped_bytes_ += size;
    }
    regions_.emplace_hint(next, iova, Region{size, access, std::move(mapping)});
    return {};
}

bool GuestRegions::may_map(uint64_t size) const {
    if (size > kMaxMappedBytes - mapped_bytes_) return false;
    return mapped_regions_ < (mappings_scarce() ? kAssuredMappedRegions : kMaxMappedRegions);
}

Status GuestRegions::remove(uint64_t iova, uint64_t size) {
    const auto region = regions_.find(iova);
    if (region == regions_.end() || region->second.size != size)
        return fail(std::errc::no_such_file_or_directory, "no DMA region {:#x}+{:#x}", iova, size);
    erase(region);
    return {};
}

void GuestRegions::erase(Regions::iterator region) {
    if (region->second.mapping) {
        --mapped_regions_;
        mapped_bytes_ -= region->second.size;
    }
    regions_.erase(region);
    last_hit_ = nullptr;
}

bool GuestRegions::remove_some(size_t most) {
    for (; most != 0 && !regions_.empty(); --most) erase(regions_.begin());
    return regions_.empty();
}

std::function<bool(size_t)> GuestRegions::abandon_all() {
    const auto dead = std::make_shared<Regions>(std::exchange(regions_, {}));
    mapped_regions_ = 0;
    mapped_bytes_ = 0;
    last_hit_ = nullptr;
    return [dead](size_t most) {
        for (; most != 0 && !dead->empty(); --most) dead->erase(dead->begin());
        return dead->empty();
    };
}

const GuestRegions::Entry* GuestRegions::find(uint64_t iova) {
    if (last_hit_ != nullptr && iova - last_hit_->first < last_hit_->second.size) return last_hit_;
    const auto after = regions_.upper_bound(iova);
    if (after == regions_.begin()) return nullptr;
    auto& region = *std::prev(after);
    if (iova - region.first >= region.second.size) return nullptr;
    last_hit_ = &region;
    return &region;
}

std::optional<std::span<std::byte>> GuestRegions::span(uint64_t iova, uint64_t size,
                                                       DmaAccess access) {
    const auto* region = find(iova);
    if (region == nullptr || !region->second.mapping || !permits(region->second.access, access))
        return std::nullopt;
    const uint64_t offset = iova - region->first;
    if (size == 0 || size > region->second.size - offset) return std::nullopt;
    return region->second.mapping.bytes().subspan(offset, size);
}

// A client leaves up to 65,535 regions behind, which others of its loop should not wait for.
void free_in_turns(EventLoop& loop, std::function<bool(size_t most)> free_some) {
    constexpr size_t kMost = 16;  // before the clock is looked at; arbitrary
    while (!free_some(kMost)) {
        if (!loop.share_is_over()) continue;
        loop.post([&loop, rest = std::move(free_some)] { free_in_turns(loop, rest); });
        return;
    }
}

}  // namespace mimic::memory
