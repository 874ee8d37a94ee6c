// SPDX-License-Identifier: Apache-2.0
#include "pci/capabilities/sriov_registers.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "pci/capabilities/placing.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {

using namespace regs;

namespace {

constexpr uint32_t kPagesSupported = 0x553;  // 4 and 8 KiB, 64 and 256 KiB, 1 and 4 MiB: all that
                                             // 9.3.3.12 demands
constexpr uint64_t kPageUnit = 4096;

}  // namespace

Result<uint32_t> SriovRegisters::place(ConfigSpace& config, const FunctionOptions& owner,
                                       const SriovOptions& options) {
    if (options.total_vfs == 0 || options.total_vfs > 0xff00 || options.stride == 0 ||
        options.first_offset == 0 || options.vf_device_id == 0xffff) {
        return fail(std::errc::invalid_argument,
                    "{}: SR-IOV with {} VFs of device id {:#06x}, offset {}, stride {}", owner.name,
                    options.total_vfs, options.vf_device_id, options.first_offset, options.stride);
    }
    const uint32_t first = std::max<uint32_t>(options.first_offset,
                                              first_offset_without_ari(options));
    const uint32_t last = first + (options.total_vfs - 1U) * options.stride;
    if (last > 0xffff) {
        return fail(std::errc::invalid_argument, "{}: its last VF would be {} functions away",
                    owner.name, last);
    }
    FunctionOptions vf = owner;
    vf.bars = options.vf_bars;
    MIMIC_TRY(validate(vf));
    for (const Bar& bar : options.vf_bars) {
        if (bar.type == BarType::kIo) {
            return fail(std::errc::invalid_argument, "{}: VFs have no I/O BARs", owner.name);
        }
    }
    return place_single_extended(config, owner.name, EXT_CAP_ID_SRIOV, 1, SRIOV_SIZE, options.at);
}

SriovRegisters::SriovRegisters(ConfigSpace& config, uint32_t cap, const SriovOptions& options,
                               std::function<void(bool)> enable_changed)
    : config_(config), cap_(cap), options_(options), enable_changed_(std::move(enable_changed)) {
    if ((options_.supported_pages & 1) == 0) options_.supported_pages = kPagesSupported;
    config.define_u32(cap + SRIOV_CAPABILITIES, {.reset = SRIOV_CAPABILITIES_ARI_PRESERVED});
    // ARI Capable Hierarchy is kept by FLR (9.3.3.3.5, with ARI_PRESERVED set).
    config.define_u16(cap + SRIOV_CONTROL,
                      {.writable = SRIOV_CONTROL_VF_ENABLE | SRIOV_CONTROL_VF_MEMORY_SPACE |
                                   (options.lowest_pf ? SRIOV_CONTROL_ARI_HIERARCHY : 0),
                       .sticky = SRIOV_CONTROL_ARI_HIERARCHY});
    config.define_u16(cap + SRIOV_INITIAL_VFS, {.reset = options.total_vfs});
    config.define_u16(cap + SRIOV_TOTAL_VFS, {.reset = options.total_vfs});
    config.define_u16(cap + SRIOV_NUM_VFS, {.writable = 0xffff});
    config.define_u16(cap + SRIOV_VF_DEVICE_ID, {.reset = options.vf_device_id});
    config.define_u32(cap + SRIOV_SUPPORTED_PAGE_SIZES, {.reset = options_.supported_pages});
    config.define_u32(cap + SRIOV_SYSTEM_PAGE_SIZE, {.reset = 1, .writable = ~0U});
    for (unsigned i = 0; i < kBarCount; ++i) {
        const Bar& bar = options.vf_bars[i];
        if (bar.type == BarType::kNone) continue;
        const uint32_t at = cap + SRIOV_VF_BAR0 + 4 * i;
        const bool wide = bar.type == BarType::kMemory64;
        config.define_u32(at, {.reset = (wide ? BAR_MEMORY_TYPE_64 : 0) |
                                        (bar.prefetchable ? BAR_PREFETCHABLE : 0),
                               .writable = BAR_MEMORY_ADDRESS});
        if (wide) config.define_u32(at + 4, {.writable = ~0U});
        config.on_write(at, 4, [this](const ConfigWrite&) { align_bars(); });
        if (wide) config.on_write(at + 4, 4, [this](const ConfigWrite&) { align_bars(); });
    }
    // Their values depend on ARI Capable Hierarchy, which a reset may keep: update_routing_ids().
    config.define_u16(cap + SRIOV_FIRST_VF_OFFSET, {});
    config.define_u16(cap + SRIOV_VF_STRIDE, {.reset = options.stride});
    update_routing_ids();
    config.on_write(cap + SRIOV_NUM_VFS, 2,
                    [this](const ConfigWrite& write) { num_vfs_written(write); });
    config.on_write(cap + SRIOV_SYSTEM_PAGE_SIZE, 4,
                    [this](const ConfigWrite& write) { page_size_written(write); });
    config.on_write(cap + SRIOV_CONTROL, 2,
                    [this](const ConfigWrite& write) { control_written(write); });
}

// --- Registers -------------------------------------------------------------------------------

uint32_t SriovRegisters::num_vfs() const {
    return config_.u16(cap_ + SRIOV_NUM_VFS);
}

void SriovRegisters::clear_enables() {
    config_.set_bits(cap_ + SRIOV_CONTROL, 2,
                     SRIOV_CONTROL_VF_ENABLE | SRIOV_CONTROL_VF_MEMORY_SPACE, 0);
}

