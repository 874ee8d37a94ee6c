// SPDX-License-Identifier: Apache-2.0
// Field, Register, Block: the facts of a register as a table. They are data only, written as
// `inline constexpr` objects in a device's registers.h (style.md, "Registers declared once"); map.h
// gathers them into a map that checks them at compile time, bank.h gives them values.
//
//   inline constexpr Register CTRL{
//       .name = "CTRL", .offset = 0x10, .width = 32, .doc = "Starts transfers.", .spec =
//       "Foo 1.0, 3.2", .hooks = kWrite, .fields = {{"ENABLE", 0, 0, Access::kRw, 0, "Transfers run
//       while set."},
//                  {"ERROR", 4, 4, Access::kW1c, 0, "A transfer failed."}}};
#pragma once

#include <cstdint>
#include <initializer_list>

#include "reg/access.h"

namespace mimic::reg {

/// Side effects that a register declares with `.hooks`; the device binds them with Bank::on_read
/// and on_write.
using Hooks = unsigned;
inline constexpr Hooks kRead = 1;   // the value that a guest reads is made by the device
inline constexpr Hooks kWrite = 2;  // the device acts when a guest writes

/// Who decides a field's value after reset: the table, or the device, which writes it once at its
/// birth (Bank::set); resets leave it alone then. kPerDevice is for read-only fields.
enum class ResetBy : uint8_t { kTable, kDevice };
inline constexpr ResetBy kPerDevice = ResetBy::kDevice;

/// Bits [hi:lo] of a register. Reserved bits need no row: a bit without a field reads zero and
/// ignores writes.
struct Field {
    const char* name = "";  // as in the specification, UPPER; unique in its register
    unsigned hi = 0;        // most significant bit, inclusive
    unsigned lo = 0;
    Access access = Access::kNone;
    uint64_t reset = 0;    // in units of the field, that is not shifted by `lo`
    const char* doc = "";  // one or two sentences of prose
    ResetBy reset_by = ResetBy::kTable;

    /// The field's bits, at their place in the register.
    constexpr uint64_t mask() const { return (~uint64_t{0} >> (63 - (hi - lo))) << lo; }
    /// The largest value that the field holds.
    constexpr uint64_t max() const { return ~uint64_t{0} >> (63 - (hi - lo)); }
};

/// One register, or `count` equal ones `stride` bytes apart (an array). Immutable; lives as long as
/// the program.
struct Register {
    const char* name = "";  // as in the specification, UPPER; unique in its map
    uint32_t offset = 0;    // bytes from the start of the BAR or block; a multiple of width / 8
    unsigned width = 32;    // bits: 8, 16, 32 or 64
    uint32_t count = 1;     // elements; more than 1 makes an array
    uint32_t stride = 0;    // bytes from one element to the next; arrays only
    const char* doc = "";   // one or two sentences of prose
    const char* spec = "";  // where the register is specified
    Hooks hooks = 0;
    std::initializer_list<Field> fields = {};  // in any order, disjoint

    constexpr uint32_t width_bytes() const { return width / 8; }
    /// Bytes from the first element's first byte to the last one's end.
    constexpr uint64_t span_bytes() const {
        return uint64_t{count == 0 ? 0 : count - 1} * stride + width_bytes();
    }
};

/// Registers that appear together at several places (queues, functions). Each offset of `offsets`
/// begins a run of `count` instances, `stride` bytes apart. Instances are numbered through all
/// runs, and element `e` of instance `i` of a register R has the flat index i * R.count + e.
/// Immutable; lives as long as the program.
struct Block {
    const char* name = "";  // UPPER; unique in its map
    std::initializer_list<uint32_t> offsets = {};
    uint32_t count = 1;
    uint32_t stride = 0;  // bytes; needed when count > 1
    const char* doc = "";
    const char* spec = "";
    std::initializer_list<const Register*> registers = {};  // their offsets count from the
                                                            // instance's start

    constexpr uint32_t instances() const { return static_cast<uint32_t>(offsets.size()) * count; }
    /// Offset in the BAR of an instance's first byte.
    constexpr uint64_t instance_offset(uint32_t instance) const {
        return uint64_t{offsets.begin()[instance / count]} + uint64_t{instance % count} * stride;
    }
};

/// Holds the registers that are in no block, so that code need not tell them apart. (A null pointer
/// would do, if gcc 12 with -fsanitize=undefined could compare one in a constant expression.)
inline constexpr Block kNoBlock{.offsets = {0}};

/// How accesses narrower than a register are decoded.
enum class Narrow : uint8_t {
    kNaturalOnly,  // they are undecodable (halves of 64-bit registers are decided by Wide)
    kByteMerge,  // reads give the bytes asked for, writes change the bytes written and act at once
};

/// How an aligned 4-byte access to one half of a 64-bit register is decoded.
enum class Wide : uint8_t {
    /// Reading gives the half; nothing is latched. Writing the low half (lower address) is held
    /// back: no bit
    /// changes, no hook runs and reads give the old value. Writing the high half then writes all 64
    /// bits at once,
    /// with one run of the hook; without a held low half it writes the upper 32 bits. A held low
    /// half is replaced by
    /// the next one, and dropped by an 8-byte write and by reset.
    kCommitOnHigh,
    kHalves,     // each half is written at once, with a run of the hook each
    kWholeOnly,  // they are undecodable
};

/// What an undecodable read gives; an undecodable write is ignored. Both are counted.
enum class Unmapped : uint8_t { kZeros, kOnes };

}  // namespace mimic::reg
