// SPDX-License-Identifier: Apache-2.0
// MsixTable: the MSI-X table and Pending Bit Array of one function, as they look in a BAR. It
// stores and masks; Function decides when a message may go. PCIe 6.0, 6.1.4 (behaviour) and 7.7.2
// (layout).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mimic::pci {

/// What a message-signalled interrupt writes, and where.
struct MsiMessage {
    uint64_t address = 0;  // bus address, multiple of 4
    uint32_t data = 0;
};

/// Table of 16-byte entries and one pending bit each. Thread-bound with its function.
///
///     entry: 0 Message Address | 4 Message Upper Address | 8 Message Data | 12 Vector Control (bit
///     0: Mask)
///
/// Entries take memory (16 bytes a vector) only once one is written: behind a vfio-user client,
/// which keeps the table to itself, they never are.
class MsixTable {
public:
    /// `vectors`: 1 .. 2048.
    explicit MsixTable(uint32_t vectors);

    uint32_t vectors() const { return vectors_; }

    /// Bytes in the BAR: 16 a vector, and 8 for each 64 vectors.
    static constexpr uint64_t table_size(uint32_t vectors) { return uint64_t{16} * vectors; }
    static constexpr uint64_t pba_size(uint32_t vectors) {
        return uint64_t{8} * ((vectors + 63) / 64);
    }

    /// Reads bytes of the table, or of the PBA, at `offset` from its start; zero beyond its end.
    void read(uint64_t offset, std::span<uint8_t> data) const;
    void read_pba(uint64_t offset, std::span<uint8_t> data) const;

    /// Writes whole aligned dwords (4, 8 or more bytes); others, and those beyond the end, are
    /// ignored: software must not (7.7.2). True if a vector that has its pending bit set lost its
    /// mask. The PBA is read only.
    bool write(uint64_t offset, std::span<const uint8_t> data);

    MsiMessage message(uint32_t vector) const;
    bool masked(uint32_t vector) const;

    bool pending(uint32_t vector) const;
    void set_pending(uint32_t vector, bool pending);
    bool any_pending() const { return pending_count_ != 0; }

    /// Smallest pending vector that is `vector` or more; vectors() if there is none.
    uint32_t next_pending(uint32_t vector) const;

    /// All entries zero and masked, nothing pending; gives the entries' memory back.
    void reset();

    /// Heap bytes held.
    size_t heap_bytes() const { return entries_.capacity() * 4 + pending_.capacity() * 8; }

private:
    uint32_t dword(uint64_t index) const;

    uint32_t vectors_;
    uint32_t pending_count_ = 0;
    std::vector<uint32_t> entries_;  // four dwords a vector, or empty: all at reset
    std::vector<uint64_t> pending_;
};

/// Where table and PBA lie in a function's BARs. A value.
class MsixPlaces {
public:
    /// `size` bytes of BAR `bar` from `offset` on.
    struct Place {
        unsigned bar = 0;
        uint64_t offset = 0;
        uint64_t size = 0;
    };
    enum class Owner : uint8_t { kModel, kTable, kPba };

    /// Neither is anywhere.
    MsixPlaces() = default;
    /// Both are inside their BARs, which do not overlap.
    MsixPlaces(const Place& table, const Place& pba);

    /// False for most accesses that touch neither, by one comparison: the range that holds both,
    /// BARs one behind the other, does not meet them.
    bool may_hold(unsigned bar, uint64_t offset, size_t size) const {
        return key(bar, offset) + (size - 1) - first_ < size_ + (size - 1);
    }

    /// One part of an access: up to the next border of table or PBA.
    struct Part {
        Owner owner = Owner::kModel;
        uint64_t offset = 0;  // in the structure; of the model's part in the BAR
        size_t size = 0;
    };
    Part first_part(unsigned bar, uint64_t offset, size_t size) const;

private:
    // Offsets of the structures have 32 bits, so one beyond 60 bits is at worst taken for them.
    static uint64_t key(unsigned bar, uint64_t offset) { return (uint64_t{bar} << 60) + offset; }

    Place table_;
    Place pba_;
    uint64_t first_ = ~uint64_t{0} >> 1;  // above all keys
    uint64_t size_ = 0;
};

}  // namespace mimic::pci
