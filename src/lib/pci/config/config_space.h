// SPDX-License-Identifier: Apache-2.0
// ConfigSpace: the 256 or 4096 bytes of one function's configuration space: values, what the guest
// may change, what a reset restores, and where capabilities lie. It knows rules, not registers:
// those are in function.cpp and capabilities.cpp. PCIe Base Specification 6.0, 7.2 (access), 7.4
// (register types), 7.5.1.1.11 and 7.6.3 (lists).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"

namespace mimic::pci {

/// How each bit of a register behaves. A bit in no mask is read only (RO, HwInit).
struct RegisterRules {
    uint32_t reset = 0;     // value at birth and after a reset
    uint32_t writable = 0;  // RW: the guest's value is stored
    uint32_t w1c = 0;       // RW1C: writing one clears it; not in `writable` as well
    uint32_t sticky = 0;  // RWS, RW1CS, ROS, and what else 6.6.2 exempts: kept across FLR and D3hot
                          // to D0
};

/// One guest write as seen by a hook, in the bits of the hook's own range.
struct ConfigWrite {
    uint32_t old_value = 0;
    uint32_t new_value = 0;  // after masks and W1C
    uint32_t written = 0;  // as sent, 0 in bytes that were not: finds ones in bits that always read
                           // zero
};

/// Which bits a reset of ConfigSpace keeps.
enum class ConfigReset : uint8_t { kKeepSticky, kAll };

/// Configuration space. Thread-bound. Guest accesses never fail; device-side misuse is a
/// MIMIC_CHECK.
///
/// Stored in blocks of 64 bytes that exist only where something was defined, so a function costs
/// about 2 KiB and the rest of the 4096 bytes reads as zero (RsvdP) for nothing.
class ConfigSpace {
public:
    using WriteHook = std::function<void(const ConfigWrite&)>;

    /// `size_bytes`: 256 (conventional PCI) or 4096 (PCI Express).
    explicit ConfigSpace(uint32_t size_bytes = 4096);
    ConfigSpace(const ConfigSpace&) = delete;
    ConfigSpace& operator=(const ConfigSpace&) = delete;

    uint32_t size() const { return size_; }

    // --- Guest side --------------------------------------------------------------------------

    /// Fills `data` (any size, any alignment, little endian); bytes at or beyond size() read as
    /// ones.
    void read(uint32_t offset, std::span<uint8_t> data) const;

    /// Stores `data` by the rules, a dword at a time in address order, and runs the hooks of each
    /// dword before the next is stored. Bytes at or beyond size() are ignored.
    void write(uint32_t offset, std::span<const uint8_t> data);

    // --- Device side: values -----------------------------------------------------------------

    /// Values at any offset, little endian; ones beyond the end. u32() of an aligned offset is the
    /// fast path.
    uint8_t u8(uint32_t offset) const;
    uint16_t u16(uint32_t offset) const;
    uint32_t u32(uint32_t offset) const {
        return (offset & 3) == 0 && offset < size_ ? dword(offset) : u32_slow(offset);
    }

