// SPDX-License-Identifier: Apache-2.0
// DeviceMemory: what READ and WRITE address. Only pages that were written take host memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>

namespace mimic::sim {

/// Bytes 0 .. size - 1, all zero at first. Thread-compatible.
class DeviceMemory {
public:
    static constexpr size_t kPage = 4096;

    /// `limit`: bytes of host memory for pages, rounded down; 0: no limit but `size`.
    DeviceMemory(uint64_t size, uint64_t limit) : size_(size), limit_(limit) {}

    uint64_t size() const { return size_; }

    /// Host memory in use.
    uint64_t used() const { return pages_.size() * kPage; }

    /// Whether all of `bytes` from `address` on is there.
    bool contains(uint64_t address, uint64_t bytes) const {
        return bytes <= size_ && address <= size_ - bytes;
    }

    /// Both need contains(). write() is false, and has written a part, if there is no more memory.
    void read(uint64_t address, std::span<uint8_t> to) const;
    bool write(uint64_t address, std::span<const uint8_t> from);

    /// All zero again.
    void clear() { pages_.clear(); }

private:
    using Page = std::array<uint8_t, kPage>;

    const uint64_t size_;
    const uint64_t limit_;
    std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
};

}  // namespace mimic::sim
