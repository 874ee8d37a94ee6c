// SPDX-License-Identifier: Apache-2.0
#include "vfio_user/guest_memory.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "vfio_user/protocol.h"

namespace mimic::vfio_user {

// NOLINTNEXTLINE(readability-function-size): the fields of DMA_MAP
Status GuestMemory::map(uint64_t iova, uint64_t size, uint64_t fd_offset, memory::DmaAccess access,
                        UniqueFd fd) {
    thread_.check();
    return regions_.add(iova, size, fd_offset, access, fd);
}

Status GuestMemory::unmap(uint64_t iova, uint64_t size) {
    return regions_.remove(iova, size);
}

std::optional<std::span<std::byte>> GuestMemory::span(uint64_t iova, uint64_t size,
                                                      memory::DmaAccess access) {
    const auto bytes = regions_.span(iova, size, access);
    if (!bytes || lost(*regions_.find(iova), iova, size)) return std::nullopt;
    return bytes;
}

// Whether the owner of the file has taken away some of [iova, iova + size), which lies in `region`.
bool GuestMemory::lost(const memory::GuestRegions::Entry& region, uint64_t iova, uint64_t size) {
    if (!region.second.lost(iova - region.first, size)) return false;
    messenger_.on_memory_lost(iova);
    return true;
}

bool GuestMemory::intact(uint64_t iova, uint64_t size) {
    const auto* region = regions_.find(iova);
    return region == nullptr || !lost(*region, iova, size);
}

// Every byte must be in a region that permits the access; counts the messages that the unmapped
// parts need.
Status GuestMemory::check(uint64_t iova, uint64_t size, memory::DmaAccess access,
                          size_t& messages) {
    thread_.check();
    if (shut_down_) return fail(std::errc::operation_canceled, "the client is gone");
    if (size == 0 || size > kMaxDmaTransfer || iova + (size - 1) < iova)
        return fail(std::errc::invalid_argument, "DMA of {:#x} bytes at {:#x}", size, iova);
    const uint64_t bytes = size;
    messages = 0;
    while (size != 0) {
        const auto* region = regions_.find(iova);
        if (region == nullptr || !memory::permits(region->second.access, access))
            return fail(std::errc::bad_address, "no DMA region permits this at {:#x}", iova);
        const uint64_t part = std::min(size, region->second.size - (iova - region->first));
        if (lost(*region, iova, part))
            return fail(std::errc::bad_address, "the memory at {:#x} was taken away", iova);
        if (!region->second.mapping)
            messages += (part + messenger_.max_dma_message() - 1) / messenger_.max_dma_message();
        iova += part;
        size -= part;
    }
    if (messages != 0 && (in_flight_.size() + messages > kMaxDmaInFlight ||
                          bytes_in_flight_ + bytes > kMaxDmaBytesInFlight))
        return fail(std::errc::resource_unavailable_try_again,
                    "{} DMA messages and {} bytes under way", in_flight_.size(), bytes_in_flight_);
    return {};
}

void GuestMemory::read(uint64_t iova, uint64_t size, ReadDone done) {
    size_t messages = 0;
    if (auto ok = check(iova, size, memory::DmaAccess::kRead, messages); !ok)
        return done(tl::unexpected<Error>(ok.error()));
    if (const auto direct = span(iova, size, memory::DmaAccess::kRead)) {
        // A copy, although the bytes are at hand: the guest may change them while the device looks.
        const std::vector<std::byte> copy(direct->begin(), direct->end());
        if (!intact(iova, size))
            return done(fail(std::errc::bad_address, "the memory at {:#x} was taken away", iova));
        return done(std::span<const std::byte>(copy));
    }
    auto transfer = std::make_shared<Transfer>();
    transfer->bytes.resize(size);
    transfer->read_done = std::move(done);
    start(iova, transfer, /*is_read=*/true);
}

void GuestMemory::write(uint64_t iova, std::span<const std::byte> data, WriteDone done) {
    size_t messages = 0;
    if (auto ok = check(iova, data.size(), memory::DmaAccess::kWrite, messages); !ok)
        return done(tl::unexpected<Error>(ok.error()));
    if (const auto direct = span(iova, data.size(), memory::DmaAccess::kWrite)) {
        std::memcpy(direct->data(), data.data(), data.size());
        if (!intact(iova, data.size()))
            return done(fail(std::errc::bad_address, "the memory at {:#x} was taken away", iova));
        return done({});
    }
    auto transfer = std::make_shared<Transfer>();
    transfer->bytes.assign(data.begin(), data.end());
    transfer->write_done = std::move(done);
    start(iova, transfer, /*is_read=*/false);
}

void GuestMemory::start(uint64_t iova, const std::shared_ptr<Transfer>& transfer, bool is_read) {
    const size_t size = transfer->bytes.size();
    bytes_in_flight_ += size;
    for (size_t offset = 0; offset < size;) {
        const auto* region = regions_.find(iova + offset);
        MIMIC_CHECK(region != nullptr);  // check() has walked the same range
        const uint64_t in_region = iova + offset - region->first;
        size_t part = std::min<uint64_t>(size - offset, region->second.size - in_region);
        if (region->second.mapping) {
            std::byte* guest = region->second.mapping.bytes().data() + in_region;
            std::byte* ours = transfer->bytes.data() + offset;
            std::memcpy(is_read ? ours : guest, is_read ? guest : ours, part);
            if (lost(*region, iova + offset, part)) transfer->error = EFAULT;
        } else {
            part = std::min<uint64_t>(part, messenger_.max_dma_message());
            const uint16_t id = new_id();
            in_flight_[id] = InFlight{transfer, offset, part, is_read};
            ++transfer->outstanding;
            if (is_read)
                messenger_.send_dma_read(id, iova + offset, part);
            else
                messenger_.send_dma_write(id, iova + offset,
                                          std::span(transfer->bytes).subspan(offset, part));
        }
        offset += part;
    }
    if (transfer->outstanding == 0) finish(transfer);
}

// Ids wrap, and a peer may leave a message unanswered for longer than that takes.
uint16_t GuestMemory::new_id() {
    static_assert(kMaxDmaInFlight < UINT16_MAX);
    while (in_flight_.contains(next_id_)) ++next_id_;
    return next_id_++;
}

bool GuestMemory::on_reply(uint16_t id, bool is_read, int error, std::span<const uint8_t> data) {
    const auto found = in_flight_.find(id);
    if (found == in_flight_.end() || found->second.is_read != is_read) return false;
    const InFlight message = std::move(found->second);
    in_flight_.erase(found);
    Transfer& transfer = *message.transfer;
    if (error == 0 && is_read && data.size() != message.size) error = EIO;
    if (error != 0) {
        transfer.error = EIO;
    } else if (is_read) {
        std::memcpy(transfer.bytes.data() + message.offset, data.data(), message.size);
    }
    if (--transfer.outstanding == 0) finish(message.transfer);
    return true;
}

void GuestMemory::shut_down() {
    shut_down_ = true;
    // finish() runs device code, which may call back: work on what was there.
    std::unordered_map<uint16_t, InFlight> cancelled;
    cancelled.swap(in_flight_);
    for (auto& [id, message] : cancelled) {
        message.transfer->error = ECANCELED;
        if (--message.transfer->outstanding == 0) finish(message.transfer);
    }
}

void GuestMemory::finish(const std::shared_ptr<Transfer>& transfer) {
    bytes_in_flight_ -= transfer->bytes.size();
    const int error = transfer->error;
    if (transfer->read_done) {
        if (error != 0)
            transfer->read_done(tl::unexpected<Error>(Error::from_errno(error, "DMA_READ")));
        else
            transfer->read_done(std::span<const std::byte>(transfer->bytes));
    } else if (error != 0) {
        transfer->write_done(tl::unexpected<Error>(Error::from_errno(error, "DMA_WRITE")));
    } else {
        transfer->write_done({});
    }
}

}  // namespace mimic::vfio_user
