// SPDX-License-Identifier: Apache-2.0
// Map: all registers of one BAR, checked and compiled at compile time to what map_view.h describes.
// Written down in a device's registers.h:
//
//   inline constexpr auto kMap = make_map<CTRL, STATUS, QUEUE>({.name = "foo", ...});
//   static_assert(kMap.valid());  // if it fails: kMap.problem says which rule is broken
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "reg/map_checks.h"
#include "reg/map_view.h"
#include "reg/register.h"

namespace mimic::reg {

namespace internal {

/// Calls `visit(const Register&, const Block&)` for each register of an item of a map.
template <typename Visit>
constexpr void visit_item(const Register& reg, Visit visit) {
    visit(reg, kNoBlock);
}
template <typename Visit>
constexpr void visit_item(const Block& block, Visit visit) {
    for (const Register* reg : block.registers) visit(*reg, block);
}

constexpr Problem check_item(const Register& reg) {
    return check_register(reg);
}
constexpr Problem check_item(const Block& block) {
    return check_block(block);
}

constexpr int64_t first_offset(const Register& reg) {
    return reg.offset;
}
constexpr int64_t first_offset(const Block& block) {
    return block.offsets.size() == 0 ? 0 : *block.offsets.begin();
}

/// What the arrays of a Map must hold; computed before its type is known.
struct Shape {
    size_t registers = 0;
    unsigned granule_bytes = 8;
    uint64_t extent = 0;

    constexpr void add(const Register& reg, const Block& block) {
        ++registers;
        granule_bytes = std::min(granule_bytes, std::max(1U, reg.width_bytes()));
        const uint64_t end = reg.offset + reg.span_bytes();
        for (const uint32_t offset : block.offsets) {
            const uint64_t last = uint64_t{block.count == 0 ? 0 : block.count - 1} * block.stride;
            extent = std::max(extent, offset + last + end);
        }
    }
    constexpr bool too_large() const {
        return extent > kMaxExtentBytes || registers >= kNoRegister;
    }
    constexpr size_t granules() const {
        return too_large() ? 1 : static_cast<size_t>((extent + granule_bytes - 1) / granule_bytes);
    }
};

template <const auto&... Items>
constexpr Shape shape_of() {
    Shape shape;
    (visit_item(Items, [&](const Register& r, const Block& b) { shape.add(r, b); }), ...);
    return shape;
}

template <const Register& Reg>
struct Identity {};

/// Where `Reg` is among the registers of an item of a map: 0 and up, or -1. Compares template
/// arguments, because gcc 12 with -fsanitize=undefined cannot compare addresses of inline variables
/// in a constant expression.
template <const Register& Reg, const auto& Item>
constexpr int position_in() {
    if constexpr (std::is_same_v<decltype(Item), const Register&>) {
        return std::is_same_v<Identity<Reg>, Identity<Item>> ? 0 : -1;
    } else {
        return []<size_t... Position>(std::index_sequence<Position...>) {
            int position = -1;
            (void)((std::is_same_v<Identity<Reg>, Identity<*Item.registers.begin()[Position]>>
                        ? (position = static_cast<int>(Position), true)
                        : false) ||
                   ...);
            return position;
        }
        (std::make_index_sequence<Item.registers.size()>());
    }
}

constexpr int register_count(const Register&) {
    return 1;
}
constexpr int register_count(const Block& block) {
    return static_cast<int>(block.registers.size());
}

}  // namespace internal

/// See the head of the file. Made by make_map() only.
template <const auto&... Items>
struct Map {
    static constexpr internal::Shape kShape = internal::shape_of<Items...>();

    MapOptions options;
    std::array<RegisterInfo, kShape.registers> registers{};
    std::array<DecodeEntry, kShape.granules()> decode{};
    unsigned granule_shift = 2;
    uint32_t storage_bytes = 0;
    uint16_t read_hooks = 0;
    uint16_t write_hooks = 0;
    uint64_t hash = 0;
    Problem problem = Problem::kNone;

    /// For static_assert behind every map.
    constexpr bool valid() const { return problem == Problem::kNone; }

    constexpr MapView view() const {
        return {options,    registers,   decode, granule_shift, storage_bytes,
                read_hooks, write_hooks, hash,   problem};
    }

    /// Index into `registers`, or -1 for a register of another map.
    template <const Register& Reg>
    static constexpr int index_of() {
        int index = -1;
        int before = 0;
        const auto visit = [&](int position, int count) {
            if (position >= 0 && index < 0) index = before + position;
            before += count;
        };
        (visit(internal::position_in<Reg, Items>(), internal::register_count(Items)), ...);
        return index;
    }
};

namespace internal {

/// FNV-1a, 64 bits (Fowler, Noll, Vo: parameters of the reference publication).
struct Hash {
    uint64_t value = 0xcbf29ce484222325;

