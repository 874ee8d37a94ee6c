// SPDX-License-Identifier: Apache-2.0
#include "base/stream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace mimic {
namespace {

ssize_t receive_with(int fd, std::span<std::byte> room, std::vector<UniqueFd>& descriptors) {
    iovec place{room.data(), room.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * Stream::kMostDescriptors)> control;
    msghdr message{};
    message.msg_iov = &place;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (got < 0) return got;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int descriptor = -1;
            std::memcpy(&descriptor, CMSG_DATA(c) + i * sizeof descriptor, sizeof descriptor);
            descriptors.emplace_back(descriptor);
        }
    }
    return got;
}

ssize_t send_with(int fd, std::span<const std::byte> bytes, int descriptor) {
    // sendmsg(2) does not write to it.
    iovec place{const_cast<std::byte*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &place;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(c), &descriptor, sizeof descriptor);
    return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

}  // namespace

void ByteQueue::reserve(size_t count) {
    if (begin_ == end_) begin_ = end_ = 0;
    if (capacity_ - end_ >= count) return;
    const size_t held = size();
    // Moving the rest down is cheap only when there is much room to win.
    if (capacity_ - held >= count && begin_ >= capacity_ / 2) {
        std::memmove(bytes_.get(), data(), held);
    } else {
        const size_t capacity = std::max(capacity_ * 2, held + count);
        auto bytes = std::make_unique_for_overwrite<std::byte[]>(capacity);
        if (held != 0) std::memcpy(bytes.get(), data(), held);
        bytes_ = std::move(bytes);
        capacity_ = capacity;
    }
    begin_ = 0;
    end_ = held;
}

std::byte* ByteQueue::grow(size_t count) {
    reserve(count);
    std::byte* const place = bytes_.get() + end_;
    end_ += count;
    return place;
}

std::span<std::byte> ByteQueue::room(size_t least, size_t most) {
    reserve(capacity_ == 0 ? most : least);
    return {bytes_.get() + end_, std::min(capacity_ - end_, most)};
}

void ByteQueue::drop(size_t count) {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
}

void ByteQueue::trim() {
    if (size() != 0 || capacity_ <= kKept) return;
    bytes_.reset();
    capacity_ = begin_ = end_ = 0;
}

Stream::Stream(UniqueFd fd) : fd_(std::move(fd)) {
    const int flags = ::fcntl(fd_.get(), F_GETFL);
    ::fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK);
    // So that a batch of 64 messages goes in one piece: twice the system's limit is more than the
    // default.
    const int bytes = static_cast<int>(kMostAtOnce);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

void Stream::close() {
    fd_.reset();
    attached_.reset();
    in_.clear();
    out_.clear();
    out_.trim();
}

Stream::Got Stream::fill(std::vector<UniqueFd>* descriptors) {
    const auto room = in_.room(kMostAtOnce / 8, kMostAtOnce);
    for (;;) {
        const ssize_t got = descriptors != nullptr ? receive_with(fd_.get(), room, *descriptors)
                                                   : ::recv(fd_.get(), room.data(), room.size(), 0);
        if (got > 0) {
            in_.add(static_cast<size_t>(got));
            return Got::kBytes;
        }
        if (got == 0) return Got::kEnd;
        if (errno == EINTR) continue;
        return errno == EAGAIN ? Got::kNothing : Got::kEnd;
    }
}

bool Stream::flush() {
    while (out_.size() != 0) {
        const ssize_t sent = attached_ ? send_with(fd_.get(), out_.bytes(), attached_.get())
                                       : ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
        if (sent > 0) {
            attached_.reset();
            out_.drop(static_cast<size_t>(sent));
        } else if (errno == EAGAIN) {
            return true;
        } else if (errno != EINTR) {
            return false;
        }
    }
    out_.trim();
    return true;
}

}  // namespace mimic