bool SriovRegisters::enabled() const {
    return (config_.u16(cap_ + SRIOV_CONTROL) & SRIOV_CONTROL_VF_ENABLE) != 0;
}

bool SriovRegisters::memory_enabled() const {
    constexpr uint32_t kBoth = SRIOV_CONTROL_VF_ENABLE | SRIOV_CONTROL_VF_MEMORY_SPACE;
    return (config_.u16(cap_ + SRIOV_CONTROL) & kBoth) == kBoth;
}

void SriovRegisters::num_vfs_written(const ConfigWrite& write) {
    if (enabled() || write.new_value > options_.total_vfs) {
        config_.set_u16(cap_ + SRIOV_NUM_VFS, static_cast<uint16_t>(write.old_value));
    }
}

void SriovRegisters::page_size_written(const ConfigWrite& write) {
    const bool is_one_of_ours = std::has_single_bit(write.new_value) &&
                                (write.new_value & options_.supported_pages) != 0;
    if (enabled() || !is_one_of_ours) {
        config_.set_u32(cap_ + SRIOV_SYSTEM_PAGE_SIZE, write.old_value);
    }
    align_bars();
}

void SriovRegisters::control_written(const ConfigWrite& write) {
    if (((write.old_value ^ write.new_value) & SRIOV_CONTROL_ARI_HIERARCHY) != 0) {
        if ((write.old_value & SRIOV_CONTROL_VF_ENABLE) != 0) {  // not to be changed then
            config_.set_bits(cap_ + SRIOV_CONTROL, 2, SRIOV_CONTROL_ARI_HIERARCHY, write.old_value);
        }
        update_routing_ids();
    }
    const bool was = (write.old_value & SRIOV_CONTROL_VF_ENABLE) != 0;
    const bool is = (write.new_value & SRIOV_CONTROL_VF_ENABLE) != 0;
    if (is != was) enable_changed_(is);
}

void SriovRegisters::update_routing_ids() {
    // Without ARI, devices have eight functions and one device number; VFs then have the next bus
    // for themselves, where all 256 numbers are theirs (9.2.1.2). All PFs of a device shift theirs
    // by the same distance, so VFs that do not collide in one layout do not in the other. What was
    // read from a real device has its own two offsets.
    const bool ari = (config_.u16(cap_ + SRIOV_CONTROL) & SRIOV_CONTROL_ARI_HIERARCHY) != 0;
    const bool is_shifted = options_.lowest_pf && !ari;
    const uint32_t first = is_shifted ? first_offset_without_ari(options_) : options_.first_offset;
    config_.set_u16(cap_ + SRIOV_FIRST_VF_OFFSET, static_cast<uint16_t>(first));
}

// A VF BAR is aligned to its size or the system page size, whichever is more (9.3.3.14); sizing
// shows the size of one VF's.
void SriovRegisters::align_bars() {
    for (unsigned i = 0; i < kBarCount; ++i) {
        if (options_.vf_bars[i].type == BarType::kNone) continue;
        const uint32_t at = cap_ + SRIOV_VF_BAR0 + 4 * i;
        const uint64_t below = aperture(i) - 1;
        config_.set_bits(at, 4, static_cast<uint32_t>(below) & BAR_MEMORY_ADDRESS, 0);
        if (options_.vf_bars[i].type == BarType::kMemory64) {
            config_.set_bits(at + 4, 4, static_cast<uint32_t>(below >> 32), 0);
        }
    }
}

// --- Routing ids and addresses ---------------------------------------------------------------

uint32_t SriovRegisters::routing_id_offset(uint32_t index) const {
    return config_.u16(cap_ + SRIOV_FIRST_VF_OFFSET) + index * options_.stride;
}

std::optional<uint32_t> SriovRegisters::index_at(uint32_t offset) const {
    const uint32_t first = config_.u16(cap_ + SRIOV_FIRST_VF_OFFSET);
    const uint32_t stride = options_.stride;
    if (offset < first || (offset - first) % stride != 0) return std::nullopt;
    return (offset - first) / stride;
}

uint64_t SriovRegisters::aperture(unsigned bar) const {
    const uint64_t page = kPageUnit * config_.u32(cap_ + SRIOV_SYSTEM_PAGE_SIZE);
    return std::max(options_.vf_bars[bar].size, page);
}

uint64_t SriovRegisters::bar_base(unsigned bar) const {
    const uint32_t at = cap_ + SRIOV_VF_BAR0 + 4 * bar;
    const uint64_t low = config_.u32(at) & BAR_MEMORY_ADDRESS;
    if (options_.vf_bars[bar].type != BarType::kMemory64) return low;
    return low | (uint64_t{config_.u32(at + 4)} << 32);
}

uint64_t SriovRegisters::bar_address(uint32_t index, unsigned bar) const {
    return bar_base(bar) + index * aperture(bar);
}

std::optional<SriovRegisters::Place> SriovRegisters::decode(unsigned bar, uint64_t address,
                                                            uint32_t vfs) const {
    if (options_.vf_bars[bar].type == BarType::kNone) return std::nullopt;
    const uint64_t base = bar_base(bar);
    if (address < base) return std::nullopt;
    const uint64_t index = (address - base) / aperture(bar);
    if (index >= vfs) return std::nullopt;
    const uint64_t start = base + index * aperture(bar);
    // Behind a BAR that is smaller than a page nobody answers.
    if (address - start >= options_.vf_bars[bar].size) return std::nullopt;
    return Place{static_cast<uint32_t>(index), bar, start};
}

}  // namespace mimic::pci
