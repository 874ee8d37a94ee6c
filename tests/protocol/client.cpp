// SPDX-License-Identifier: Apache-2.0
// The well-behaved half of the test client. The raw half is in raw_client.cpp.
#include "tests/protocol/client.h"

#include <cerrno>
#include <cstring>

namespace mimic::test {

using namespace vfio_user;

int Client::negotiate(uint16_t minor, std::string_view json) {
    const Reply reply = call(version_request(minor, json));
    if (reply.error() != 0) return reply.error();
    const auto body = reply.as<VersionBody>();
    server_minor_ = body.minor;
    if (reply.payload.size() > sizeof body)
        server_json_.assign(reinterpret_cast<const char*>(reply.payload.data()) + sizeof body,
                            reply.payload.size() - sizeof body - 1);
    return 0;
}

Reply Client::call(Request request) {
    request.header.id = next_id_++;
    Reply gone;
    gone.header = {request.header.id, request.header.command, 0, kFlagTypeReply | kFlagError,
                   ECONNRESET};
    if (!raw_.send(request)) return gone;
    for (;;) {
        auto message = raw_.receive();
        if (!message) return gone;
        if (message->is_reply() && message->header.id == request.header.id)
            return std::move(*message);
        if (message->is_reply()) return gone;  // no other request is under way
        if (serve_while_waiting) {
            serve_dma(*message);
            ++served;
        } else {
            held.push_back(std::move(*message));
        }
    }
}

DeviceInfoBody Client::device_info() {
    return call(Request(Command::kDeviceGetInfo, bytes_of(DeviceInfoBody{16, 0, 0, 0})))
        .as<DeviceInfoBody>();
}

RegionInfo Client::region_info(uint32_t index) {
    RegionInfo info;
    uint32_t argsz = sizeof(RegionInfoBody);
    for (int attempt = 0; attempt < 2; ++attempt) {
        Reply reply = call(Request(Command::kDeviceGetRegionInfo,
                                   bytes_of(RegionInfoBody{argsz, 0, index, 0, 0, 0})));
        info.error = reply.error();
        info.body = reply.as<RegionInfoBody>();
        if (info.error != 0) return info;
        if (!reply.fds.empty()) info.fd = std::move(reply.fds[0]);
        if (info.body.argsz > argsz) {
            argsz = info.body.argsz;
            continue;
        }
        if ((info.body.flags & kRegionFlagCaps) != 0) {
            SparseMmapCap cap{};
            std::memcpy(&cap, reply.payload.data() + info.body.cap_offset, sizeof cap);
            info.areas.resize(cap.nr_areas);
            std::memcpy(info.areas.data(), reply.payload.data() + info.body.cap_offset + sizeof cap,
                        cap.nr_areas * sizeof(SparseMmapArea));
        }
        return info;
    }
    return info;
}

IrqInfoBody Client::irq_info(uint32_t index) {
    return call(Request(Command::kDeviceGetIrqInfo, bytes_of(IrqInfoBody{16, 0, index, 0})))
        .as<IrqInfoBody>();
}

int Client::set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
                     std::vector<int> fds, Bytes data) {
    return status(irqs_request(flags, index, start, count, std::move(fds), std::move(data)));
}

int Client::dma_map(uint64_t iova, uint64_t size, int fd, uint64_t fd_offset, uint32_t flags) {
    return status(map_request(iova, size, fd, fd_offset, flags));
}

int Client::dma_unmap(uint64_t iova, uint64_t size, uint32_t flags) {
    return status(unmap_request(iova, size, flags));
}

int Client::read(uint32_t region, uint64_t offset, std::span<uint8_t> data) {
    const Reply reply = call(read_request(region, offset, static_cast<uint32_t>(data.size())));
    if (reply.error() != 0) return reply.error();
    if (reply.payload.size() != sizeof(RegionAccessBody) + data.size()) return EPROTO;
    std::memcpy(data.data(), reply.payload.data() + sizeof(RegionAccessBody), data.size());
    return 0;
}

int Client::write(uint32_t region, uint64_t offset, std::span<const uint8_t> data) {
    const Reply reply = call(write_request(region, offset, data));
    if (reply.error() == 0 && reply.payload.size() != sizeof(RegionAccessBody)) return EPROTO;
    return reply.error();
}

bool Client::post(uint32_t region, uint64_t offset, std::span<const uint8_t> data) {
    Request request = posted(write_request(region, offset, data));
    request.header.id = next_id_++;
    return raw_.send(request);
}

int Client::reset() {
    return status(Request(Command::kDeviceReset, {}));
}

void Client::serve_dma(const Reply& command) {
    const auto body = command.as<DmaAccessBody>();
    Header header = command.header;
    header.flags = kFlagTypeReply;
    Bytes answer = bytes_of(body);
    const bool inside = body.address >= memory_base && body.count <= memory.size() &&
                        body.address - memory_base <= memory.size() - body.count;
    const bool read = header.command == static_cast<uint16_t>(Command::kDmaRead);
    if (!inside) {
        header.flags |= kFlagError;
        header.error = EFAULT;
        answer.clear();
    } else if (read) {
        const auto first = memory.begin() + static_cast<std::ptrdiff_t>(body.address - memory_base);
        answer.insert(answer.end(), first, first + static_cast<std::ptrdiff_t>(body.count));
    } else {
        std::memcpy(memory.data() + (body.address - memory_base),
                    command.payload.data() + sizeof body, body.count);
    }
    header.size = static_cast<uint32_t>(sizeof header + answer.size());
    raw_.send_bytes(bytes_of(header) + answer);
}

bool Client::serve_one() {
    const auto message = raw_.receive();
    if (!message || message->is_reply()) return false;
    serve_dma(*message);
    return true;
}

Request version_request(uint16_t minor, std::string_view json, uint16_t major) {
    Bytes body = bytes_of(VersionBody{major, minor});
    body.insert(body.end(), json.begin(), json.end());
    body.push_back(0);
    return {Command::kVersion, std::move(body)};
}

Request map_request(uint64_t iova, uint64_t size, int fd, uint64_t fd_offset, uint32_t flags) {
    return {Command::kDmaMap,
            bytes_of(DmaMapBody{sizeof(DmaMapBody), flags, fd_offset, iova, size}),
            fd >= 0 ? std::vector<int>{fd} : std::vector<int>{}};
}

Request unmap_request(uint64_t iova, uint64_t size, uint32_t flags) {
    return {Command::kDmaUnmap, bytes_of(DmaUnmapBody{sizeof(DmaUnmapBody), flags, iova, size})};
}

Request irqs_request(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
                     std::vector<int> fds, Bytes data) {
    const auto argsz = static_cast<uint32_t>(sizeof(SetIrqsBody) + data.size());
    return {Command::kDeviceSetIrqs,
            bytes_of(SetIrqsBody{argsz, flags, index, start, count}) + data, std::move(fds)};
}

Request read_request(uint32_t region, uint64_t offset, uint32_t count) {
    return {Command::kRegionRead, bytes_of(RegionAccessBody{offset, region, count})};
}

Request write_request(uint32_t region, uint64_t offset, std::span<const uint8_t> data) {
    return {Command::kRegionWrite,
            bytes_of(RegionAccessBody{offset, region, static_cast<uint32_t>(data.size())}) + data};
}

Request posted(Request request) {
    request.header.flags |= kFlagNoReply;
    return request;
}

}  // namespace mimic::test