    /// Stores past all masks, without hooks. The register must lie inside one aligned dword below
    /// size().
    void set_u8(uint32_t offset, uint8_t value) { set(offset, 1, 0xff, value); }
    void set_u16(uint32_t offset, uint16_t value) { set(offset, 2, 0xffff, value); }
    void set_u32(uint32_t offset, uint32_t value) { set(offset, 4, 0xffff'ffff, value); }

    /// Sets the bits of `mask` to those of `value` in the register of `size` (1, 2, 4) bytes at
    /// `offset`.
    void set_bits(uint32_t offset, uint32_t size, uint32_t mask, uint32_t value) {
        set(offset, size, mask, value);
    }

    // --- Device side: layout, at construction ------------------------------------------------

    /// Gives the register of 1, 2 or 4 bytes at `offset`, inside one aligned dword, its rules and
    /// its reset value. Defining it again replaces them.
    void define_u8(uint32_t offset, const RegisterRules& rules) { define(offset, 1, rules); }
    void define_u16(uint32_t offset, const RegisterRules& rules) { define(offset, 2, rules); }
    void define_u32(uint32_t offset, const RegisterRules& rules) { define(offset, 4, rules); }

    /// The rules in force for the aligned dword at `offset`; all zero where nothing was defined.
    RegisterRules rules(uint32_t offset) const;

    /// Calls `hook` after each guest write that touches [offset, offset + size), even if no bit
    /// changed. The range has 1, 2 or 4 bytes inside one aligned dword. Hooks run in the order of
    /// registration, may read, set, reset and write config space, and may not add hooks. Never
    /// removed: what they capture outlives this object.
    void on_write(uint32_t offset, uint32_t size, WriteHook hook);

    /// Keeps [offset, offset + size), dword granular, free of capabilities that have no fixed
    /// offset. Errors: EINVAL outside config space, EADDRINUSE over a capability or an earlier
    /// reservation.
    Status reserve(uint32_t offset, uint32_t size);

    /// Appends a capability of `size` bytes, header included, to the list at 0x34 and returns its
    /// offset in 0x40..0xff. `at` is a wanted offset, a multiple of 4; 0 takes the first that fits.
    /// The header is read only, the body reads zero until defined. Errors: EINVAL (bad offset or
    /// size), EADDRINUSE, ENOSPC.
    Result<uint32_t> add_capability(uint8_t id, uint32_t size, uint32_t at = 0);

    /// Same for an extended capability in 0x100..0xfff. The list begins at 0x100, so the first one
    /// goes there.
    Result<uint32_t> add_extended_capability(uint16_t id, uint8_t version, uint32_t size,
                                             uint32_t at = 0);

    // --- Device side: queries ----------------------------------------------------------------

    /// Offset of the first capability with `id` behind the one at `previous` (0: from the start),
    /// or 0.
    uint32_t find_capability(uint8_t id, uint32_t previous = 0) const;
    uint32_t find_extended_capability(uint16_t id, uint32_t previous = 0) const;

    /// Restores reset values, all of them or all but sticky bits. Runs no hooks.
    void reset(ConfigReset kind);

    /// Heap bytes held, for the memory budget (ARCHITECTURE.md).
    size_t heap_bytes() const;

private:
    static constexpr uint32_t kMaxSize = 4096;
    static constexpr uint32_t kBlockSize = 64;
    static constexpr uint32_t kBlockDwords = kBlockSize / 4;
    static constexpr uint8_t kNoBlock = 0xff;

    struct Block {
        std::array<uint32_t, kBlockDwords> value{};
        std::array<uint32_t, kBlockDwords> reset{};
        std::array<uint32_t, kBlockDwords> writable{};
        std::array<uint32_t, kBlockDwords> w1c{};
        std::array<uint32_t, kBlockDwords> sticky{};
        uint16_t hooked = 0;    // dwords with hooks
        uint16_t occupied = 0;  // dwords of the header, of capabilities and reserved ones
    };

    struct Hook {
        uint32_t dword;  // offset, aligned
        uint32_t mask;   // of the bytes it watches
        uint32_t shift;
        WriteHook call;
    };

    uint32_t dword(uint32_t offset) const {
        const uint8_t index = index_[offset / kBlockSize];
        return index == kNoBlock ? 0 : blocks_[index].value[offset / 4 % kBlockDwords];
    }
    uint32_t u32_slow(uint32_t offset) const;
    Block& make_block(uint32_t offset);
    void set(uint32_t offset, uint32_t size, uint32_t mask, uint32_t value);
    void define(uint32_t offset, uint32_t size, const RegisterRules& rules);
    void write_dword(uint32_t offset, uint32_t data, uint32_t enabled);
    void run_hooks(uint32_t offset, uint32_t enabled, const ConfigWrite& write);

    bool occupied(uint32_t offset, uint32_t size) const;
    void occupy(uint32_t offset, uint32_t size);
    Result<uint32_t> place(uint32_t first, uint32_t end, uint32_t size, uint32_t at) const;

    uint32_t size_;
    uint32_t write_depth_ = 0;  // on_write() must not move hooks that are running
    std::array<uint8_t, kMaxSize / kBlockSize> index_;  // into blocks_, or kNoBlock
    std::vector<Block> blocks_;
    std::vector<Hook> hooks_;
};

}  // namespace mimic::pci
