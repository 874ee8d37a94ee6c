// SPDX-License-Identifier: Apache-2.0
// Accesses, power states and resets of a function. Interrupts are in function_interrupts.cpp.
// PCIe 6.0, 5.3.1 (device power states), 6.6 (resets).
#include "pci/function/function.h"

#include <bit>
#include <utility>

#include "base/check.h"
#include "pci/config/pci_regs.h"
#include "pci/function/function_dma.h"
#include "pci/function/sriov.h"

namespace mimic::pci {
namespace {

constexpr uint64_t kMaxRom = 16ULL << 20;  // PCI 3.0, 6.2.5.2

}  // namespace

Function::Function(FunctionOptions options)
    : options_(std::move(options)), config_(options_.config_size) {
    MIMIC_CHECK(validate(options_).has_value());
    lay_header(config_, options_);
    config_.on_write(regs::COMMAND, 2, [this](const ConfigWrite&) { interrupt_control_written(); });
}

Function::~Function() = default;

std::unique_ptr<Function> ModelHooks::make_vf(uint32_t) {
    return nullptr;
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
    if (!faulted) {
        if (config_read_hook_.meets(offset, data.size())) config_read_hook_.call();
        config_.read(offset, data);
    }
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
    if (!faulted) {
        routing_changed();  // for what a hook of the write accesses
        config_.write(offset, data);
        routing_changed();
    }
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
    return config_.heap_bytes() + (msix_ ? sizeof *msix_ + msix_->heap_bytes() : 0) +
           (msi_ ? sizeof *msi_ : 0);
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
    if (dma_) dma_->end();
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
    if (msix_) msix_->reset();
    update_intx();
    routing_changed();
    on_reset(kind);
    resetting_ = false;
}

// --- Capabilities ----------------------------------------------------------------------------

void Function::adopt(const PcieCapability& pcie) {
    pcie_ = pcie;
    if (!pcie_->has_flr()) return;
    // The bit always reads zero, so only the written value tells (7.5.3.4, 6.6.2).
    config_.on_write(pcie_->offset() + regs::DEVCTL, 2, [this](const ConfigWrite& write) {
        if ((write.written & regs::DEVCTL_INITIATE_FLR) != 0) reset(ResetKind::kFunctionLevel);
    });
}

void Function::adopt(const AerCapability& aer) {
    aer_ = aer;
}

void Function::adopt(const PowerManagement& power) {
    power_ = power;
    config_.on_write(power_->offset() + regs::PMCSR, 2,
                     [this](const ConfigWrite& write) { power_state_written(write); });
}

void Function::become_pf(uint32_t cap, const SriovOptions& options) {
    sriov_ = std::make_unique<Sriov>(
        *this, cap, options,
        Sriov::Hooks{.make_vf = [this](uint32_t index) { return make_vf(index); },
                     .vfs_changed = [this](uint32_t enabled) { on_vfs_changed(enabled); }});
}

void Function::power_state_written(const ConfigWrite& write) {
    const auto step = power_->written(write);
    if (!step) return;
    in_d0_ = step->to == 0;
    notify({.kind = FunctionEventKind::kPower, .value = step->to});
    if (step->resets) return reset(ResetKind::kPower);
    interrupt_control_written();
}

}  // namespace mimic::pci
