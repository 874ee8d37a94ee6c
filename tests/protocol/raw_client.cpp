// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstring>

#include "base/unix_socket.h"
#include "tests/protocol/client.h"

namespace mimic::test {

using namespace vfio_user;

namespace {

constexpr int kDefaultDeadlineMs = 20000;
constexpr size_t kMaxKernelFds = 253;  // SCM_MAX_FD

UniqueFd connect_or_none(const std::string& path) {
    auto fd = unix_connect(path);
    return fd ? std::move(*fd) : UniqueFd();
}

}  // namespace

Bytes operator+(Bytes left, std::span<const uint8_t> right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

Request::Request(Command command, Bytes body, std::vector<int> descriptors)
    : payload(std::move(body)), fds(std::move(descriptors)) {
    header.command = static_cast<uint16_t>(command);
    header.size = static_cast<uint32_t>(sizeof header + payload.size());
}

Bytes Request::bytes() const {
    return bytes_of(header) + payload;
}

RawClient::RawClient(UniqueFd socket) : socket_(std::move(socket)) {
    if (socket_) set_deadline_ms(kDefaultDeadlineMs);
}

RawClient::RawClient(const std::string& path) : RawClient(connect_or_none(path)) {}

void RawClient::set_deadline_ms(int ms) {
    const timeval limit{ms / 1000, (ms % 1000) * 1000};
    ::setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

bool RawClient::send_bytes(std::span<const uint8_t> bytes, std::span<const int> fds) {
    std::vector<char> control(CMSG_SPACE(kMaxKernelFds * sizeof(int)));
    while (!bytes.empty()) {
        iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        if (!fds.empty()) {
            message.msg_control = control.data();
            message.msg_controllen = CMSG_SPACE(fds.size_bytes());
            cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
            cmsg->cmsg_level = SOL_SOCKET;
            cmsg->cmsg_type = SCM_RIGHTS;
            cmsg->cmsg_len = CMSG_LEN(fds.size_bytes());
            std::memcpy(CMSG_DATA(cmsg), fds.data(), fds.size_bytes());
        }
        const ssize_t n = ::sendmsg(fd(), &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        fds = {};
        bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return true;
}

bool RawClient::read_exact(uint8_t* to, size_t size, std::vector<UniqueFd>& fds) {
    std::vector<char> control(CMSG_SPACE(kMaxKernelFds * sizeof(int)));
    while (size != 0) {
        iovec part{to, size};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t n = ::recvmsg(fd(), &message, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        for (cmsghdr* cmsg = CMSG_FIRSTHDR(&message); cmsg != nullptr;
             cmsg = CMSG_NXTHDR(&message, cmsg)) {
            const size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < count; ++i) {
                int received;
                std::memcpy(&received, CMSG_DATA(cmsg) + i * sizeof(int), sizeof received);
                fds.emplace_back(received);
            }
        }
        to += n;
        size -= static_cast<size_t>(n);
    }
    return true;
}

std::optional<Reply> RawClient::receive() {
    Reply reply;
    if (!read_exact(reinterpret_cast<uint8_t*>(&reply.header), sizeof reply.header, reply.fds))
        return std::nullopt;
    if (reply.header.size < sizeof reply.header || reply.header.size > 2 * kMaxMessageSize)
        return std::nullopt;
    reply.payload.resize(reply.header.size - sizeof reply.header);
    if (!read_exact(reply.payload.data(), reply.payload.size(), reply.fds)) return std::nullopt;
    return reply;
}

bool RawClient::closed_by_peer() {
    std::vector<uint8_t> scratch(65536);
    for (;;) {
        const ssize_t n = ::recv(fd(), scratch.data(), scratch.size(), 0);
        if (n == 0) return true;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == ECONNRESET;
    }
}

UniqueFd make_memfd(uint64_t size) {
    UniqueFd fd(::memfd_create("mimic-test", MFD_CLOEXEC));
    if (fd && ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) fd.reset();
    return fd;
}

UniqueFd make_eventfd() {
    return UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

uint64_t take_events(int fd) {
    uint64_t value = 0;
    return ::read(fd, &value, sizeof value) == sizeof value ? value : 0;
}

uint64_t wait_events(int fd, int deadline_ms) {
    pollfd ready{fd, POLLIN, 0};
    ::poll(&ready, 1, deadline_ms);
    return take_events(fd);
}

}  // namespace mimic::test