    constexpr void add_byte(uint8_t byte) { value = (value ^ byte) * 0x100000001b3; }
    constexpr void add(uint64_t number) {
        for (unsigned i = 0; i < 8; ++i) add_byte(static_cast<uint8_t>(number >> (8 * i)));
    }
    constexpr void add(std::string_view text) {
        for (const char c : text) add_byte(static_cast<uint8_t>(c));
        add_byte(0);
    }
    constexpr void add(const RegisterInfo& info) {
        add(std::string_view(info.block->name));
        add(std::string_view(info.reg->name));
        add(info.reg->width);
        for (const uint64_t n : {info.elements, info.reg->count}) add(n);
        for (uint32_t i = 0; i < info.elements; ++i) add(info.offset(i));
        for (const Field& field : info.reg->fields) {
            add(std::string_view(field.name));
            add(field.mask());
            add(static_cast<uint64_t>(field.access));
        }
    }
};

constexpr RegisterInfo compile(const Register& reg, const Block& block) {
    RegisterInfo info;
    info.reg = &reg;
    info.block = &block;
    info.elements = reg.count * block.instances();
    info.width_bytes = static_cast<uint8_t>(reg.width_bytes());
    const auto wanting = [&](OnWrite effect) {
        return bits_where(reg, [&](const AccessKind& kind) { return kind.on_write == effect; });
    };
    info.direct = wanting(OnWrite::kStore);
    info.clear_ones = wanting(OnWrite::kClearOnes);
    info.set_ones = wanting(OnWrite::kSetOnes);
    info.readable = bits_where(reg, [](const AccessKind& kind) { return kind.readable; });
    info.clear_on_read = bits_where(reg, [](const AccessKind& kind) { return kind.clear_on_read; });
    info.stored = info.readable | info.direct | info.clear_ones | info.set_ones;
    for (const Field& field : reg.fields) {
        info.reset |= field.reset << field.lo;
        if (field.reset_by == ResetBy::kDevice) info.per_device |= field.mask();
    }
    info.plain_read = (reg.hooks & kRead) == 0 && info.clear_on_read == 0 &&
                      info.stored == info.readable;
    return info;
}

template <const auto&... Items>
class Builder {
public:
    constexpr explicit Builder(const MapOptions& options) {
        map_.options = options;
        map_.granule_shift = static_cast<unsigned>(
            std::countr_zero(Map<Items...>::kShape.granule_bytes));
        if (std::string_view(options.name).empty() || std::string_view(options.doc).empty() ||
            std::string_view(options.spec).empty() || options.bar > 5 ||
            !std::has_single_bit(options.bar_size_bytes)) {
            map_.problem = Problem::kMapFacts;
        }
        hash_.add(std::string_view(options.name));
    }

    constexpr void check_order(int64_t offset, std::string_view name) {
        if (offset <= last_offset_) note(Problem::kNotSorted);
        last_offset_ = offset;
        for (size_t i = 0; i < names_used_; ++i) {
            if (names_[i] == name) note(Problem::kDuplicateName);
        }
        names_[names_used_++] = name;
    }

    constexpr void note(Problem problem) {
        if (map_.problem == Problem::kNone) map_.problem = problem;
    }

    constexpr void add(const Register& reg, const Block& block) {
        if (map_.problem != Problem::kNone) return;  // the arithmetic below relies on the checks
        RegisterInfo info = compile(reg, block);
        if (info.elements > 0xffff) return note(Problem::kTooLarge);
        info.read_hook = (reg.hooks & kRead) != 0 ? map_.read_hooks++ : kNoHook;
        info.write_hook = (reg.hooks & kWrite) != 0 ? map_.write_hooks++ : kNoHook;
        info.storage = (map_.storage_bytes + info.width_bytes - 1) & ~(info.width_bytes - 1U);
        map_.storage_bytes = info.storage + info.elements * info.width_bytes;
        for (uint32_t i = 0; i < info.elements; ++i) claim(info, i);
        hash_.add(info);
        map_.registers[used_++] = info;
    }

    constexpr Map<Items...> finish() {
        map_.hash = hash_.value;
        return map_;
    }

private:
    constexpr void claim(const RegisterInfo& info, uint32_t element) {
        const uint64_t offset = info.offset(element);
        if (offset + info.width_bytes > map_.options.bar_size_bytes) {
            return note(Problem::kOutsideBar);
        }
        const uint64_t end = (offset + info.width_bytes) >> map_.granule_shift;
        for (uint64_t g = offset >> map_.granule_shift; g < end; ++g) {
            DecodeEntry& entry = map_.decode[g];
            if (entry.reg != kNoRegister) return note(Problem::kOverlap);
            entry = {static_cast<uint16_t>(used_), static_cast<uint16_t>(element)};
        }
    }

    Map<Items...> map_{};
    std::array<std::string_view, sizeof...(Items)> names_{};  // of registers and blocks in the map
    size_t names_used_ = 0;
    size_t used_ = 0;
    int64_t last_offset_ = -1;
    Hash hash_;
};

}  // namespace internal

/// Compiles registers and blocks, in order of their offsets, to a map. Never fails: a broken rule
/// is in `problem` and makes valid() false.
template <const auto&... Items>
constexpr auto make_map(const MapOptions& options) {
    static_assert(sizeof...(Items) > 0, "A map needs a register");
    internal::Builder<Items...> builder(options);
    (builder.note(internal::check_item(Items)), ...);
    if (Map<Items...>::kShape.too_large()) builder.note(Problem::kTooLarge);
    (builder.check_order(internal::first_offset(Items), Items.name), ...);
    (internal::visit_item(Items, [&](const Register& r, const Block& b) { builder.add(r, b); }),
     ...);
    return builder.finish();
}

}  // namespace mimic::reg
