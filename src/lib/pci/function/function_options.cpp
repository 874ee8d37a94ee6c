// SPDX-License-Identifier: Apache-2.0
#include "pci/function/function_options.h"

#include <bit>

#include "pci/config/pci_regs.h"

namespace mimic::pci {
namespace {

constexpr unsigned kBridgeBarCount = 2;

constexpr uint64_t kPage = 4096;                  // granularity of mappable areas
constexpr uint64_t kMaxIoBar = 256;               // PCI 3.0, 6.2.5.1
constexpr uint64_t kMaxMemory32Bar = 1ULL << 31;  // its address mask keeps one bit

Status validate_areas(unsigned index, const Bar& bar) {
    if (bar.areas.empty()) return {};
    if (bar.fd < 0 || bar.type == BarType::kIo) {
        return fail(std::errc::invalid_argument, "BAR{}: mappable areas need memory and a file",
                    index);
    }
    uint64_t end = 0;  // of the area before
    for (const MappableArea& area : bar.areas) {
        const bool aligned = area.offset % kPage == 0 && area.size % kPage == 0;
        if (!aligned || area.size == 0 || area.offset < end || area.offset >= bar.size ||
            area.size > bar.size - area.offset) {
            return fail(std::errc::invalid_argument,
                        "BAR{}: mappable area {:#x}+{:#x} must be whole pages inside {:#x} bytes, "
                        "in ascending order",
                        index, area.offset, area.size, bar.size);
        }
        end = area.offset + area.size;
    }
    return {};
}

Status validate_bar(unsigned index, const Bar& bar) {
    uint64_t smallest = 16;
    uint64_t largest = 1ULL << 63;
    switch (bar.type) {
        case BarType::kNone:
            if (bar.size != 0 || !bar.areas.empty()) {
                return fail(std::errc::invalid_argument, "BAR{}: a size but no type", index);
            }
            return {};
        case BarType::kIo:
            if (bar.prefetchable) {
                return fail(std::errc::invalid_argument, "BAR{}: I/O cannot be prefetchable",
                            index);
            }
            smallest = 4;
            largest = kMaxIoBar;
            break;
        case BarType::kMemory32:
            largest = kMaxMemory32Bar;
            break;
        case BarType::kMemory64:
            break;
    }
    if (!std::has_single_bit(bar.size) || bar.size < smallest || bar.size > largest) {
        return fail(std::errc::invalid_argument,
                    "BAR{}: size {:#x} is not a power of two in {:#x}..{:#x}", index, bar.size,
                    smallest, largest);
    }
    return validate_areas(index, bar);
}

void lay_endpoint(ConfigSpace& config, const FunctionOptions& options) {
    config.define_u16(regs::SUBSYSTEM_VENDOR_ID, {.reset = options.subsystem_vendor_id});
    config.define_u16(regs::SUBSYSTEM_ID, {.reset = options.subsystem_id});
}

void lay_bridge(ConfigSpace& config) {
    using namespace regs;
    config.define_u8(PRIMARY_BUS, {.writable = 0xff});
    config.define_u8(SECONDARY_BUS, {.writable = 0xff});
    config.define_u8(SUBORDINATE_BUS, {.writable = 0xff});
    config.define_u16(SECONDARY_STATUS,
                      {.w1c = STATUS_MASTER_DATA_PARITY_ERROR | STATUS_SIGNALED_TARGET_ABORT |
                              STATUS_RECEIVED_TARGET_ABORT | STATUS_RECEIVED_MASTER_ABORT |
                              STATUS_SIGNALED_SYSTEM_ERROR | STATUS_DETECTED_PARITY_ERROR});
    // No I/O window: its registers read zero, which says so (7.5.1.3.6).
    config.define_u16(MEMORY_BASE, {.writable = MEMORY_WINDOW_ADDRESS});
    config.define_u16(MEMORY_LIMIT, {.writable = MEMORY_WINDOW_ADDRESS});
    config.define_u16(PREFETCHABLE_BASE,
                      {.reset = PREFETCHABLE_64_BIT, .writable = MEMORY_WINDOW_ADDRESS});
    config.define_u16(PREFETCHABLE_LIMIT,
                      {.reset = PREFETCHABLE_64_BIT, .writable = MEMORY_WINDOW_ADDRESS});
    config.define_u32(PREFETCHABLE_BASE_UPPER, {.writable = ~0U});
    config.define_u32(PREFETCHABLE_LIMIT_UPPER, {.writable = ~0U});
    config.define_u16(
        BRIDGE_CONTROL,
        {.writable = BRIDGE_CONTROL_PARITY | BRIDGE_CONTROL_SERR | BRIDGE_CONTROL_ISA |
                     BRIDGE_CONTROL_VGA | BRIDGE_CONTROL_VGA_16 | BRIDGE_CONTROL_BUS_RESET});
}

void lay_bars(ConfigSpace& config, const FunctionOptions& options) {
    for (unsigned i = 0; i < kBarCount; ++i) {
        const Bar& bar = options.bars[i];
        const uint32_t offset = regs::BAR0 + 4 * i;
        const uint64_t address = ~(bar.size - 1);  // all-ones written read back as this: that is
                                                   // sizing
        const uint32_t prefetchable = bar.prefetchable ? regs::BAR_PREFETCHABLE : 0;
        switch (bar.type) {
            case BarType::kNone:
                break;
            case BarType::kIo:
                config.define_u32(
                    offset, {.reset = regs::BAR_IO_SPACE,
                             .writable = static_cast<uint32_t>(address) & regs::BAR_IO_ADDRESS});
                break;
            case BarType::kMemory32:
                config.define_u32(offset, {.reset = prefetchable,
                                           .writable = static_cast<uint32_t>(address) &
                                                       regs::BAR_MEMORY_ADDRESS});
                break;
            case BarType::kMemory64:
                config.define_u32(offset, {.reset = regs::BAR_MEMORY_TYPE_64 | prefetchable,
                                           .writable = static_cast<uint32_t>(address) &
                                                       regs::BAR_MEMORY_ADDRESS});
                config.define_u32(offset + 4, {.writable = static_cast<uint32_t>(address >> 32)});
                break;
        }
    }
}

}  // namespace

Status validate(const FunctionOptions& options) {
    // 7.5.1.1.1, and Linux takes vendor 0 as "nothing here" too.
    if (options.vendor_id == 0 || options.vendor_id == 0xffff) {
        return fail(std::errc::invalid_argument, "vendor id {:#06x} means no device",
                    options.vendor_id);
    }
    if (options.class_code > 0xff'ffff) {
        return fail(std::errc::invalid_argument, "class code {:#x} has more than 24 bits",
                    options.class_code);
    }
    if (options.interrupt_pin > 4) {
        return fail(std::errc::invalid_argument, "interrupt pin {}: want 0 (none) to 4 (INTD)",
                    options.interrupt_pin);
    }
    if (options.config_size != 256 && options.config_size != 4096) {
        return fail(std::errc::invalid_argument, "config space of {} bytes: want 256 or 4096",
                    options.config_size);
    }
    if (options.header == HeaderType::kBridge && options.virtual_function) {
        return fail(std::errc::invalid_argument, "a bridge cannot be a VF");
    }
    for (unsigned i = 0; i < kBarCount; ++i) {
        MIMIC_TRY(validate_bar(i, options.bars[i]));
        if (options.header == HeaderType::kBridge && i >= kBridgeBarCount &&
            options.bars[i].type != BarType::kNone) {
            return fail(std::errc::invalid_argument, "BAR{}: a bridge has two", i);
        }
        if (options.bars[i].type != BarType::kMemory64) continue;
        if (i + 1 == kBarCount || options.bars[i + 1].type != BarType::kNone) {
            return fail(std::errc::invalid_argument, "BAR{}: 64 bits need the next slot empty", i);
        }
    }
    return {};
}

void lay_header(ConfigSpace& config, const FunctionOptions& options) {
    using namespace regs;
    const bool is_vf = options.virtual_function;
    // The ids of a VF are in its PF's SR-IOV capability (9.3.4.1.1).
    config.define_u16(VENDOR_ID, {.reset = is_vf ? 0xffffU : options.vendor_id});
    config.define_u16(DEVICE_ID, {.reset = is_vf ? 0xffffU : options.device_id});
    // A VF has no I/O, no pin, and its memory enable is the PF's (9.3.4.1.3).
    constexpr uint32_t kCommand = COMMAND_IO_SPACE | COMMAND_MEMORY_SPACE | COMMAND_BUS_MASTER |
                                  COMMAND_PARITY_ERROR_RESPONSE | COMMAND_SERR_ENABLE |
                                  COMMAND_INTERRUPT_DISABLE;
    config.define_u16(COMMAND, {.writable = is_vf ? COMMAND_BUS_MASTER : kCommand});
    config.define_u16(STATUS,
                      {.w1c = STATUS_MASTER_DATA_PARITY_ERROR | STATUS_SIGNALED_TARGET_ABORT |
                              STATUS_RECEIVED_TARGET_ABORT | STATUS_RECEIVED_MASTER_ABORT |
                              STATUS_SIGNALED_SYSTEM_ERROR | STATUS_DETECTED_PARITY_ERROR});
    config.define_u32(REVISION_ID, {.reset = options.revision | (options.class_code << 8)});
    if (!is_vf) config.define_u8(CACHE_LINE_SIZE, {.writable = 0xff});
    config.define_u8(HEADER_TYPE,
                     {.reset = static_cast<uint32_t>(options.header) |
                               (options.multifunction ? HEADER_TYPE_MULTI_FUNCTION : 0)});
    if (!is_vf) {
        config.define_u8(INTERRUPT_LINE, {.writable = 0xff});
        config.define_u8(INTERRUPT_PIN, {.reset = options.interrupt_pin});
    }
    options.header == HeaderType::kBridge ? lay_bridge(config) : lay_endpoint(config, options);
    if (!is_vf) lay_bars(config, options);  // those of a VF read zero (9.3.4.1.11)
}

}  // namespace mimic::pci
