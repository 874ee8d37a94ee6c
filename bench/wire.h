// SPDX-License-Identifier: Apache-2.0
// The benchmarks' client: prebuilt messages and blocking socket calls, and nothing else, so that
// the client costs the same against every server, the bare one included.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "vfio_user/protocol.h"

namespace mimic::bench {

using Bytes = std::vector<uint8_t>;

template <typename Body>
Bytes message(vfio_user::Command command, const Body& body, size_t extra, uint32_t flags = 0) {
    Bytes bytes(sizeof(vfio_user::Header) + sizeof body + extra);
    const vfio_user::Header header{1, static_cast<uint16_t>(command),
                                   static_cast<uint32_t>(bytes.size()), flags, 0};
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + sizeof header, &body, sizeof body);
    return bytes;
}

/// 32 bytes; the reply has 36.
inline Bytes region_read(uint64_t offset, uint32_t region = 0) {
    return message(vfio_user::Command::kRegionRead, vfio_user::RegionAccessBody{offset, region, 4},
                   0);
}

/// 36 bytes, no reply.
inline Bytes posted_write(uint64_t offset, uint32_t region = 0, uint32_t value = 0) {
    Bytes bytes = message(vfio_user::Command::kRegionWrite,
                          vfio_user::RegionAccessBody{offset, region, 4}, 4,
                          vfio_user::kFlagNoReply);
    std::memcpy(bytes.data() + bytes.size() - sizeof value, &value, sizeof value);
    return bytes;
}

inline bool send_all(int fd, const Bytes& bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
        const ssize_t n = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) return false;
        sent += static_cast<size_t>(n);
    }
    return true;
}

inline bool receive_exactly(int fd, uint8_t* data, size_t size) {
    while (size != 0) {
        const ssize_t n = ::recv(fd, data, size, 0);
        if (n <= 0) return false;
        data += n;
        size -= static_cast<size_t>(n);
    }
    return true;
}

/// One request of a known reply size; true if it came.
inline bool round_trip(int fd, const Bytes& request, size_t reply_size) {
    std::array<uint8_t, 4096> reply;
    return send_all(fd, request) && receive_exactly(fd, reply.data(), reply_size);
}

inline bool negotiate(int fd) {
    static constexpr char kJson[] = "{\"capabilities\":{\"max_msg_fds\":16}}";
    Bytes hello = message(vfio_user::Command::kVersion, vfio_user::VersionBody{0, 0}, sizeof kJson);
    std::memcpy(hello.data() + hello.size() - sizeof kJson, kJson, sizeof kJson);
    if (!send_all(fd, hello)) return false;
    vfio_user::Header header;
    if (!receive_exactly(fd, reinterpret_cast<uint8_t*>(&header), sizeof header)) return false;
    Bytes rest(header.size - sizeof header);
    return (header.flags & vfio_user::kFlagError) == 0 &&
           receive_exactly(fd, rest.data(), rest.size());
}

}  // namespace mimic::bench
