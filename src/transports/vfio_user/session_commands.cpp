// SPDX-License-Identifier: Apache-2.0
// The commands of a session. Each handler checks every field it uses here, once; what lies below
// trusts it. Errors are those of libvfio-user, nearly always EINVAL; where another is sent, or
// something refused that it accepts, or the other way round, the reason stands beside it.
// tests/protocol/errno_test.cpp compares them one by one.
#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "vfio_user/session.h"

namespace mimic::vfio_user {
namespace {

template <typename T>
bool read_body(std::span<const uint8_t> payload, T& body) {
    if (payload.size() < sizeof(T)) return false;
    std::memcpy(&body, payload.data(), sizeof(T));
    return true;
}

template <typename T>
std::span<const uint8_t> bytes_of(const T& body) {
    return {reinterpret_cast<const uint8_t*>(&body), sizeof body};
}

// What is done of a message before the clock is looked at. Arbitrary; each takes some 10 us:
// registers behind a fabric, system calls for vectors, mappings.
constexpr size_t kBytesOfAPiece = 4096;
constexpr uint32_t kVectorsOfAPiece = 16;
constexpr size_t kMappingsOfAPiece = 16;

// Bytes of the next piece: up to a multiple of its size, so that no register is cut in two.
size_t piece_size(uint64_t offset, size_t left) {
    return left <= kBytesOfAPiece ? left : kBytesOfAPiece - offset % kBytesOfAPiece;
}

constexpr std::string_view kShort = "payload too short";
constexpr std::string_view kFdsLost = "this process had no room for its descriptors";

}  // namespace

void Session::on_dma_map(Message& message) {
    DmaMapBody body;
    if (!read_body(message.payload, body)) return reply_error(message.header, {EINVAL}, kShort);
    // Who wants no answer cannot be told: that region is reached by messages.
    if (message.fds_lost && (message.header.flags & kFlagNoReply) == 0)
        return reply_error(message.header, {EMFILE}, kFdsLost);
    constexpr uint32_t kKnown = kDmaRead | kDmaWrite | kDmaMmap | kDmaFileIo;
    const uint32_t how = body.flags & (kDmaMmap | kDmaFileIo);
    const bool how_is_valid = how == 0 || (std::has_single_bit(how) && !message.fds.empty());
    // libvfio-user takes the first of several descriptors. Which one is the memory is not written
    // anywhere, so we do not guess.
    if (body.argsz < sizeof body || (body.flags & ~kKnown) != 0 || !how_is_valid ||
        message.fds.size() > 1)
        return reply_error(message.header, {EINVAL},
                           fmt::format("DMA_MAP argsz {}, flags {:#x}, {} descriptors", body.argsz,
                                       body.flags, message.fds.size()));
    // A region that may be neither read nor written is kept, so that its UNMAP finds it.
    const auto access = static_cast<memory::DmaAccess>(body.flags & (kDmaRead | kDmaWrite));
    UniqueFd fd = message.fds.empty() ? UniqueFd() : std::move(message.fds[0]);
    if ((body.flags & (kDmaRead | kDmaWrite)) == 0) fd.reset();
    if (auto ok = memory_.map(body.iova, body.size, body.fd_offset, access, std::move(fd)); !ok)
        return reply_error(message.header, {ok.error().errno_value()}, ok.error().message());
    ++counters_.dma_maps;
    reply(message.header, {});
}

void Session::on_dma_unmap(const Message& message) {
    DmaUnmapBody body;
    constexpr size_t kReply = sizeof body;
    if (!read_body(message.payload, body))
        return reply_error(message.header, {EINVAL, kReply}, kShort);
    // Nothing is tracked, so a dirty bitmap (kUnmapGetDirtyBitmap) is as wrong as an unknown flag.
    if (body.argsz < sizeof body || body.argsz > kMaxDataXferSize || (body.flags & ~kUnmapAll) != 0)
        return reply_error(message.header, {EINVAL, kReply},
                           fmt::format("DMA_UNMAP argsz {}, flags {:#x}", body.argsz, body.flags));
    if ((body.flags & kUnmapAll) != 0) {
        if (body.iova != 0 || body.size != 0)
            return reply_error(message.header, {EINVAL, kReply}, "DMA_UNMAP of all with a range");
        body.argsz = sizeof body;
        return in_pieces([this, header = message.header, body] {
            if (!memory_.unmap_some(kMappingsOfAPiece)) return false;
            reply(header, bytes_of(body));
            return true;
        });
    } else if (auto ok = memory_.unmap(body.iova, body.size); !ok) {
        return reply_error(message.header, {ok.error().errno_value(), kReply},
                           ok.error().message());
    }
    body.argsz = sizeof body;
    reply(message.header, bytes_of(body));
}

void Session::on_get_info(const Message& message) {
    DeviceInfoBody body;
    // rust-vmm asks with an argsz of 32; anything that holds the structure will do.
    if (!read_body(message.payload, body) || body.argsz < sizeof body)
        return reply_error(message.header, {EINVAL, sizeof body}, "GET_INFO too short");
    body = {sizeof body, kDeviceFlagReset | kDeviceFlagPci, kRegionCount, kIrqCount};
    reply(message.header, bytes_of(body));
}

uint64_t Session::region_size(uint32_t region) const {
    if (region < pci::kBarCount) return function_.bars()[region].size;
    if (region == kRegionRom) return function_.rom().size();
    if (region == kRegionConfig) return function_.options().config_size;
    return 0;
}

void Session::on_get_region_info(const Message& message) {
    RegionInfoBody body;
    if (!read_body(message.payload, body))
        return reply_error(message.header, {EINVAL, sizeof body}, kShort);
    if (body.argsz < sizeof body || body.index >= kRegionCount)
        return reply_error(message.header, {EINVAL, sizeof body},
                           fmt::format("REGION_INFO {} argsz {}", body.index, body.argsz));
    const uint32_t room = body.argsz;
    const uint32_t index = body.index;
    RegionInfoBody info{sizeof info, 0, index, 0, region_size(index), 0};
    if (info.size != 0) info.flags = kRegionFlagRead | (index == kRegionRom ? 0 : kRegionFlagWrite);
    int fd = -1;
    std::vector<uint8_t> answer(sizeof info);
    if (index < pci::kBarCount && client_.max_msg_fds != 0 && function_.bars()[index].fd >= 0 &&
        !function_.bars()[index].areas.empty()) {
        const pci::Bar& bar = function_.bars()[index];
        info.flags |= kRegionFlagMmap;
        info.offset = bar.fd_offset;
        const auto areas = static_cast<uint32_t>(bar.areas.size());
        info.argsz = static_cast<uint32_t>(sizeof info + sizeof(SparseMmapCap) +
                                           areas * sizeof(SparseMmapArea));
        if (room >= info.argsz) {
            fd = bar.fd;
            info.flags |= kRegionFlagCaps;
            info.cap_offset = sizeof info;
            const SparseMmapCap cap{kRegionCapSparseMmap, 1, 0, areas, 0};
            answer.insert(answer.end(), bytes_of(cap).begin(), bytes_of(cap).end());
            for (const pci::MappableArea& area : bar.areas) {
                const SparseMmapArea entry{area.offset, area.size};
                answer.insert(answer.end(), bytes_of(entry).begin(), bytes_of(entry).end());
            }
        }
    }
    std::memcpy(answer.data(), &info, sizeof info);
    if (!reply_with(message.header, answer, fd))
        reply_error(message.header, {EMFILE, sizeof body}, "no descriptor left to send another");
}

void Session::on_get_region_io_fds(const Message& message) {
    RegionIoFdsBody body;
    if (!read_body(message.payload, body) || body.argsz < sizeof body ||
        body.argsz > kMaxDataXferSize || body.flags != 0 || body.count != 0 ||
        region_size(body.index) == 0)
        return reply_error(message.header, {EINVAL}, "bad GET_REGION_IO_FDS");
    body = {sizeof body, 0, body.index, 0};  // no region has any
    reply(message.header, bytes_of(body));
}

void Session::on_get_irq_info(const Message& message) {
    IrqInfoBody body;
    if (!read_body(message.payload, body) || body.argsz < sizeof body || body.index >= kIrqCount)
        return reply_error(message.header, {EINVAL, sizeof body}, "bad GET_IRQ_INFO");
    const uint32_t flags = body.index == kIrqIntx
                               ? kIrqFlagEventfd | kIrqFlagMaskable | kIrqFlagAutomasked
                               : kIrqFlagEventfd;
    body = {sizeof body, flags, body.index, interrupts_.count(body.index)};
    reply(message.header, bytes_of(body));
}

void Session::on_set_irqs(Message& message) {
    SetIrqsBody body;
    if (!read_body(message.payload, body)) return reply_error(message.header, {EINVAL}, kShort);
    if (message.fds_lost) return reply_error(message.header, {EMFILE}, kFdsLost);
    if (body.argsz < sizeof body)
        return reply_error(message.header, {EINVAL}, fmt::format("SET_IRQS argsz {}", body.argsz));
    const auto data = message.payload.subspan(sizeof body);
    const bool eventfds = (body.flags & kIrqDataMask) == kIrqDataEventfd;
    if (body.count > kVectorsOfAPiece && !eventfds) return set_many_irqs(message, body, data);
    if (auto ok = interrupts_.set(body, data, message.fds); !ok)
        return reply_error(message.header, {ok.error().errno_value()}, ok.error().message());
    reply(message.header, {});
}

// A range of a valid request is a valid request, as long as each vector has its own data or none
// has.
void Session::set_many_irqs(const Message& message, const SetIrqsBody& body,
                            std::span<const uint8_t> data) {
    if (auto ok = interrupts_.check(body, data, message.fds); !ok)
        return reply_error(message.header, {ok.error().errno_value()}, ok.error().message());
    // Behind a request of kind NONE may lie anything: it is not looked at.
    if ((body.flags & kIrqDataMask) != kIrqDataBool) data = {};
    in_pieces([this, header = message.header, left = body,
               booleans = std::vector<uint8_t>(data.begin(), data.end())]() mutable {
        SetIrqsBody part = left;
        part.count = std::min(left.count, kVectorsOfAPiece);
        const auto values = booleans.empty() ? std::span<const uint8_t>()
                                             : std::span(booleans).last(left.count);
        const auto ok = interrupts_.set(
            part, values.first(std::min<size_t>(values.size(), part.count)), {});
        MIMIC_CHECK(ok);  // the whole was checked
        left.start += part.count;
        left.count -= part.count;
        if (left.count != 0) return false;
        reply(header, {});
        return true;
    });
}

bool Session::region_access_ok(uint32_t region, uint64_t offset, uint64_t size, bool write) const {
    const uint64_t limit = region_size(region);
    if (region >= kRegionCount || offset > limit || size > limit - offset) return false;
    return !(write && region == kRegionRom);  // libvfio-user leaves that to the device
}

void Session::read_region(uint32_t region, uint64_t offset, std::span<uint8_t> data) {
    if (data.empty()) return;  // legal, and no access
    if (region < pci::kBarCount) {
        if (function_.in_d0())
            function_.read_bar(region, offset, data);
        else
            std::memset(data.data(), 0xff, data.size());
    } else if (region == kRegionConfig) {
        function_.config_read(static_cast<uint32_t>(offset), data);
    } else {
        std::memcpy(data.data(), function_.rom().data() + offset, data.size());
    }
}

void Session::write_region(uint32_t region, uint64_t offset, std::span<const uint8_t> data) {
    if (data.empty()) return;
    if (region == kRegionConfig)
        function_.config_write(static_cast<uint32_t>(offset), data);
    else if (function_.in_d0())
        function_.write_bar(region, offset, data);
}

void Session::on_region_read(const Message& message) {
    RegionAccessBody body;
    if (!read_body(message.payload, body)) return reply_error(message.header, {EINVAL}, kShort);
    if (body.count > kMaxDataXferSize)
        return reply_error(message.header, {EINVAL, sizeof body}, "REGION_READ of too much");
    if (!region_access_ok(body.region, body.offset, body.count, /*write=*/false))
        return reply_error(message.header, {EINVAL, sizeof body + body.count},
                           fmt::format("read of region {} at {:#x}, {} bytes", body.region,
                                       body.offset, body.count));
    ++counters_.region_reads;
    if (body.count > kBytesOfAPiece) return read_in_pieces(message.header, body);
    // Zeroed: a model that forgets a byte must not show the peer our stack.
    std::array<uint8_t, 64> small{};
    const size_t size = sizeof body + body.count;
    if (size > small.size()) reply_buffer_.resize(size);
    const std::span<uint8_t> answer = size > small.size() ? std::span(reply_buffer_)
                                                          : std::span(small).first(size);
    std::memcpy(answer.data(), &body, sizeof body);
    read_region(body.region, body.offset, answer.subspan(sizeof body));
    reply(message.header, answer);
    // A large read should not keep its buffer for the connection's life.
    if (size > small.size()) std::vector<uint8_t>().swap(reply_buffer_);
}

void Session::read_in_pieces(const Header& header, const RegionAccessBody& body) {
    reply_buffer_.resize(sizeof body + body.count);
    std::memcpy(reply_buffer_.data(), &body, sizeof body);
    in_pieces([this, header, body, done = size_t{0}]() mutable {
        const auto left = std::span(reply_buffer_).subspan(sizeof body + done);
        const size_t size = piece_size(body.offset + done, left.size());
        read_region(body.region, body.offset + done, left.first(size));
        done += size;
        if (done != body.count) return false;
        reply(header, reply_buffer_);
        std::vector<uint8_t>().swap(reply_buffer_);
        return true;
    });
}

void Session::on_region_write(const Message& message) {
    RegionAccessBody body;
    if (!read_body(message.payload, body))
        return reply_error(message.header, {EINVAL, sizeof body}, kShort);
    const auto data = message.payload.subspan(sizeof body);
    if (data.size() != body.count)
        return reply_error(
            message.header, {EINVAL, sizeof body},
            fmt::format("REGION_WRITE of {} bytes carries {}", body.count, data.size()));
    if (!region_access_ok(body.region, body.offset, body.count, /*write=*/true))
        return reply_error(message.header, {EINVAL, sizeof body},
                           fmt::format("write to region {} at {:#x}, {} bytes", body.region,
                                       body.offset, body.count));
    ++counters_.region_writes;
    if (body.count > kBytesOfAPiece) return write_in_pieces(message.header, body, data);
    write_region(body.region, body.offset, data);
    reply(message.header, bytes_of(body));
}

void Session::write_in_pieces(const Header& header, const RegionAccessBody& body,
                              std::span<const uint8_t> data) {
    // A copy, because the payload is gone when the next turn comes.
    in_pieces([this, header, body, done = size_t{0},
               copy = std::vector<uint8_t>(data.begin(), data.end())]() mutable {
        const auto left = std::span<const uint8_t>(copy).subspan(done);
        const size_t size = piece_size(body.offset + done, left.size());
        write_region(body.region, body.offset + done, left.first(size));
        done += size;
        if (done != body.count) return false;
        reply(header, bytes_of(body));
        return true;
    });
}

void Session::on_write_multi(const Message& message) {
    uint64_t count = 0;
    if (!read_body(message.payload, count) ||
        count > (message.payload.size() - sizeof count) / sizeof(WriteMultiEntry) ||
        message.payload.size() != sizeof count + count * sizeof(WriteMultiEntry))
        return reply_error(message.header, {EINVAL}, "bad REGION_WRITE_MULTI");
    // All entries are checked before any is carried out: a bad one does not leave half a burst
    // behind.
    std::vector<WriteMultiEntry> entries(count);
    if (count != 0)
        std::memcpy(entries.data(), message.payload.data() + sizeof count,
                    count * sizeof(WriteMultiEntry));
    for (const WriteMultiEntry& entry : entries)
        if (entry.count == 0 || entry.count > sizeof entry.data ||
            !region_access_ok(entry.region, entry.offset, entry.count, /*write=*/true))
            return reply_error(message.header, {EINVAL},
                               fmt::format("REGION_WRITE_MULTI to region {} at {:#x}, {} bytes",
                                           entry.region, entry.offset, entry.count));
    if (count == 0) return reply(message.header, bytes_of(count));
    // One at a time: each may be a doorbell or the end of 64 VFs.
    in_pieces(
        [this, header = message.header, next = size_t{0}, all = std::move(entries)]() mutable {
            const WriteMultiEntry& entry = all[next++];
            ++counters_.region_writes;
            write_region(entry.region, entry.offset, std::span(entry.data).first(entry.count));
            if (next != all.size()) return false;
            reply(header, bytes_of(uint64_t{next}));
            return true;
        });
}

void Session::on_reset(const Message& message) {
    function_.reset(pci::ResetKind::kConventional);
    reply(message.header, {});
}

void Session::on_device_feature(const Message& message) {
    DeviceFeatureBody body;
    if (!read_body(message.payload, body) || body.argsz < sizeof body)
        return reply_error(message.header, {EINVAL}, "DEVICE_FEATURE too short");
    const bool get = (body.flags & kFeatureGet) != 0;
    const bool set = (body.flags & kFeatureSet) != 0;
    const bool probe = (body.flags & kFeatureProbe) != 0;
    constexpr uint32_t kKnown = kFeatureIndexMask | kFeatureGet | kFeatureSet | kFeatureProbe;
    if ((body.flags & ~kKnown) != 0 || (probe ? !get && !set : get == set))
        return reply_error(message.header, {EINVAL},
                           fmt::format("DEVICE_FEATURE flags {:#x}", body.flags));
    // Migration and dirty logging are the only features there are; a probe learns here that we have
    // neither. ENOTTY is what the kernel's VFIO says of such a feature, and QEMU's code for both
    // takes it for "none" and another errno, as libvfio-user's EINVAL, for a failure.
    reply_error(message.header, {ENOTTY},
                fmt::format("feature {} is not supported", body.flags & kFeatureIndexMask));
}

}  // namespace mimic::vfio_user
