// SPDX-License-Identifier: Apache-2.0
#include "reg/bank.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/log.h"

namespace mimic::reg {
namespace {

constexpr std::string_view kCategory = "reg";

/// Offsets of undecodable accesses that a bank logs before it only counts. Arbitrary.
constexpr size_t kLoggedOffsets = 8;

uint64_t load_little_endian(const uint8_t* bytes, size_t size) {
    uint64_t value = 0;
    if constexpr (std::endian::native == std::endian::little) {
        std::memcpy(&value, bytes, size);
    } else {
        for (size_t i = 0; i < size; ++i) value |= uint64_t{bytes[i]} << (8 * i);
    }
    return value;
}

void store_little_endian(uint8_t* bytes, size_t size, uint64_t value) {
    if constexpr (std::endian::native == std::endian::little) {
        std::memcpy(bytes, &value, size);
    } else {
        for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
    }
}

/// Ones in `size` bytes from byte `first` on.
uint64_t lane_mask(unsigned first, size_t size) {
    return (~uint64_t{0} >> (64 - 8 * size)) << (8 * first);
}

}  // namespace

struct BankCore::Piece {
    const RegisterInfo* info = nullptr;  // nullptr: no register here
    uint32_t index = 0;
    unsigned first = 0;  // byte of the register that the piece begins with
    size_t size = 0;     // bytes; within one register at most 8

