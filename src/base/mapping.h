// SPDX-License-Identifier: Apache-2.0
// Mapping: owns one mmap(2) of a descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/result.h"

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

    /// Maps `size` bytes of `fd` from `offset`, which need not be page aligned; bytes() starts at
    /// `offset`. `protection` is PROT_READ and PROT_WRITE bits. Errors: EINVAL for size 0 or an
    /// offset + size that overflows or lies beyond the end of a regular file (touching those pages
    /// would raise SIGBUS), and those of mmap(2).
    static Result<Mapping> map(int fd, uint64_t offset, uint64_t size, int protection);

    std::span<std::byte> bytes() const { return {data_, size_}; }
    explicit operator bool() const { return data_ != nullptr; }

private:
    void swap(Mapping& other) {
        std::swap(base_, other.base_);
        std::swap(base_size_, other.base_size_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    void* base_ = nullptr;  // page-aligned start as mmap returned it
    size_t base_size_ = 0;
    std::byte* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace mimic
