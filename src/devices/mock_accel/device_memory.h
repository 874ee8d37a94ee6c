// SPDX-License-Identifier: Apache-2.0
// DeviceMemory: the memory behind BAR2, a sealed memfd that clients of the device may map. Pages
// exist once they are touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "memory/mapping.h"

namespace mimic::mock_accel {

/// Thread-bound, but for what clients do to the bytes at any time. Its size never changes: who has
/// the descriptor can neither shrink it under us nor grow it. Nor can it be taken back: whoever
/// once had it, or mapped it, reads and writes the bytes for as long as he likes. So it is the
/// memory of one client, and the next one gets another.
class DeviceMemory {
public:
    /// `size` zero bytes, at least a page. `name` shows in /proc. Errors: those of memfd_create(2),
    /// ftruncate(2), fcntl(2) and mmap(2).
    static Result<std::unique_ptr<DeviceMemory>> create(const std::string& name, uint64_t size);

    std::span<std::byte> bytes() const { return mapping_.bytes(); }
    int fd() const { return fd_.get(); }

    /// All bytes to zero, and their pages back to the system.
    void clear();

private:
    DeviceMemory(UniqueFd fd, Mapping mapping) : fd_(std::move(fd)), mapping_(std::move(mapping)) {}

    UniqueFd fd_;
    Mapping mapping_;
};

}  // namespace mimic::mock_accel
