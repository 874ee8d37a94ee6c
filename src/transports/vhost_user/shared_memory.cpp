// SPDX-License-Identifier: Apache-2.0
#include "vhost_user/shared_memory.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

namespace mimic::vhost_user {
namespace {

constexpr uint64_t kMaxTransfer = 16U << 20;  // as DmaSpace says

}  // namespace

Status SharedMemory::add(const MemoryRegion& region, const UniqueFd& fd) {
    thread_.check();
    if (!fd) return fail(std::errc::invalid_argument, "memory region without a descriptor");
    const uint64_t user = region.user_address;
    if (region.size == 0 || user + (region.size - 1) < user)
        return fail(std::errc::invalid_argument, "memory region of {:#x} bytes at user {:#x}",
                    region.size, user);
    const auto next = user_.lower_bound(user);
    if ((next != user_.end() && next->first - user < region.size) ||
        (next != user_.begin() && user - std::prev(next)->first < std::prev(next)->second.size))
        return fail(std::errc::file_exists, "memory region at user {:#x}+{:#x} overlaps another",
                    user, region.size);
    const size_t mapped = regions_.mapped_count();
    MIMIC_TRY(regions_.add(region.guest_address, region.size, region.mmap_offset,
                           memory::DmaAccess::kReadWrite, fd));
    if (regions_.mapped_count() == mapped) {
        (void)regions_.remove(region.guest_address, region.size);
        return fail(std::errc::not_enough_memory, "this process has few mappings left");
    }
    user_.emplace_hint(next, user, UserRange{region.size, region.guest_address});
    return {};
}

Status SharedMemory::remove(const MemoryRegion& region) {
    thread_.check();
    const auto found = user_.find(region.user_address);
    if (found == user_.end() || found->second.size != region.size ||
        found->second.guest_address != region.guest_address)
        return fail(std::errc::no_such_file_or_directory, "no memory region {:#x}+{:#x}",
                    region.guest_address, region.size);
    user_.erase(found);
    return regions_.remove(region.guest_address, region.size);
}

std::function<bool(size_t)> SharedMemory::abandon_all() {
    user_.clear();
    return regions_.abandon_all();
}

std::optional<uint64_t> SharedMemory::translate(uint64_t user_address) const {
    const auto after = user_.upper_bound(user_address);
    if (after == user_.begin()) return std::nullopt;
    const auto& [start, range] = *std::prev(after);
    if (user_address - start >= range.size) return std::nullopt;
    return range.guest_address + (user_address - start);
}

std::optional<std::span<std::byte>> SharedMemory::span(uint64_t address, uint64_t size,
                                                       memory::DmaAccess access) {
    const auto bytes = regions_.span(address, size, access);
    if (!bytes || !intact(address, size)) return std::nullopt;
    return bytes;
}

bool SharedMemory::intact(uint64_t address, uint64_t size) {
    const auto* const region = regions_.find(address);
    if (region == nullptr || !region->second.lost(address - region->first, size)) return true;
    on_lost_(address);
    return false;
}

template <typename Copy>
Status SharedMemory::transfer(uint64_t address, uint64_t size, Copy copy) {
    thread_.check();
    if (size == 0 || size > kMaxTransfer || address + (size - 1) < address)
        return fail(std::errc::invalid_argument, "DMA of {:#x} bytes at {:#x}", size, address);
    for (uint64_t done = 0; done < size;) {
        const auto* const region = regions_.find(address + done);
        if (region == nullptr)
            return fail(std::errc::bad_address, "no guest memory at {:#x}", address + done);
        const uint64_t offset = address + done - region->first;
        const uint64_t part = std::min(size - done, region->second.size - offset);
        copy(done, region->second.mapping.bytes().subspan(offset, part));
        if (!intact(address + done, part))
            return fail(std::errc::bad_address, "the memory at {:#x} was taken away",
                        address + done);
        done += part;
    }
    return {};
}

void SharedMemory::read(uint64_t address, uint64_t size, ReadDone done) {
    std::vector<std::byte> bytes(std::min(size, kMaxTransfer));
    const auto ok = transfer(address, size, [&](uint64_t at, std::span<std::byte> guest) {
        std::memcpy(bytes.data() + at, guest.data(), guest.size());
    });
    if (!ok) return done(tl::unexpected<Error>(ok.error()));
    done(std::span<const std::byte>(bytes));
}

void SharedMemory::write(uint64_t address, std::span<const std::byte> data, WriteDone done) {
    done(transfer(address, data.size(), [&](uint64_t at, std::span<std::byte> guest) {
        std::memcpy(guest.data(), data.data() + at, guest.size());
    }));
}

}  // namespace mimic::vhost_user
