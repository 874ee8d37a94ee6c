// SPDX-License-Identifier: Apache-2.0
// Storage and rules of configuration space. Everything works on aligned dwords with byte enables,
// as a configuration request does (PCIe 6.0, 2.2.7).
#include "pci/config/config_space.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {

static_assert(std::endian::native == std::endian::little, "spans and values share byte order");

namespace {

// Longest possible lists: one capability in each dword.
constexpr uint32_t kMaxCapabilities = (0x100 - 0x40) / 4;
constexpr uint32_t kMaxExtendedCapabilities = (0x1000 - 0x100) / 4;

constexpr uint32_t byte_mask(uint32_t size) {
    return size == 4 ? 0xffff'ffffU : (1U << (8 * size)) - 1;
}

constexpr bool inside_one_dword(uint32_t offset, uint32_t size) {
    return (size == 1 || size == 2 || size == 4) && offset % 4 + size <= 4;
}

void assign(uint32_t& target, uint32_t mask, uint32_t value) {
    target = (target & ~mask) | (value & mask);
}

}  // namespace

ConfigSpace::ConfigSpace(uint32_t size_bytes) : size_(size_bytes) {
    MIMIC_CHECK(size_bytes == 256 || size_bytes == kMaxSize);
    index_.fill(kNoBlock);
    occupy(0, regs::FIRST_CAPABILITY);
}

void ConfigSpace::read(uint32_t offset, std::span<uint8_t> data) const {
    if (data.size() == 4 && (offset & 3) == 0 && offset < size_) {  // nearly every access of a
                                                                    // guest
        const uint32_t value = dword(offset);
        std::memcpy(data.data(), &value, 4);
        return;
    }
    size_t done = 0;
    if (offset < size_) {
        const size_t inside = std::min<size_t>(data.size(), size_ - offset);
        while (done < inside) {
            const uint32_t at = offset + static_cast<uint32_t>(done);
            const uint32_t skip = at & 3;
            const size_t count = std::min<size_t>(4 - skip, inside - done);
            const uint32_t value = dword(at & ~3U) >> (8 * skip);
            std::memcpy(data.data() + done, &value, count);
            done += count;
        }
    }
    std::fill(data.begin() + static_cast<std::ptrdiff_t>(done), data.end(), uint8_t{0xff});
}

void ConfigSpace::write(uint32_t offset, std::span<const uint8_t> data) {
    if (offset >= size_) return;
    const size_t inside = std::min<size_t>(data.size(), size_ - offset);
    for (size_t done = 0; done < inside;) {
        const uint32_t at = offset + static_cast<uint32_t>(done);
        const uint32_t skip = at & 3;
        const uint32_t count = std::min(4 - skip, static_cast<uint32_t>(inside - done));
        uint32_t value = 0;
        std::memcpy(&value, data.data() + done, count);
        write_dword(at & ~3U, value << (8 * skip), byte_mask(count) << (8 * skip));
        done += count;
    }
}

void ConfigSpace::write_dword(uint32_t offset, uint32_t data, uint32_t enabled) {
    const uint8_t index = index_[offset / kBlockSize];
    if (index == kNoBlock) return;
    Block& block = blocks_[index];  // not used behind run_hooks(): a hook may make blocks_ grow
    const uint32_t slot = offset / 4 % kBlockDwords;

    ConfigWrite write;
    write.old_value = block.value[slot];
    write.written = data & enabled;
    write.new_value = write.old_value;
    assign(write.new_value, block.writable[slot] & enabled, data);
    write.new_value &= ~(write.written & block.w1c[slot]);
    block.value[slot] = write.new_value;
    if ((block.hooked >> slot) & 1) run_hooks(offset, enabled, write);
}

void ConfigSpace::run_hooks(uint32_t offset, uint32_t enabled, const ConfigWrite& write) {
    ++write_depth_;
    for (const Hook& hook : hooks_) {
        if (hook.dword != offset || (hook.mask & enabled) == 0) continue;
        hook.call({.old_value = (write.old_value & hook.mask) >> hook.shift,
                   .new_value = (write.new_value & hook.mask) >> hook.shift,
                   .written = (write.written & hook.mask) >> hook.shift});
    }
    --write_depth_;
}

uint8_t ConfigSpace::u8(uint32_t offset) const {
    if (offset >= size_) return 0xff;
    return static_cast<uint8_t>(dword(offset & ~3U) >> (8 * (offset & 3)));
}

