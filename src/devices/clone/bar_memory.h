// SPDX-License-Identifier: Apache-2.0
// BarMemory: what a guest wrote into the BARs of a device whose registers nobody knows. Sparse, so
// that a BAR of any size costs what was written, and bounded, so that a guest cannot take more.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>

namespace mimic::clone {

/// Bytes that read as zero until they are written. Thread-bound with its function.
class BarMemory {
public:
    static constexpr uint64_t kPageBytes = 4096;

    /// `most_bytes`: host memory that writes may take; those beyond it are lost.
    explicit BarMemory(uint64_t most_bytes) : most_pages_(most_bytes / kPageBytes) {}

    /// Any offset and size; an access that crosses pages is served in parts.
    void read(unsigned bar, uint64_t offset, std::span<uint8_t> data) const;
    void write(unsigned bar, uint64_t offset, std::span<const uint8_t> data);

    /// All zero again, and all memory given back.
    void clear() { pages_.clear(); }

    size_t pages() const { return pages_.size(); }
    uint64_t lost_writes() const { return lost_writes_; }

private:
    using Page = std::array<uint8_t, kPageBytes>;

    // BARs have at most 2^63 bytes, so page numbers leave room for the BAR above them.
    static uint64_t key(unsigned bar, uint64_t offset) {
        return (uint64_t{bar} << 56) | (offset / kPageBytes);
    }

    uint64_t most_pages_;
    uint64_t lost_writes_ = 0;
    std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
};

}  // namespace mimic::clone
