// SPDX-License-Identifier: Apache-2.0
// Stream: a non-blocking stream socket with a buffer each way. Messages of any number leave with
// one system call and come in with one; what comes in parts waits for its rest.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/unique_fd.h"

namespace mimic {

/// Bytes that come and go at the ends of a buffer, which grows as it must. Thread-bound.
class ByteQueue {
public:
    /// A buffer up to this stays for good. Holds what a Stream takes at once, and as much behind.
    static constexpr size_t kKept = size_t{544} << 10;

    size_t size() const { return end_ - begin_; }
    std::byte* data() { return bytes_.get() + begin_; }
    std::span<std::byte> bytes() { return {data(), size()}; }

    /// Room for `count` more bytes behind the last, which become part of it. Uninitialised.
    std::byte* grow(size_t count);

    /// The same, without making them part: add() says how many were filled.
    std::span<std::byte> room(size_t least, size_t most);
    void add(size_t count) { end_ += count; }

    void drop(size_t count);
    void clear() { begin_ = end_ = 0; }

    /// Bytes of memory, used or not.
    size_t capacity() const { return capacity_; }
    /// What a long message has left behind it: a buffer above kKept with nothing in it is freed,
    /// and what was dropped of it with it.
    void trim();

private:
    void reserve(size_t count);

    std::unique_ptr<std::byte[]> bytes_;
    size_t capacity_ = 0;
    size_t begin_ = 0;
    size_t end_ = 0;
};

/// A connection. Never blocks, raises no SIGPIPE. Thread-bound.
class Stream {
public:
    enum class Got { kBytes, kNothing, kEnd };

    /// What one fill() takes at most. Holds a batch of 64 messages of 4 KiB.
    static constexpr size_t kMostAtOnce = size_t{272} << 10;
    /// Descriptors that one fill() takes at most; the kernel closes the others.
    static constexpr size_t kMostDescriptors = 4;

    Stream() = default;
    /// `fd` becomes non-blocking.
    explicit Stream(UniqueFd fd);

    int fd() const { return fd_.get(); }
    explicit operator bool() const { return static_cast<bool>(fd_); }
    void close();

    /// Takes what has come, with one recv(2). kEnd: the peer has gone, or an error that ends this.
    /// Descriptors that came with it are added to `descriptors` (close-on-exec); without that they
    /// are closed.
    Got fill(std::vector<UniqueFd>* descriptors = nullptr);
    ByteQueue& in() { return in_; }

    /// Sends what is in out(), and trims it. False: the peer has gone.
    bool flush();
    ByteQueue& out() { return out_; }
    size_t out_size() const { return out_.size(); }
    size_t in_size() const { return in_.size(); }
    /// Bytes of both buffers beyond what each keeps.
    size_t extra_memory() const {
        return std::max(in_.capacity(), ByteQueue::kKept) +
               std::max(out_.capacity(), ByteQueue::kKept) - 2 * ByteQueue::kKept;
    }

    /// The peer gets `fd` with the first byte that the next flush() sends.
    void attach(UniqueFd fd) { attached_ = std::move(fd); }

private:
    UniqueFd fd_;
    UniqueFd attached_;
    ByteQueue in_;
    ByteQueue out_;
};

}  // namespace mimic