uint16_t ConfigSpace::u16(uint32_t offset) const {
    if (offset < size_ && (offset & 3) != 3) {
        return static_cast<uint16_t>(dword(offset & ~3U) >> (8 * (offset & 3)));
    }
    return static_cast<uint16_t>(u32_slow(offset));
}

uint32_t ConfigSpace::u32_slow(uint32_t offset) const {
    std::array<uint8_t, 4> bytes{};
    read(offset, bytes);
    return std::bit_cast<uint32_t>(bytes);
}

ConfigSpace::Block& ConfigSpace::make_block(uint32_t offset) {
    MIMIC_CHECK(offset < size_);
    uint8_t& index = index_[offset / kBlockSize];
    if (index == kNoBlock) {
        // Grows by one, not twofold: functions are many, and layouts are made once.
        blocks_.reserve(blocks_.size() + 1);
        index = static_cast<uint8_t>(blocks_.size());
        blocks_.emplace_back();
    }
    return blocks_[index];
}

void ConfigSpace::set(uint32_t offset, uint32_t size, uint32_t mask, uint32_t value) {
    MIMIC_CHECK(inside_one_dword(offset, size));
    const uint32_t shift = 8 * (offset & 3);
    Block& block = make_block(offset);
    assign(block.value[offset / 4 % kBlockDwords], (mask & byte_mask(size)) << shift,
           value << shift);
}

void ConfigSpace::define(uint32_t offset, uint32_t size, const RegisterRules& rules) {
    MIMIC_CHECK(inside_one_dword(offset, size));
    MIMIC_CHECK((rules.writable & rules.w1c) == 0);
    const uint32_t shift = 8 * (offset & 3);
    const uint32_t mask = byte_mask(size) << shift;
    const uint32_t slot = offset / 4 % kBlockDwords;
    Block& block = make_block(offset);
    assign(block.value[slot], mask, rules.reset << shift);
    assign(block.reset[slot], mask, rules.reset << shift);
    assign(block.writable[slot], mask, rules.writable << shift);
    assign(block.w1c[slot], mask, rules.w1c << shift);
    assign(block.sticky[slot], mask, rules.sticky << shift);
}

RegisterRules ConfigSpace::rules(uint32_t offset) const {
    if (offset >= size_ || index_[offset / kBlockSize] == kNoBlock) return {};
    const Block& block = blocks_[index_[offset / kBlockSize]];
    const uint32_t slot = offset / 4 % kBlockDwords;
    return {block.reset[slot], block.writable[slot], block.w1c[slot], block.sticky[slot]};
}

void ConfigSpace::on_write(uint32_t offset, uint32_t size, WriteHook hook) {
    MIMIC_CHECK(inside_one_dword(offset, size));
    MIMIC_CHECK(write_depth_ == 0);
    const uint32_t shift = 8 * (offset & 3);
    Block& block = make_block(offset);
    block.hooked = static_cast<uint16_t>(block.hooked | (1U << (offset / 4 % kBlockDwords)));
    hooks_.push_back({offset & ~3U, byte_mask(size) << shift, shift, std::move(hook)});
}

void ConfigSpace::reset(ConfigReset kind) {
    for (Block& block : blocks_) {
        for (uint32_t slot = 0; slot < kBlockDwords; ++slot) {
            const uint32_t kept = kind == ConfigReset::kKeepSticky ? block.sticky[slot] : 0;
            assign(block.value[slot], ~kept, block.reset[slot]);
        }
    }
}

size_t ConfigSpace::heap_bytes() const {
    return blocks_.capacity() * sizeof(Block) + hooks_.capacity() * sizeof(Hook);
}

// --- Capability lists ------------------------------------------------------------------------

bool ConfigSpace::occupied(uint32_t offset, uint32_t size) const {
    for (uint32_t at = offset & ~3U; at < offset + size; at += 4) {
        const uint8_t index = index_[at / kBlockSize];
        if (index != kNoBlock && ((blocks_[index].occupied >> (at / 4 % kBlockDwords)) & 1)) {
            return true;
        }
    }
    return false;
}

void ConfigSpace::occupy(uint32_t offset, uint32_t size) {
    for (uint32_t at = offset & ~3U; at < offset + size; at += 4) {
        Block& block = make_block(at);
        block.occupied = static_cast<uint16_t>(block.occupied | (1U << (at / 4 % kBlockDwords)));
    }
}

Status ConfigSpace::reserve(uint32_t offset, uint32_t size) {
    if (size == 0 || offset >= size_ || size > size_ - offset) {
        return fail(std::errc::invalid_argument, "config range {:#x}+{:#x} is not in {:#x} bytes",
                    offset, size, size_);
    }
    if (occupied(offset, size)) {
        return fail(std::errc::address_in_use, "config range {:#x}+{:#x} is taken", offset, size);
    }
    occupy(offset, size);
    return {};
}

