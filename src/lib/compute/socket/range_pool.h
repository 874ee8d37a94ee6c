// SPDX-License-Identifier: Apache-2.0
// RangePool: which parts of a connection's shared memory are in use. Private to this folder and its
// tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace mimic::compute {

/// Parts of [0, size), the lowest that fits first. At most a few hundred are in use. Thread-bound.
class RangePool {
public:
    /// Parts begin and end at multiples of this: a cache line.
    static constexpr uint32_t kUnit = 64;

    struct Range {
        uint32_t offset = 0;
        uint32_t length = 0;  // 0: none
    };

    /// Forgets all parts.
    void reset(uint32_t size);

    /// `length` bytes, or nothing where no hole is so large.
    std::optional<Range> take(uint32_t length);
    /// Gives back what take() gave; an empty range is none.
    void give_back(const Range& range);

    uint32_t size() const { return size_; }
    /// Bytes that are free, in all holes together.
    uint64_t free_bytes() const { return free_bytes_; }

private:
    static uint32_t rounded(uint32_t length) { return (length + kUnit - 1) / kUnit * kUnit; }

    uint32_t size_ = 0;
    uint64_t free_bytes_ = 0;
    std::map<uint32_t, uint32_t> holes_;  // offset, length
};

}  // namespace mimic::compute
