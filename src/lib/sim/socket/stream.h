// SPDX-License-Identifier: Apache-2.0
// Stream: a non-blocking stream socket with a buffer each way. Messages of any number leave with
// one system call and come in with one; what comes in parts waits for its rest.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/unique_fd.h"

namespace mimic::sim {

/// Bytes that come and go at the ends of a buffer. Thread-bound.
class ByteQueue {
public:
    size_t size() const { return end_ - begin_; }
    std::byte* data() { return bytes_.get() + begin_; }

    /// Room for `count` more bytes behind the last, which become part of it. Uninitialised.
    std::byte* grow(size_t count);

    /// The same, without making them part: add() says how many were filled.
    std::span<std::byte> room(size_t least, size_t most);
    void add(size_t count) { end_ += count; }

    void drop(size_t count);
    void clear() { begin_ = end_ = 0; }

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

    /// What one fill() takes at most. Holds a batch of 64 messages.
    static constexpr size_t kMostAtOnce = size_t{272} << 10;

    Stream() = default;
    /// `fd` becomes non-blocking.
    explicit Stream(UniqueFd fd);

    int fd() const { return fd_.get(); }
    explicit operator bool() const { return static_cast<bool>(fd_); }
    void close();

    /// Takes what has come, with one recv(2). kEnd: the peer has gone, or an error that ends this.
    Got fill();
    ByteQueue& in() { return in_; }

    /// Sends what is in out(). False: the peer has gone.
    bool flush();
    ByteQueue& out() { return out_; }
    size_t out_size() const { return out_.size(); }
    size_t in_size() const { return in_.size(); }

private:
    UniqueFd fd_;
    ByteQueue in_;
    ByteQueue out_;
};

}  // namespace mimic::sim