    uint64_t lanes() const { return lane_mask(first, size); }
    uint32_t storage() const { return info->storage + index * info->width_bytes; }
    bool whole() const { return size == info->width_bytes; }
    bool half() const { return info->width_bytes == 8 && size == 4 && first % 4 == 0; }
};

BankCore::BankCore(const MapView& view, std::string_view device_name)
    : view_(&view),
      storage_(std::make_unique<uint8_t[]>(view.storage_bytes)),
      read_hooks_(view.read_hooks),
      write_hooks_(view.write_hooks),
      device_name_(device_name) {
    MIMIC_CHECK(view.problem == Problem::kNone);
    reset();
}

// --- Decoding
// -------------------------------------------------------------------------------------

BankCore::Piece BankCore::piece_at(uint64_t offset, size_t size) const {
    Piece piece;
    if (offset >= view_->extent()) {
        piece.size = size;
        return piece;
    }
    const DecodeEntry entry = view_->decode[offset >> view_->granule_shift];
    if (entry.reg == kNoRegister) {
        const uint64_t granule = uint64_t{1} << view_->granule_shift;
        piece.size = std::min<size_t>(size, granule - (offset & (granule - 1)));
        return piece;
    }
    piece.info = &view_->registers[entry.reg];
    piece.index = entry.element;
    piece.first = static_cast<unsigned>(offset & (piece.info->width_bytes - 1U));  // aligned by
                                                                                   // check
    piece.size = std::min<size_t>(size, piece.info->width_bytes - piece.first);
    return piece;
}

bool BankCore::decodable(const Piece& piece) const {
    if (!piece.info) return false;
    if (piece.whole()) return true;
    if (piece.half()) return view_->options.wide != Wide::kWholeOnly;
    return view_->options.narrow == Narrow::kByteMerge;
}

uint8_t* BankCore::element(const RegisterInfo& info, uint32_t index) const {
    MIMIC_CHECK(index < info.elements);
    return storage_.get() + info.storage + size_t{index} * info.width_bytes;
}

uint64_t BankCore::load(const RegisterInfo& info, uint32_t index) const {
    return load_little_endian(element(info, index), info.width_bytes);
}

void BankCore::store(const RegisterInfo& info, uint32_t index, uint64_t value) {
    store_little_endian(element(info, index), info.width_bytes, value & info.stored);
}

// --- Reads
// ----------------------------------------------------------------------------------------

void BankCore::read(uint64_t offset, std::span<uint8_t> data) {
    // One whole plain register: by far the most frequent access.
    if (offset < view_->extent()) {
        const DecodeEntry entry = view_->decode[offset >> view_->granule_shift];
        if (entry.reg != kNoRegister) {
            const RegisterInfo& info = view_->registers[entry.reg];
            if (info.plain_read && data.size() == info.width_bytes &&
                (offset & (info.width_bytes - 1U)) == 0) {
                const uint8_t* from = storage_.get() + info.storage +
                                      size_t{entry.element} * info.width_bytes;
                if (info.width_bytes == 4) {
                    std::memcpy(data.data(), from, 4);
                } else {
                    std::memcpy(data.data(), from, info.width_bytes);
                }
                return;
            }
        }
    }
    read_slow(offset, data);
}

void BankCore::read_slow(uint64_t offset, std::span<uint8_t> data) {
    const uint8_t filler = view_->options.unmapped == Unmapped::kOnes ? 0xff : 0x00;
    bool noted = false;
    for (size_t done = 0; done < data.size();) {
        // An offset that wraps round would name the start of the BAR again: it is behind the end.
        const uint64_t at = offset + done >= offset ? offset + done : ~uint64_t{0};
        const Piece piece = piece_at(at, data.size() - done);
        if (decodable(piece)) {
            store_little_endian(&data[done], piece.size, read_piece(piece) >> (8 * piece.first));
        } else {
            std::memset(&data[done], filler, piece.size);
            if (!noted) note_undecodable(false, piece, at, data.size());
            noted = true;
        }
        done += piece.size;
    }
}

uint64_t BankCore::read_piece(const Piece& piece) {
    const RegisterInfo& info = *piece.info;
    uint64_t value = load(info, piece.index);
    if (info.read_hook != kNoHook && read_hooks_[info.read_hook]) {
        value = read_hooks_[info.read_hook]({value, piece.index});
    }
    if (const uint64_t cleared = info.clear_on_read & piece.lanes()) {
        store(info, piece.index, load(info, piece.index) & ~cleared);
    }
    return value & info.readable;
}

void BankCore::debug_read(uint64_t offset, std::span<uint8_t> data) const {
    const uint8_t filler = view_->options.unmapped == Unmapped::kOnes ? 0xff : 0x00;
    for (size_t done = 0; done < data.size();) {
        const uint64_t at = offset + done >= offset ? offset + done : ~uint64_t{0};
        const Piece piece = piece_at(at, data.size() - done);
        if (piece.info) {
            const uint64_t value = load(*piece.info, piece.index) & piece.info->readable;
            store_little_endian(&data[done], piece.size, value >> (8 * piece.first));
        } else {
            std::memset(&data[done], filler, piece.size);
        }
        done += piece.size;
    }
}

// --- Writes
// ---------------------------------------------------------------------------------------

void BankCore::write(uint64_t offset, std::span<const uint8_t> data) {
    bool noted = false;
    for (size_t done = 0; done < data.size();) {
        const uint64_t at = offset + done >= offset ? offset + done : ~uint64_t{0};
        const Piece piece = piece_at(at, data.size() - done);
        if (decodable(piece)) {
            write_piece(piece, load_little_endian(&data[done], piece.size) << (8 * piece.first));
        } else if (!noted) {
            note_undecodable(true, piece, at, data.size());
            noted = true;
        }
        done += piece.size;
    }
}

void BankCore::write_piece(const Piece& piece, uint64_t data) {
    if (!piece.info->writable()) return;
    if (view_->options.wide != Wide::kCommitOnHigh || piece.info->width_bytes != 8) {
        return commit(piece, data, piece.lanes());
    }
    uint32_t low = 0;
    if (piece.half() && piece.first == 0) return hold(piece.storage(), static_cast<uint32_t>(data));
    if (piece.half() && take_held(piece.storage(), low))
        return commit(piece, data | low, ~uint64_t{0});
    if (piece.whole()) take_held(piece.storage(), low);
    commit(piece, data, piece.lanes());
}

void BankCore::commit(const Piece& piece, uint64_t data, uint64_t lanes) {
    const RegisterInfo& info = *piece.info;
    const uint64_t old = load(info, piece.index);
    uint64_t now = (old & ~(info.direct & lanes)) | (data & info.direct & lanes);
    now &= ~(data & info.clear_ones & lanes);
    now |= data & info.set_ones & lanes;
    store(info, piece.index, now);
    if (info.write_hook != kNoHook && write_hooks_[info.write_hook]) {
        write_hooks_[info.write_hook]({now, old, data & lanes, piece.index});
    }
}

void BankCore::hold(uint32_t storage, uint32_t low) {
    for (HeldHalf& held : held_) {
        if (held.storage == storage) {
            held.low = low;
            return;
        }
    }
    held_.push_back({storage, low});  // at most one for each 64-bit register of the map
}

bool BankCore::take_held(uint32_t storage, uint32_t& low) {
    for (HeldHalf& held : held_) {
        if (held.storage == storage) {
            low = held.low;
            held = held_.back();
            held_.pop_back();
            return true;
        }
    }
    return false;
}

// --- Device side
// ----------------------------------------------------------------------------------

void BankCore::reset() {
    held_.clear();
    for (const RegisterInfo& info : view_->registers) {
        for (uint32_t i = 0; i < info.elements; ++i) {
            store(info, i, (load(info, i) & info.per_device) | info.reset);
        }
    }
}

Status BankCore::check_bound() const {
    for (const RegisterInfo& info : view_->registers) {
        const bool read_missing = info.read_hook != kNoHook && !read_hooks_[info.read_hook];
        const bool write_missing = info.write_hook != kNoHook && !write_hooks_[info.write_hook];
        if (read_missing || write_missing) {
            return fail(std::errc::function_not_supported,
                        "{}: register {} of {} declares a {} hook that the device does not bind",
                        device_name_, info.reg->name, view_->options.name,
                        read_missing ? "read" : "write");
        }
    }
    return {};
}

void BankCore::bind_read(const RegisterInfo& info, ReadHook hook) {
    MIMIC_CHECK(hook && !read_hooks_[info.read_hook]);
    read_hooks_[info.read_hook] = std::move(hook);
}

void BankCore::bind_write(const RegisterInfo& info, WriteHook hook) {
    MIMIC_CHECK(hook && !write_hooks_[info.write_hook]);
    write_hooks_[info.write_hook] = std::move(hook);
}

size_t BankCore::heap_bytes() const {
    return view_->storage_bytes + read_hooks_.capacity() * sizeof(ReadHook) +
           write_hooks_.capacity() * sizeof(WriteHook) + held_.capacity() * sizeof(HeldHalf) +
           logged_offsets_.capacity() * sizeof(uint64_t);
}

void BankCore::note_undecodable(bool write, const Piece& piece, uint64_t offset, size_t size) {
    ++(write ? counters_.undecodable_writes : counters_.undecodable_reads);
    if (logged_offsets_.size() >= kLoggedOffsets) return;
    if (std::find(logged_offsets_.begin(), logged_offsets_.end(), offset) !=
        logged_offsets_.end()) {
        return;
    }
    logged_offsets_.push_back(offset);
    const std::string reason = piece.info ? fmt::format("register {} takes no such part",
                                                        element_name(*piece.info, piece.index))
                                          : std::string("no register is there");
    MIMIC_LOG(kCategory, kWarn, "{}: Undecodable {}-byte {} of BAR{} at {:#05x}: {}{}",
              device_name_, size, write ? "write" : "read", view_->options.bar, offset, reason,
              logged_offsets_.size() == kLoggedOffsets ? " (more offsets are only counted)" : "");
}

}  // namespace mimic::reg
