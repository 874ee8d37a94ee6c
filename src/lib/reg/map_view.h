// SPDX-License-Identifier: Apache-2.0
// MapView: a compiled register map without template parameters: masks by access kind, storage
// places and the lookup table from offset to register. Banks and printers use it; map.h makes it.
#pragma once

#include <cstdint>
#include <span>

#include "reg/map_checks.h"
#include "reg/register.h"

namespace mimic::reg {

/// Facts and policies of a map.
struct MapOptions {
    const char* name = "";  // the device's folder, lower case: generated files are named by it
    const char* doc = "";
    const char* spec = "";  // document that the registers come from
    unsigned bar = 0;
    uint64_t bar_size_bytes = 0;  // a power of two
    Narrow narrow = Narrow::kNaturalOnly;
    Wide wide = Wide::kCommitOnHigh;
    Unmapped unmapped = Unmapped::kZeros;
};

/// One register as the access path wants it: masks by access kind, and where its values are stored.
struct RegisterInfo {
    const Register* reg = nullptr;
    const Block* block = &kNoBlock;  // never null
    uint64_t stored = 0;             // bits of all fields but reserved ones
    uint64_t readable = 0;
    uint64_t direct = 0;  // a write stores them
    uint64_t clear_ones = 0;
    uint64_t set_ones = 0;
    uint64_t clear_on_read = 0;
    uint64_t reset = 0;
    uint64_t per_device = 0;  // bits that reset leaves alone
    uint32_t storage = 0;     // byte in a bank's storage at which element 0 lies
    uint32_t elements = 0;    // of the array, in all instances of the block
    uint16_t read_hook = 0;   // index into a bank's hooks; kNoHook without one
    uint16_t write_hook = 0;
    uint8_t width_bytes = 0;
    bool plain_read = false;  // a read only copies stored bytes

    constexpr bool in_block() const { return *block->name != 0; }
    constexpr bool writable() const { return (direct | clear_ones | set_ones) != 0; }
    /// Offset of element `index` (flat, see Block) from the start of the BAR.
    constexpr uint64_t offset(uint32_t index) const {
        return block->instance_offset(index / reg->count) + reg->offset +
               uint64_t{index % reg->count} * reg->stride;
    }
};

inline constexpr uint16_t kNoHook = 0xffff;
inline constexpr uint16_t kNoRegister = 0xffff;

/// What lies at one granule of the BAR.
struct DecodeEntry {
    uint16_t reg = kNoRegister;  // index into MapView::registers
    uint16_t element = 0;        // flat index
};

/// A map for code that is not a template. Immutable; points into a Map with static storage.
struct MapView {
    MapOptions options;
    std::span<const RegisterInfo> registers;
    std::span<const DecodeEntry> decode;  // indexed by offset >> granule_shift
    unsigned granule_shift = 2;
    uint32_t storage_bytes = 0;
    uint16_t read_hooks = 0;
    uint16_t write_hooks = 0;
    uint64_t hash = 0;  // of names, places, widths, fields and access kinds; not of prose
    Problem problem = Problem::kNone;

    /// End of the last register, in bytes from the start of the BAR.
    constexpr uint64_t extent() const { return uint64_t{decode.size()} << granule_shift; }
};

}  // namespace mimic::reg
