// SPDX-License-Identifier: Apache-2.0
// The rules that a register table must obey, as constexpr functions. Map::valid() applies them to
// a whole map inside a static_assert, so a table that breaks one does not compile.
#pragma once

#include <cstdint>
#include <string_view>

#include "reg/register.h"

namespace mimic::reg {

/// The first rule that a table breaks. describe(Problem) has the sentence.
enum class Problem : uint8_t {
    kNone,
    kMapFacts,       // the map has no name, prose, spec or BAR size, or the size is no power of two
    kName,           // a name is missing or is not made of A-Z, 0-9 and _
    kDuplicateName,  // two registers or blocks of a map, or two fields of a register
    kProse,          // doc or spec is missing
    kWidth,          // not 8, 16, 32 or 64
    kMisaligned,     // offset, stride or block offset is no multiple of the width in bytes
    kArray,          // count is 0, or the stride does not fit the count and the width
    kBlock,          // no offset or no register, or count and stride do not fit
    kHooks,          // a hook for reads or writes that the access kinds make impossible
    kFieldRange,     // hi < lo, or hi outside the width
    kFieldOverlap,   // two fields share a bit
    kFieldReset,     // the reset value needs more bits than the field has
    kFieldPerDevice,  // kPerDevice where a guest can change the field, or with a reset value
    kNotSorted,       // the first offsets of a map's or block's entries do not ascend
    kOverlap,         // two registers share a byte
    kOutsideBar,      // a register ends behind the BAR
    kTooLarge,        // registers reach past kMaxExtentBytes, or there are too many elements
};

/// Registers must end below this offset, because a map has a lookup table that long. Arbitrary.
inline constexpr uint64_t kMaxExtentBytes = uint64_t{256} * 1024;

constexpr bool is_name(std::string_view name) {
    if (name.empty()) return false;
    for (const char c : name) {
        if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) return false;
    }
    return true;
}

constexpr bool is_text(std::string_view text) {
    return !text.empty();
}

/// The bits of a register whose fields satisfy `predicate(const AccessKind&)`.
template <typename Predicate>
constexpr uint64_t bits_where(const Register& reg, Predicate predicate) {
    uint64_t bits = 0;
    for (const Field& field : reg.fields) {
        if (predicate(access_kind(field.access))) bits |= field.mask();
    }
    return bits;
}

constexpr bool is_writable(const AccessKind& kind) {
    return kind.on_write != OnWrite::kIgnore;
}

constexpr Problem check_field(const Register& reg, const Field& field) {
    if (!is_name(field.name)) return Problem::kName;
    if (!is_text(field.doc)) return Problem::kProse;
    if (field.hi < field.lo || field.hi >= reg.width) return Problem::kFieldRange;
    if (field.reset > field.max()) return Problem::kFieldReset;
    if (field.reset != 0 && field.access == Access::kNone) return Problem::kFieldReset;
    if (field.reset_by == ResetBy::kDevice && (field.access != Access::kRo || field.reset != 0)) {
        return Problem::kFieldPerDevice;
    }
    return Problem::kNone;
}

/// Whether two of `count` names, `name(0)` and so on, are equal.
template <typename Name>
constexpr bool has_duplicate(size_t count, Name name) {
    for (size_t i = 0; i < count; ++i) {
        for (size_t j = 0; j < i; ++j) {
            if (std::string_view(name(i)) == name(j)) return true;
        }
    }
    return false;
}

constexpr Problem check_fields(const Register& reg) {
    if (has_duplicate(reg.fields.size(), [&](size_t i) { return reg.fields.begin()[i].name; })) {
        return Problem::kDuplicateName;
    }
    uint64_t used = 0;
    for (const Field& field : reg.fields) {
        if (const Problem p = check_field(reg, field); p != Problem::kNone) return p;
        if ((used & field.mask()) != 0) return Problem::kFieldOverlap;
        used |= field.mask();
    }
    return Problem::kNone;
}

/// Everything about one register that does not need its neighbours.
constexpr Problem check_register(const Register& reg) {
    if (!is_name(reg.name)) return Problem::kName;
    if (!is_text(reg.doc) || !is_text(reg.spec)) return Problem::kProse;
    if (reg.width != 8 && reg.width != 16 && reg.width != 32 && reg.width != 64) {
        return Problem::kWidth;
    }
    if (reg.offset % reg.width_bytes() != 0 || reg.stride % reg.width_bytes() != 0) {
        return Problem::kMisaligned;
    }
    if (reg.count == 0 || (reg.count == 1) != (reg.stride == 0)) return Problem::kArray;
    if (reg.span_bytes() > kMaxExtentBytes) return Problem::kTooLarge;
    if (const Problem p = check_fields(reg); p != Problem::kNone) return p;
    const uint64_t readable = bits_where(reg, [](const AccessKind& kind) { return kind.readable; });
    if ((reg.hooks & kRead) != 0 && readable == 0) return Problem::kHooks;
    if ((reg.hooks & kWrite) != 0 && bits_where(reg, is_writable) == 0) return Problem::kHooks;
    return Problem::kNone;
}

/// Everything about one block and its registers that does not need its neighbours.
constexpr Problem check_block(const Block& block) {
    if (!is_name(block.name)) return Problem::kName;
    if (!is_text(block.doc) || !is_text(block.spec)) return Problem::kProse;
    if (block.offsets.size() == 0 || block.registers.size() == 0 || block.count == 0 ||
        (block.count == 1) != (block.stride == 0)) {
        return Problem::kBlock;
    }
    const auto name = [&](size_t i) { return block.registers.begin()[i]->name; };
    if (has_duplicate(block.registers.size(), name)) return Problem::kDuplicateName;
    int64_t last = -1;
    for (const Register* reg : block.registers) {
        if (const Problem p = check_register(*reg); p != Problem::kNone) return p;
        if (reg->offset <= last) return Problem::kNotSorted;
        last = reg->offset;
        if (block.stride % reg->width_bytes() != 0) return Problem::kMisaligned;
        for (const uint32_t offset : block.offsets) {
            if (offset % reg->width_bytes() != 0) return Problem::kMisaligned;
        }
    }
    return Problem::kNone;
}

/// A sentence for people.
constexpr std::string_view describe(Problem problem) {
    switch (problem) {
        case Problem::kNone:
            return "no problem";
        case Problem::kMapFacts:
            return "the map lacks name, prose, spec or a power-of-two BAR size";
        case Problem::kName:
            return "a name is missing or not made of A-Z, 0-9 and _";
        case Problem::kDuplicateName:
            return "a name is used twice";
        case Problem::kProse:
            return "doc or spec is missing";
        case Problem::kWidth:
            return "a width is not 8, 16, 32 or 64";
        case Problem::kMisaligned:
            return "an offset or stride is no multiple of the width";
        case Problem::kArray:
            return "count and stride of an array do not fit";
        case Problem::kBlock:
            return "a block lacks offsets or registers, or its stride does not fit";
        case Problem::kHooks:
            return "a hook is declared that no access can run";
        case Problem::kFieldRange:
            return "a field lies outside its register";
        case Problem::kFieldOverlap:
            return "two fields share a bit";
        case Problem::kFieldReset:
            return "a reset value does not fit its field";
        case Problem::kFieldPerDevice:
            return "a per-device field is not read-only";
        case Problem::kNotSorted:
            return "entries are not sorted by offset";
        case Problem::kOverlap:
            return "two registers share a byte";
        case Problem::kOutsideBar:
            return "a register ends behind the BAR";
        case Problem::kTooLarge:
            return "the registers reach too far or are too many";
    }
    return "unknown problem";
}

}  // namespace mimic::reg
