// SPDX-License-Identifier: Apache-2.0
#include "sim/socket/stream.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace mimic::sim {

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
    in_.clear();
    out_.clear();
}

Stream::Got Stream::fill() {
    const auto room = in_.room(kMostAtOnce / 8, kMostAtOnce);
    for (;;) {
        const ssize_t got = ::recv(fd_.get(), room.data(), room.size(), 0);
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
        const ssize_t sent = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
        if (sent > 0) {
            out_.drop(static_cast<size_t>(sent));
        } else if (errno == EAGAIN) {
            return true;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

}  // namespace mimic::sim
