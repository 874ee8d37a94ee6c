// SPDX-License-Identifier: Apache-2.0
#include "devices/vmd/vmd.h"

#include <bit>
#include <utility>

#include "pci/config/pci_regs.h"
#include "pci/function/capabilities.h"

namespace mimic::vmd {
namespace {

// What the driver reads and writes in its own part of configuration space. VMCAP bit 0 would
// restrict the buses; VMCONFIG chooses them.
constexpr uint32_t kVmcap = 0x40;
constexpr uint32_t kVmconfig = 0x44;
constexpr uint32_t kMsixCapability = 0x80;
constexpr uint32_t kPcieCapability = 0x90;
constexpr uint32_t kPbaOffset = 0x1000;
constexpr uint64_t kBusBytes = 1ull << 20;

bool in_range(uint64_t value, uint64_t least, uint64_t most) {
    return std::has_single_bit(value) && value >= least && value <= most;
}

}  // namespace

Result<std::unique_ptr<Vmd>> Vmd::create(const Options& options) {
    if (!in_range(options.config_bar_bytes, kBusBytes, 256 * kBusBytes) ||
        !in_range(options.memory32_bar_bytes, 1u << 20, 1u << 30) ||
        !in_range(options.memory64_bar_bytes, 1u << 20, 1ull << 50)) {
        return fail(std::errc::invalid_argument,
                    "vmd {}: BARs of {:#x}, {:#x} and {:#x} bytes: want powers of two",
                    options.name, options.config_bar_bytes, options.memory32_bar_bytes,
                    options.memory64_bar_bytes);
    }
    MIMIC_TRY(validate(function_options(options)));
    std::unique_ptr<Vmd> device(new Vmd(options));
    if (Status status = device->add_capabilities(options); !status) {
        return tl::unexpected<Error>(
            std::move(status).error().with_context(fmt::format("vmd {}", options.name)));
    }
    return device;
}

pci::FunctionOptions Vmd::function_options(const Options& options) {
    pci::FunctionOptions result;
    result.name = options.name;
    result.vendor_id = kVendorId;
    result.device_id = kDeviceId;
    result.class_code = kClassCode;
    // Above 4 GiB there is room for 256 buses; the 32-bit window must lie where 32-bit BARs reach.
    result.bars[kConfigBar] = {
        .type = pci::BarType::kMemory64, .prefetchable = true, .size = options.config_bar_bytes};
    result.bars[kMemory32Bar] = {.type = pci::BarType::kMemory32,
                                 .size = options.memory32_bar_bytes};
    result.bars[kMemory64Bar] = {
        .type = pci::BarType::kMemory64, .prefetchable = true, .size = options.memory64_bar_bytes};
    return result;
}

Vmd::Vmd(const Options& options)
    : Function(function_options(options)),
      fabric_(static_cast<uint32_t>(options.config_bar_bytes / kBusBytes)) {}

Vmd::~Vmd() {
    fabric_.detach();
}

Status Vmd::add_capabilities(const Options& options) {
    MIMIC_TRY(config().reserve(kVmcap, 8));
    config().define_u32(kVmcap, {});
    config().define_u32(kVmconfig, {.writable = ~0U});
    pci::CapabilityBuilder builder(*this);
    // D3hot must not reset a domain of devices.
    MIMIC_TRY(builder.add_power_management({.no_soft_reset = true}));
    MIMIC_TRY(builder.add_msix({.vectors = kVectors,
                                .table_bar = kMemory64Bar,
                                .table_offset = 0,
                                .pba_bar = kMemory64Bar,
                                .pba_offset = kPbaOffset,
                                .at = kMsixCapability}));
    MIMIC_TRY(builder.add_pcie({.max_speed = options.link_speed,
                                .max_width = options.link_width,
                                .flr = false,
                                .at = kPcieCapability}));
    return {};
}

bool Vmd::is_window(uint64_t address) const {
    for (const unsigned bar : {kMemory32Bar, kMemory64Bar}) {
        const uint64_t start = bar_address(bar);
        if (start != 0 && address >= start && address - start < bars()[bar].size) return true;
    }
    return false;
}

void Vmd::on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
    if (bar == kConfigBar) return fabric_.config_read(offset, data);
    fabric_.memory_read(bar_address(bar) + offset, data);
}

void Vmd::on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    if (bar == kConfigBar) return fabric_.config_write(offset, data);
    fabric_.memory_write(bar_address(bar) + offset, data);
}

void Vmd::on_attach() {
    fabric_.attach(*this);
}

void Vmd::on_reset(pci::ResetKind kind) {
    if (kind == pci::ResetKind::kDetach) return fabric_.detach();
    if (fabric_.attached()) fabric_.reset();
}

}  // namespace mimic::vmd
