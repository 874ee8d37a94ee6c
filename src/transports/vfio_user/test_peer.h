// SPDX-License-Identifier: Apache-2.0
// What the unit tests of this folder share: the other end of a socketpair, and messages as bytes.
#pragma once

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "base/unique_fd.h"
#include "vfio_user/protocol.h"

namespace mimic::vfio_user {

using Bytes = std::vector<uint8_t>;

/// A message of `command` with id `id` and `payload` bytes that count up.
inline Bytes message_bytes(Command command, uint16_t id, size_t payload = 0) {
    const Header header{id, static_cast<uint16_t>(command),
                        static_cast<uint32_t>(sizeof(Header) + payload), kFlagTypeCommand, 0};
    Bytes bytes(header.size);
    std::memcpy(bytes.data(), &header, sizeof header);
    for (size_t i = 0; i < payload; ++i) bytes[sizeof header + i] = static_cast<uint8_t>(i);
    return bytes;
}

/// Two connected sockets: `ours` for the code under test, `peers` blocking.
struct SocketPair {
    UniqueFd ours;
    UniqueFd peers;
    SocketPair() {
        std::array<int, 2> fds{-1, -1};
        (void)::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data());
        ours.reset(fds[0]);
        peers.reset(fds[1]);
    }
};

/// One sendmsg of all bytes, with descriptors. False if it was not taken whole.
inline bool send_with_fds(int socket, std::span<const uint8_t> bytes,
                          std::span<const int> fds = {}) {
    iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(253 * sizeof(int))> control{};
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(cmsg), fds.data(), fds.size_bytes());
    }
    return ::sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

/// A memfd of `size` bytes. Its name is invisible; its inode tells which it is.
inline UniqueFd memfd(uint64_t size) {
    UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
    (void)!::ftruncate(fd.get(), static_cast<off_t>(size));
    return fd;
}

inline UniqueFd event_fd(int flags = EFD_NONBLOCK) {
    return UniqueFd(::eventfd(0, EFD_CLOEXEC | flags));
}

/// The counter of a non-blocking eventfd, which becomes 0.
inline uint64_t events_of(int fd) {
    uint64_t count = 0;
    return ::read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

}  // namespace mimic::vfio_user
