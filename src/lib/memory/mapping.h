// SPDX-License-Identifier: Apache-2.0
// Mapping: owns one mmap(2) of a descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/result.h"
#include "memory/sigbus_guard.h"

namespace mimic {

/// Owner of a shared mapping; unmaps when destroyed. Movable, not copyable.
class Mapping {
public:
    Mapping() = default;
    Mapping(Mapping&& other) noexcept { swap(other); }
    Mapping& operator=(Mapping&& other) noexcept {
        Mapping moved(std::move(other));
        swap(moved);
        return *this;
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping();

    /// Maps `size` bytes of the regular file `fd` (a memfd, also of huge pages; tmpfs, hugetlbfs or
    /// disk) from `offset`, which need not be aligned to its pages; bytes() starts at `offset`.
    /// `protection` is PROT_READ and PROT_WRITE bits. Huge pages are not reserved: one that is not
    /// there is missing when it is touched, as after truncation. Errors: EINVAL for size 0 or an
    /// offset + size that overflows or lies beyond the end of the file (touching those pages would
    /// raise SIGBUS), ENODEV for anything but a regular file, and those of fstatfs(2) and mmap(2).
    static Result<Mapping> map(int fd, uint64_t offset, uint64_t size, int protection);

    std::span<std::byte> bytes() const { return {data_, size_}; }
    explicit operator bool() const { return data_ != nullptr; }

    /// Whether bytes()[offset, offset + size) are no longer the file's: it was truncated, and
    /// somebody touched them after that. Asked after an access, it says what that got: zeros for a
    /// read, and a write that nobody sees. Thread-safe.
    bool lost(size_t offset, size_t size) const {
        return guard_ != nullptr &&
               guard_->lost(static_cast<size_t>(data_ - static_cast<std::byte*>(base_)) + offset,
                            size);
    }

private:
    static Result<uint64_t> unit_of(int fd);

    void swap(Mapping& other) {
        std::swap(base_, other.base_);
        std::swap(base_size_, other.base_size_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(guard_, other.guard_);
    }

    void* base_ = nullptr;  // page-aligned start as mmap returned it
    size_t base_size_ = 0;
    std::byte* data_ = nullptr;
    size_t size_ = 0;
    const GuardedRange* guard_ = nullptr;
};

}  // namespace mimic