Result<uint32_t> ConfigSpace::place(uint32_t first, uint32_t end, uint32_t size,
                                    uint32_t at) const {
    if (size > end - first) {
        return fail(std::errc::no_space_on_device, "capability of {} bytes in {:#x}..{:#x}", size,
                    first, end - 1);
    }
    if (at != 0) {
        if (at % 4 != 0 || at < first || at > end - size) {
            return fail(std::errc::invalid_argument,
                        "capability of {} bytes at {:#x}: want a multiple of 4 in {:#x}..{:#x}",
                        size, at, first, end - size);
        }
        if (occupied(at, size)) {
            return fail(std::errc::address_in_use, "capability of {} bytes at {:#x} overlaps", size,
                        at);
        }
        return at;
    }
    for (uint32_t offset = first; offset <= end - size; offset += 4) {
        if (!occupied(offset, size)) return offset;
    }
    return fail(std::errc::no_space_on_device,
                "no room for a capability of {} bytes in {:#x}..{:#x}", size, first, end - 1);
}

Result<uint32_t> ConfigSpace::add_capability(uint8_t id, uint32_t size, uint32_t at) {
    if (size < 2) return fail(std::errc::invalid_argument, "capability of {} bytes", size);
    MIMIC_ASSIGN_OR_RETURN(const uint32_t offset, place(regs::FIRST_CAPABILITY,
                                                        regs::FIRST_EXTENDED_CAPABILITY, size, at));
    occupy(offset, size);
    uint32_t link = regs::CAPABILITIES_POINTER;
    for (uint32_t next = u8(link); next != 0; next = u8(link)) link = next + 1;
    define_u8(link, {.reset = offset});
    define_u16(offset, {.reset = id});
    RegisterRules status = rules(regs::COMMAND);  // one dword: COMMAND below, STATUS above
    status.reset |= regs::STATUS_CAPABILITIES_LIST << 16;
    define_u32(regs::COMMAND, status);
    return offset;
}

Result<uint32_t> ConfigSpace::add_extended_capability(uint16_t id, uint8_t version, uint32_t size,
                                                      uint32_t at) {
    constexpr uint32_t kFirst = regs::FIRST_EXTENDED_CAPABILITY;
    if (size_ <= kFirst) {
        return fail(std::errc::no_space_on_device, "extended capability {:#x} in {} bytes", id,
                    size_);
    }
    if (size < 4 || version > 0xf) {
        return fail(std::errc::invalid_argument, "extended capability {:#x}: size {}, version {}",
                    id, size, version);
    }
    MIMIC_ASSIGN_OR_RETURN(const uint32_t offset, place(kFirst, size_, size, at));
    const bool is_first = !occupied(kFirst, 4);  // a null capability there may read zero
    if (is_first && offset != kFirst) {
        return fail(std::errc::invalid_argument, "first extended capability at {:#x}, not {:#x}",
                    offset, kFirst);
    }
    if (!is_first) {
        uint32_t last = kFirst;
        for (uint32_t next = dword(last) >> 20; next != 0; next = dword(last) >> 20) last = next;
        define_u32(last, {.reset = dword(last) | (offset << 20)});
    }
    occupy(offset, size);
    define_u32(offset, {.reset = static_cast<uint32_t>(id) | (uint32_t{version} << 16)});
    return offset;
}

uint32_t ConfigSpace::find_capability(uint8_t id, uint32_t previous) const {
    uint32_t at = previous == 0 ? u8(regs::CAPABILITIES_POINTER) : u8(previous + 1);
    for (uint32_t steps = 0; at >= regs::FIRST_CAPABILITY && steps < kMaxCapabilities; ++steps) {
        if (u8(at) == id) return at;
        at = u8(at + 1);
    }
    return 0;
}

uint32_t ConfigSpace::find_extended_capability(uint16_t id, uint32_t previous) const {
    if (size_ <= regs::FIRST_EXTENDED_CAPABILITY) return 0;
    uint32_t at = previous == 0 ? regs::FIRST_EXTENDED_CAPABILITY : u32(previous) >> 20;
    for (uint32_t steps = 0; at != 0 && steps < kMaxExtendedCapabilities; ++steps) {
        const uint32_t header = u32(at);
        if (header == 0) return 0;
        if ((header & 0xffff) == id) return at;
        at = header >> 20;
    }
    return 0;
}

}  // namespace mimic::pci
