// SPDX-License-Identifier: Apache-2.0
// A type-0 function's header, power states and resets. Interrupts are in function_interrupts.cpp.
// PCIe 6.0, 7.5.1 (header), 5.3.1 (device power states), 6.6 (resets).
#include "pci/function/function.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "pci/config/pci_regs.h"
#include "pci/function/function_dma.h"
#include "pci/function/sriov.h"

namespace mimic::pci {
namespace {

constexpr unsigned kBridgeBarCount = 2;

constexpr uint64_t kPage = 4096;                  // granularity of mappable areas
constexpr uint64_t kMaxIoBar = 256;               // PCI 3.0, 6.2.5.1
constexpr uint64_t kMaxMemory32Bar = 1ULL << 31;  // its address mask keeps one bit
constexpr uint64_t kMaxRom = 16ULL << 20;         // PCI 3.0, 6.2.5.2

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

}  // namespace

Status Function::validate(const FunctionOptions& options) {
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

Function::Function(FunctionOptions options)
    : options_(std::move(options)), config_(options_.config_size) {
    MIMIC_CHECK(validate(options_).has_value());
    build_header();
    build_bars();
}

Function::~Function() = default;

void Function::build_header() {
    using namespace regs;
    const bool is_vf = options_.virtual_function;
    // The ids of a VF are in its PF's SR-IOV capability (9.3.4.1.1).
    config_.define_u16(VENDOR_ID, {.reset = is_vf ? 0xffffU : options_.vendor_id});
    config_.define_u16(DEVICE_ID, {.reset = is_vf ? 0xffffU : options_.device_id});
    // A VF has no I/O, no pin, and its memory enable is the PF's (9.3.4.1.3).
    constexpr uint32_t kCommand = COMMAND_IO_SPACE | COMMAND_MEMORY_SPACE | COMMAND_BUS_MASTER |
                                  COMMAND_PARITY_ERROR_RESPONSE | COMMAND_SERR_ENABLE |
                                  COMMAND_INTERRUPT_DISABLE;
    config_.define_u16(COMMAND, {.writable = is_vf ? COMMAND_BUS_MASTER : kCommand});
    config_.define_u16(STATUS,
                       {.w1c = STATUS_MASTER_DATA_PARITY_ERROR | STATUS_SIGNALED_TARGET_ABORT |
                               STATUS_RECEIVED_TARGET_ABORT | STATUS_RECEIVED_MASTER_ABORT |
                               STATUS_SIGNALED_SYSTEM_ERROR | STATUS_DETECTED_PARITY_ERROR});
    config_.define_u32(REVISION_ID, {.reset = options_.revision | (options_.class_code << 8)});
    if (!is_vf) config_.define_u8(CACHE_LINE_SIZE, {.writable = 0xff});
    config_.define_u8(HEADER_TYPE,
                      {.reset = static_cast<uint32_t>(options_.header) |
                                (options_.multifunction ? HEADER_TYPE_MULTI_FUNCTION : 0)});
    if (!is_vf) {
        config_.define_u8(INTERRUPT_LINE, {.writable = 0xff});
        config_.define_u8(INTERRUPT_PIN, {.reset = options_.interrupt_pin});
    }
    options_.header == HeaderType::kBridge ? build_bridge_header() : build_endpoint_header();
    config_.on_write(COMMAND, 2, [this](const ConfigWrite&) { interrupt_control_written(); });
}

void Function::build_endpoint_header() {
    config_.define_u16(regs::SUBSYSTEM_VENDOR_ID, {.reset = options_.subsystem_vendor_id});
    config_.define_u16(regs::SUBSYSTEM_ID, {.reset = options_.subsystem_id});
}

void Function::build_bridge_header() {
    using namespace regs;
    config_.define_u8(PRIMARY_BUS, {.writable = 0xff});
    config_.define_u8(SECONDARY_BUS, {.writable = 0xff});
    config_.define_u8(SUBORDINATE_BUS, {.writable = 0xff});
    config_.define_u16(SECONDARY_STATUS,
                       {.w1c = STATUS_MASTER_DATA_PARITY_ERROR | STATUS_SIGNALED_TARGET_ABORT |
                               STATUS_RECEIVED_TARGET_ABORT | STATUS_RECEIVED_MASTER_ABORT |
                               STATUS_SIGNALED_SYSTEM_ERROR | STATUS_DETECTED_PARITY_ERROR});
    // No I/O window: its registers read zero, which says so (7.5.1.3.6).
    config_.define_u16(MEMORY_BASE, {.writable = MEMORY_WINDOW_ADDRESS});
    config_.define_u16(MEMORY_LIMIT, {.writable = MEMORY_WINDOW_ADDRESS});
    config_.define_u16(PREFETCHABLE_BASE,
                       {.reset = PREFETCHABLE_64_BIT, .writable = MEMORY_WINDOW_ADDRESS});
    config_.define_u16(PREFETCHABLE_LIMIT,
                       {.reset = PREFETCHABLE_64_BIT, .writable = MEMORY_WINDOW_ADDRESS});
    config_.define_u32(PREFETCHABLE_BASE_UPPER, {.writable = ~0U});
    config_.define_u32(PREFETCHABLE_LIMIT_UPPER, {.writable = ~0U});
    config_.define_u16(
        BRIDGE_CONTROL,
        {.writable = BRIDGE_CONTROL_PARITY | BRIDGE_CONTROL_SERR | BRIDGE_CONTROL_ISA |
                     BRIDGE_CONTROL_VGA | BRIDGE_CONTROL_VGA_16 | BRIDGE_CONTROL_BUS_RESET});
}

void Function::build_bars() {
    if (options_.virtual_function) return;  // they read zero (9.3.4.1.11)
    for (unsigned i = 0; i < kBarCount; ++i) {
        const Bar& bar = options_.bars[i];
        const uint32_t offset = regs::BAR0 + 4 * i;
        const uint64_t address = ~(bar.size - 1);  // all-ones written read back as this: that is
                                                   // sizing
        const uint32_t prefetchable = bar.prefetchable ? regs::BAR_PREFETCHABLE : 0;
        switch (bar.type) {
            case BarType::kNone:
                break;
            case BarType::kIo:
                config_.define_u32(
                    offset, {.reset = regs::BAR_IO_SPACE,
                             .writable = static_cast<uint32_t>(address) & regs::BAR_IO_ADDRESS});
                break;
            case BarType::kMemory32:
                config_.define_u32(offset, {.reset = prefetchable,
                                            .writable = static_cast<uint32_t>(address) &
                                                        regs::BAR_MEMORY_ADDRESS});
                break;
            case BarType::kMemory64:
                config_.define_u32(offset, {.reset = regs::BAR_MEMORY_TYPE_64 | prefetchable,
                                            .writable = static_cast<uint32_t>(address) &
                                                        regs::BAR_MEMORY_ADDRESS});
                config_.define_u32(offset + 4, {.writable = static_cast<uint32_t>(address >> 32)});
                break;
        }
    }
}

void Function::build_rom() {
    const uint64_t size = rom().size();
    MIMIC_CHECK(size <= kMaxRom);
    if (size == 0) return;
    const uint32_t address = ~(static_cast<uint32_t>(std::bit_ceil(size)) - 1);
    config_.define_u32(regs::EXPANSION_ROM, {.writable = (address & regs::EXPANSION_ROM_ADDRESS) |
                                                         regs::EXPANSION_ROM_ENABLE});
}

// --- Access ----------------------------------------------------------------------------------

void Function::config_read(uint32_t offset, std::span<uint8_t> data) {
    ++counters_.config_reads;
    Tracer* const tracer = tracer_;
    const int64_t begun = tracer != nullptr ? tracer->ticks() : 0;
    const bool faulted = faults_ && faults_->read(FunctionFaults::kConfigSpace, offset, data);
    if (!faulted) config_.read(offset, data);
    if (tracer == nullptr || tracer != tracer_) return;
    trace({.kind = TraceKind::kConfigRead,
           .flags = faulted ? kTraceFaulted : uint8_t{0},
           .address = offset,
           .size = data.size(),
           .data = data,
           .begun = begun});
}

void Function::config_write(uint32_t offset, std::span<const uint8_t> data) {
    check_thread();
    ++counters_.config_writes;
    const bool faulted = faults_ && faults_->write(FunctionFaults::kConfigSpace, offset, data);
    Tracer* const tracer = tracer_;
    uint64_t number = 0;
    if (tracer != nullptr) {
        number = trace({.kind = TraceKind::kConfigWrite,
                        .flags = faulted ? kTraceFaulted : uint8_t{0},
                        .address = offset,
                        .size = data.size(),
                        .data = data});
    }
    if (!faulted) config_.write(offset, data);
    traced_write(tracer, number);
}

bool Function::bus_master_enabled() const {
    return (config_.u32(regs::COMMAND) & regs::COMMAND_BUS_MASTER) != 0;
}

bool Function::bar_accessible(unsigned bar) const {
    if (!in_d0_ || bar >= kBarCount || options_.bars[bar].type == BarType::kNone) return false;
    if (options_.virtual_function) {
        return physfn_ != nullptr && physfn_->sriov_->memory_enabled() && physfn_->in_d0();
    }
    const uint32_t enable = options_.bars[bar].type == BarType::kIo ? regs::COMMAND_IO_SPACE
                                                                    : regs::COMMAND_MEMORY_SPACE;
    return (config_.u32(regs::COMMAND) & enable) != 0;
}

uint64_t Function::bar_address(unsigned bar) const {
    if (physfn_ != nullptr) return physfn_->sriov_->vf_bar_address(*this, bar);
    const uint32_t offset = regs::BAR0 + 4 * bar;
    const uint64_t low = config_.u32(offset) & regs::BAR_MEMORY_ADDRESS;
    if (options_.bars[bar].type != BarType::kMemory64) return low;
    return low | (uint64_t{config_.u32(offset + 4)} << 32);
}

size_t Function::heap_bytes() const {
    return config_.heap_bytes() + (msix_table_ ? msix_table_->heap_bytes() : 0);
}

// --- Slot ------------------------------------------------------------------------------------

void Function::attach(Slot& slot) {
    MIMIC_CHECK(slot_ == nullptr);
    thread_.bind();
    build_rom();
    slot_ = &slot;
    pin_ = false;
    notify({.kind = FunctionEventKind::kAttach});
    update_intx();
    on_attach();
}

void Function::detach() {
    if (slot_ == nullptr) return;
    reset(ResetKind::kDetach);
    if (dma_) dma_->drop_answers();  // if this is the end of a function that is being reset
    notify({.kind = FunctionEventKind::kDetach});
    slot_ = nullptr;
}

// --- Resets and power states -----------------------------------------------------------------

void Function::reset(ResetKind kind) {
    check_thread();
    if (resetting_) return;
    resetting_ = true;
    if (dma_) dma_->drop_answers();
    notify({.kind = FunctionEventKind::kReset, .value = static_cast<uint64_t>(kind)});
    // VFs end with their PF's configuration, before it is gone (9.2.2).
    if (sriov_) sriov_->disable();
    const bool keep_sticky = kind == ResetKind::kFunctionLevel || kind == ResetKind::kPower;
    config_.reset(keep_sticky ? ConfigReset::kKeepSticky : ConfigReset::kAll);
    if (sriov_) sriov_->registers_reset();
    in_d0_ = true;
    intx_level_ = false;
    if (msix_table_) msix_table_->reset();
    update_intx();
    on_reset(kind);
    resetting_ = false;
}

void Function::bind_pcie(uint32_t cap, bool flr) {
    pcie_cap_ = cap;
    if (!flr) return;
    // The bit always reads zero, so only the written value tells (7.5.3.4, 6.6.2).
    config_.on_write(cap + regs::DEVCTL, 2, [this](const ConfigWrite& write) {
        if ((write.written & regs::DEVCTL_INITIATE_FLR) != 0) reset(ResetKind::kFunctionLevel);
    });
}

void Function::bind_power_management(uint32_t cap) {
    pm_cap_ = cap;
    config_.on_write(cap + regs::PMCSR, 2,
                     [this](const ConfigWrite& write) { power_state_written(write); });
}

void Function::power_state_written(const ConfigWrite& write) {
    const uint32_t from = write.old_value & regs::PMCSR_POWER_STATE;
    const uint32_t to = write.new_value & regs::PMCSR_POWER_STATE;
    if (from == to) return;

    // From any state software may go to D0 or deeper, to states that exist; else the write is
    // dropped (PCI PM 1.2, 3.2.4 and 5.6).
    const uint32_t pmc = config_.u16(pm_cap_ + regs::PMC);
    const bool exists = (to != 1 || (pmc & regs::PMC_D1_SUPPORT) != 0) &&
                        (to != 2 || (pmc & regs::PMC_D2_SUPPORT) != 0);
    if (!exists || (to != 0 && to < from)) {
        config_.set_bits(pm_cap_ + regs::PMCSR, 2, regs::PMCSR_POWER_STATE, from);
        return;
    }
    in_d0_ = to == 0;
    notify({.kind = FunctionEventKind::kPower, .value = to});
    constexpr uint32_t kD3Hot = 3;
    if (from == kD3Hot && (write.new_value & regs::PMCSR_NO_SOFT_RESET) == 0) {
        reset(ResetKind::kPower);
        return;
    }
    interrupt_control_written();
}

}  // namespace mimic::pci
