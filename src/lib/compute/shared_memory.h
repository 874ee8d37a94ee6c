// SPDX-License-Identifier: Apache-2.0
// SharedMemory: long data of v3 lies there instead of in the socket. Made and sealed by the
// mediator, one for each connection; its descriptor comes with the answer to the Hello.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic::compute {

/// A mapping of a memfd whose size is sealed, so that no peer can take away what is mapped (which
/// would end this process with SIGBUS). The peer may change the bytes at any time: who reads twice
/// may read two things. Movable.
class SharedMemory {
public:
    /// Makes one of `size` bytes (1 .. 2^32 - 1), zeroed, that can neither shrink nor grow. Errors:
    /// EINVAL, those of memfd_create(2), ftruncate(2) and mmap(2).
    static Result<SharedMemory> create(size_t size);
    /// Maps the first `size` bytes of one that a peer has made. Errors: EINVAL if it is not as
    /// create() makes it, or smaller; those of mmap(2).
    static Result<SharedMemory> open(UniqueFd fd, size_t size);

    SharedMemory() = default;
    SharedMemory(SharedMemory&& other) noexcept;
    SharedMemory& operator=(SharedMemory&& other) noexcept;
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;
    ~SharedMemory();

    explicit operator bool() const { return !bytes_.empty(); }
    size_t size() const { return bytes_.size(); }
    std::span<std::byte> bytes() const { return bytes_; }
    /// [offset, +length), which must lie within (wire::parse_frame() has checked it).
    std::span<std::byte> at(size_t offset, size_t length) const {
        return bytes_.subspan(offset, length);
    }
    /// For the peer: close-on-exec, still owned here. -1: none.
    int fd() const { return fd_.get(); }

private:
    SharedMemory(UniqueFd fd, std::span<std::byte> bytes) : fd_(std::move(fd)), bytes_(bytes) {}

    UniqueFd fd_;
    std::span<std::byte> bytes_;
};

}  // namespace mimic::compute
