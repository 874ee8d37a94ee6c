// SPDX-License-Identifier: Apache-2.0
// Storage of the MSI-X table and its pending bits. PCIe 6.0, 7.7.2.5 to 7.7.2.9.
#include "pci/capabilities/msix_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {
namespace {

constexpr uint32_t kEntryDwords = regs::MSIX_ENTRY_SIZE / 4;
constexpr uint32_t kControlDword = regs::MSIX_ENTRY_VECTOR_CONTROL / 4;

// What software can store in dword 0..3 of an entry: a DWORD address, and one bit of Vector
// Control.
constexpr uint32_t writable(uint64_t index) {
    switch (index % kEntryDwords) {
        case 0:
            return regs::MSI_ADDRESS_MASK;
        case kControlDword:
            return regs::MSIX_VECTOR_CONTROL_MASK;
        default:
            return 0xffff'ffff;
    }
}

constexpr uint32_t reset_value(uint64_t index) {
    return index % kEntryDwords == kControlDword ? regs::MSIX_VECTOR_CONTROL_MASK : 0;
}

}  // namespace

MsixTable::MsixTable(uint32_t vectors) : vectors_(vectors), pending_((vectors + 63) / 64) {
    MIMIC_CHECK(vectors >= 1 && vectors <= regs::MSIX_MAX_VECTORS);
}

uint32_t MsixTable::dword(uint64_t index) const {
    return entries_.empty() ? reset_value(index) : entries_[index];
}

void MsixTable::read(uint64_t offset, std::span<uint8_t> data) const {
    const uint64_t size = table_size(vectors_);
    for (size_t done = 0; done < data.size();) {
        if (offset >= size || done >= size - offset) {
            std::fill(data.begin() + static_cast<std::ptrdiff_t>(done), data.end(), uint8_t{0});
            return;
        }
        const uint64_t at = offset + done;
        const size_t skip = at & 3;
        const size_t count = std::min<size_t>(4 - skip, data.size() - done);
        const uint32_t value = dword(at / 4) >> (8 * skip);
        std::memcpy(data.data() + done, &value, count);
        done += count;
    }
}

void MsixTable::read_pba(uint64_t offset, std::span<uint8_t> data) const {
    const uint64_t size = pba_size(vectors_);
    const size_t inside = offset >= size
                              ? 0
                              : static_cast<size_t>(std::min<uint64_t>(data.size(), size - offset));
    if (inside != 0) {
        std::memcpy(data.data(), reinterpret_cast<const uint8_t*>(pending_.data()) + offset,
                    inside);
    }
    std::fill(data.begin() + static_cast<std::ptrdiff_t>(inside), data.end(), uint8_t{0});
}

bool MsixTable::write(uint64_t offset, std::span<const uint8_t> data) {
    const uint64_t size = table_size(vectors_);
    if (data.empty() || offset % 4 != 0 || data.size() % 4 != 0 || offset >= size) return false;
    if (entries_.empty()) {
        entries_.resize(size_t{vectors_} * kEntryDwords);
        for (uint32_t i = kControlDword; i < entries_.size(); i += kEntryDwords) {
            entries_[i] = reset_value(i);
        }
    }
    bool unmasked_pending = false;
    const size_t inside = static_cast<size_t>(std::min<uint64_t>(data.size(), size - offset));
    for (size_t done = 0; done < inside; done += 4) {
        const uint64_t index = (offset + done) / 4;
        uint32_t value = 0;
        std::memcpy(&value, data.data() + done, 4);
        value &= writable(index);
        if (index % kEntryDwords == kControlDword && value == 0 && entries_[index] != 0) {
            unmasked_pending |= pending(static_cast<uint32_t>(index / kEntryDwords));
        }
        entries_[index] = value;
    }
    return unmasked_pending;
}

MsiMessage MsixTable::message(uint32_t vector) const {
    MIMIC_CHECK(vector < vectors_);
    const uint64_t first = uint64_t{vector} * kEntryDwords;
    return {.address = dword(first) | (uint64_t{dword(first + 1)} << 32), .data = dword(first + 2)};
}

bool MsixTable::masked(uint32_t vector) const {
    MIMIC_CHECK(vector < vectors_);
    return dword(uint64_t{vector} * kEntryDwords + kControlDword) != 0;
}

bool MsixTable::pending(uint32_t vector) const {
    MIMIC_CHECK(vector < vectors_);
    return (pending_[vector / 64] >> (vector % 64)) & 1;
}

void MsixTable::set_pending(uint32_t vector, bool value) {
    if (pending(vector) == value) return;
    pending_[vector / 64] ^= uint64_t{1} << (vector % 64);
    pending_count_ += value ? 1 : ~0U;
}

uint32_t MsixTable::next_pending(uint32_t vector) const {
    for (uint32_t word = vector / 64; word < pending_.size(); ++word) {
        uint64_t bits = pending_[word];
        if (word == vector / 64) bits &= ~uint64_t{0} << (vector % 64);
        if (bits != 0) return word * 64 + static_cast<uint32_t>(std::countr_zero(bits));
    }
    return vectors_;
}

void MsixTable::reset() {
    entries_ = {};
    std::fill(pending_.begin(), pending_.end(), uint64_t{0});
    pending_count_ = 0;
}

// --- MsixPlaces ------------------------------------------------------------------------------

MsixPlaces::MsixPlaces(const Place& table, const Place& pba) : table_(table), pba_(pba) {
    const uint64_t table_at = key(table.bar, table.offset);
    const uint64_t pba_at = key(pba.bar, pba.offset);
    first_ = std::min(table_at, pba_at);
    size_ = std::max(table_at + table.size, pba_at + pba.size) - first_;
}

MsixPlaces::Part MsixPlaces::first_part(unsigned bar, uint64_t offset, size_t size) const {
    Part part{Owner::kModel, offset, size};
    const auto consider = [&](const Place& place, Owner owner) {
        if (bar != place.bar || place.size == 0) return;
        uint64_t border = place.offset;
        if (offset >= place.offset) {
            if (offset - place.offset >= place.size) return;
            part.owner = owner;
            part.offset = offset - place.offset;
            border = place.offset + place.size;
        }
        part.size = static_cast<size_t>(std::min<uint64_t>(part.size, border - offset));
    };
    consider(table_, Owner::kTable);
    consider(pba_, Owner::kPba);
    return part;
}

}  // namespace mimic::pci
