// SPDX-License-Identifier: Apache-2.0
#include "pci/fabric/port.h"

#include <algorithm>
#include <utility>

#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {
namespace {

constexpr uint32_t kBridgeClass = 0x060400;  // PCI-to-PCI bridge, normal decode

// Errors that ports detect beyond those of endpoints (7.8.4.2).
constexpr uint32_t kPortErrors = kEndpointUncorrectableErrors | regs::AER_SURPRISE_DOWN |
                                 regs::AER_ACS_VIOLATION | regs::AER_MC_BLOCKED_TLP |
                                 regs::AER_ATOMICOP_EGRESS_BLOCKED | regs::AER_TLP_PREFIX_BLOCKED;

FunctionOptions function_options(const PortOptions& options) {
    FunctionOptions result;
    if (!options.image.empty()) {
        result = image_header(options.image);
        result.name = options.name;
        result.multifunction = options.multifunction;
        return result;
    }
    result.name = options.name;
    result.vendor_id = options.vendor_id;
    result.device_id = options.device_id;
    result.class_code = kBridgeClass;
    result.revision = options.revision;
    result.header = HeaderType::kBridge;
    result.multifunction = options.multifunction;
    return result;
}

}  // namespace

Result<std::unique_ptr<Port>> Port::create(const PortOptions& options) {
    if (options.type != PciePortType::kRootPort && options.type != PciePortType::kUpstreamPort &&
        options.type != PciePortType::kDownstreamPort) {
        return fail(std::errc::invalid_argument, "{}: not a port", options.name);
    }
    if (options.slot != 0 && options.type == PciePortType::kUpstreamPort) {
        return fail(std::errc::invalid_argument, "{}: an upstream port has no slot", options.name);
    }
    if (options.hot_plug && options.slot == 0) {
        return fail(std::errc::invalid_argument, "{}: hot-plug needs a slot number", options.name);
    }
    MIMIC_TRY(validate(function_options(options)));
    if (function_options(options).header != HeaderType::kBridge) {
        return fail(std::errc::invalid_argument, "{}: its image is not that of a bridge",
                    options.name);
    }
    std::unique_ptr<Port> bridge(new Port(options));
    MIMIC_TRY(options.image.empty() ? bridge->add_capabilities(options)
                                    : bridge->lay_capabilities(options));
    bridge->install_hooks();
    return bridge;
}

Port::Port(const PortOptions& options)
    : Function(function_options(options)),
      type_(options.type),
      slot_(options.slot != 0),
      hot_plug_(options.hot_plug) {}

Status Port::add_capabilities(const PortOptions& options) {
    CapabilityBuilder builder(*this);
    // A port in D3hot would cut off what is below it; it keeps its state.
    MIMIC_TRY(builder.add_power_management({.no_soft_reset = true}));
    MIMIC_TRY(builder.add_msi({.vectors = 1, .per_vector_masking = false}));
    MIMIC_ASSIGN_OR_RETURN(pcie_,
                           builder.add_pcie({.type = options.type,
                                             .max_speed = options.link_speed,
                                             .max_width = options.link_width,
                                             .flr = false,
                                             .ari_forwarding = options.ari && !is_upstream_port(),
                                             .slot = slot_,
                                             .slot_number = options.slot,
                                             .hot_plug = hot_plug_}));
    MIMIC_ASSIGN_OR_RETURN(
        aer_, builder.add_aer(
                  {.uncorrectable = kPortErrors, .root = options.type == PciePortType::kRootPort}));
    if (options.acs && !is_upstream_port()) MIMIC_TRY(builder.add_acs());
    return {};
}

Status Port::lay_capabilities(const PortOptions& options) {
    ImageOptions layout{.image = options.image};
    layout.port = PcieOptions{.type = options.type,
                              .max_speed = options.link_speed,
                              .max_width = options.link_width,
                              .ari_forwarding = options.ari && !is_upstream_port(),
                              .slot = slot_,
                              .slot_number = options.slot,
                              .hot_plug = hot_plug_};
    MIMIC_ASSIGN_OR_RETURN(const ImageResult laid, lay_image(*this, layout));
    pcie_ = laid.pcie;
    aer_ = laid.aer;
    return {};
}

// A port that was read from elsewhere may have MSI-X, or no messages at all; then nobody hears.
void Port::interrupt() {
    if (msi_vectors() > 0) raise_msi(0);
}

Function::Habits Port::habits() const {
    return {.vectors = hot_plug_ || reports_errors() ? std::min(msi_vectors(), 1U) : 0,
            .dma = false};
}

void Port::install_hooks() {
    using namespace regs;
    const auto windows = [this](const ConfigWrite&) { read_windows(); };
    config().on_write(PRIMARY_BUS, 4, [this](const ConfigWrite&) { read_bus_numbers(); });
    for (const uint32_t at :
         {MEMORY_BASE, PREFETCHABLE_BASE, PREFETCHABLE_BASE_UPPER, PREFETCHABLE_LIMIT_UPPER}) {
        config().on_write(at, 4, windows);
    }
    config().on_write(BRIDGE_CONTROL, 2, [this](const ConfigWrite& write) {
        const uint32_t risen = write.new_value & ~write.old_value;
        if ((risen & BRIDGE_CONTROL_BUS_RESET) != 0 && observer_ != nullptr) {
            observer_->on_secondary_reset(*this);
        }
    });
    config().on_write(pcie_ + LNKCTL, 2, [this](const ConfigWrite& write) {
        const uint32_t changed = write.new_value ^ write.old_value;
        if ((changed & LNKCTL_LINK_DISABLE) != 0 && observer_ != nullptr) {
            observer_->on_link_control(*this);
        }
    });
    if (hot_plug_) {
        config().on_write(pcie_ + SLTCTL, 4,
                          [this](const ConfigWrite&) { update_hot_plug_interrupt(); });
    }
    if (type_ == PciePortType::kRootPort && aer_ != 0) {
        const auto errors = [this](const ConfigWrite&) { update_error_interrupt(); };
        config().on_write(aer_ + AER_ROOT_COMMAND, 4, errors);
        config().on_write(aer_ + AER_ROOT_STATUS, 4, errors);
    }
}

void Port::on_read(unsigned, uint64_t, std::span<uint8_t> data) {
    std::fill(data.begin(), data.end(), uint8_t{0xff});  // there are no BARs
}

void Port::on_write(unsigned, uint64_t, std::span<const uint8_t>) {}

void Port::on_reset(ResetKind) {
    read_bus_numbers();
    read_windows();
    hot_plug_interrupt_ = error_interrupt_ = false;
    // What is in the slot does not change by a reset of the port.
    using namespace regs;
    if (!is_upstream_port()) {
        config().set_bits(pcie_ + LNKSTA, 2, LNKSTA_DLL_ACTIVE, link_active_ ? ~0U : 0);
    }
    if (slot_) config().set_bits(pcie_ + SLTSTA, 2, SLTSTA_PRESENCE, present_ ? ~0U : 0);
}

// --- Bus numbers and windows -----------------------------------------------------------------

void Port::set_bus_numbers(uint8_t primary, uint8_t secondary, uint8_t subordinate) {
    config().set_u8(regs::PRIMARY_BUS, primary);
    config().set_u8(regs::SECONDARY_BUS, secondary);
    config().set_u8(regs::SUBORDINATE_BUS, subordinate);
    read_bus_numbers();
    routing_changed();
}

void Port::read_bus_numbers() {
    secondary_ = config().u8(regs::SECONDARY_BUS);
    subordinate_ = config().u8(regs::SUBORDINATE_BUS);
}

void Port::read_windows() {
    using namespace regs;
    const auto bits = [this](uint32_t offset) {
        return uint64_t{config().u16(offset) & MEMORY_WINDOW_ADDRESS} << 16;
    };
    constexpr uint64_t kGranule = 0xfffff;  // 1 MiB
    memory_ = {bits(MEMORY_BASE), bits(MEMORY_LIMIT) | kGranule};
    prefetchable_ = {
        bits(PREFETCHABLE_BASE) | (uint64_t{config().u32(PREFETCHABLE_BASE_UPPER)} << 32),
        bits(PREFETCHABLE_LIMIT) | kGranule |
            (uint64_t{config().u32(PREFETCHABLE_LIMIT_UPPER)} << 32)};
}

bool Port::forwards_memory(uint64_t address) const {
    if (!in_d0() || (config().u32(regs::COMMAND) & regs::COMMAND_MEMORY_SPACE) == 0) return false;
    return memory_.holds(address) || prefetchable_.holds(address);
}

// --- Controls --------------------------------------------------------------------------------

bool Port::ari_forwarding() const {
    return (config().u16(pcie_ + regs::DEVCTL2) & regs::DEVCTL2_ARI_FORWARDING) != 0;
}

bool Port::forward_error(ErrorMessage message) {
    using namespace regs;
    const bool forwards = (config().u16(BRIDGE_CONTROL) & BRIDGE_CONTROL_SERR) != 0;
    if (message == ErrorMessage::kCorrectable) return forwards;
    config().set_bits(SECONDARY_STATUS, 2, STATUS_SIGNALED_SYSTEM_ERROR, ~0U);  // "Received" there
    if (!forwards) return false;
    if ((config().u32(COMMAND) & COMMAND_SERR_ENABLE) != 0) {
        config().set_bits(STATUS, 2, STATUS_SIGNALED_SYSTEM_ERROR, ~0U);
        return true;
    }
    const uint32_t enable = message == ErrorMessage::kFatal ? DEVSTA_FATAL : DEVSTA_NON_FATAL;
    return (config().u16(pcie_ + DEVCTL) & enable) != 0;
}

bool Port::secondary_reset_asserted() const {
    return (config().u16(regs::BRIDGE_CONTROL) & regs::BRIDGE_CONTROL_BUS_RESET) != 0;
}

bool Port::link_disabled() const {
    return !is_upstream_port() &&
           (config().u16(pcie_ + regs::LNKCTL) & regs::LNKCTL_LINK_DISABLE) != 0;
}

// --- Slot and link ---------------------------------------------------------------------------

void Port::set_presence(bool present) {
    if (present == present_) return;
    present_ = present;
    if (!slot_) return;
    config().set_bits(pcie_ + regs::SLTSTA, 2, regs::SLTSTA_PRESENCE, present ? ~0U : 0);
    set_slot_event(regs::SLTSTA_PRESENCE_CHANGED);
}

void Port::set_link_active(bool active) {
    if (active == link_active_) return;
    link_active_ = active;
    config().set_bits(pcie_ + regs::LNKSTA, 2, regs::LNKSTA_DLL_ACTIVE, active ? ~0U : 0);
    set_slot_event(regs::SLTSTA_DLL_STATE_CHANGED);
}

void Port::set_slot_event(uint32_t event) {
    if (!hot_plug_) return;
    config().set_bits(pcie_ + regs::SLTSTA, 2, event, event);
    update_hot_plug_interrupt();
}

void Port::update_hot_plug_interrupt() {
    using namespace regs;
    const uint32_t control = config().u16(pcie_ + SLTCTL);
    const uint32_t status = config().u16(pcie_ + SLTSTA);
    uint32_t wanted = control & SLTCTL_EVENTS;  // these enables have the numbers of their events
    if ((control & SLTCTL_DLL_STATE_CHANGED) != 0) wanted |= SLTSTA_DLL_STATE_CHANGED;
    const bool level = (control & SLTCTL_HOT_PLUG_INTERRUPT) != 0 && (status & wanted) != 0;
    const bool risen = level && !hot_plug_interrupt_;
    hot_plug_interrupt_ = level;
    if (risen) interrupt();
}

// --- Errors ----------------------------------------------------------------------------------

bool Port::receive_error(ErrorMessage message, uint16_t source) {
    using namespace regs;
    if (!reports_errors()) return false;
    const uint32_t before = config().u32(aer_ + AER_ROOT_STATUS);
    const uint32_t ids = config().u32(aer_ + AER_ROOT_SOURCE);
    uint32_t status = before;
    if (message == ErrorMessage::kCorrectable) {
        const bool again = (before & AER_ROOT_STATUS_CORRECTABLE) != 0;
        status |= again ? AER_ROOT_STATUS_MULTIPLE_CORRECTABLE : AER_ROOT_STATUS_CORRECTABLE;
        if (!again) config().set_u32(aer_ + AER_ROOT_SOURCE, (ids & 0xffff'0000) | source);
    } else {
        const bool fatal = message == ErrorMessage::kFatal;
        const bool again = (before & AER_ROOT_STATUS_UNCORRECTABLE) != 0;
        status |= fatal ? AER_ROOT_STATUS_FATAL : AER_ROOT_STATUS_NON_FATAL;
        if (again) {
            status |= AER_ROOT_STATUS_MULTIPLE_UNCORRECTABLE;
        } else {
            status |= AER_ROOT_STATUS_UNCORRECTABLE | (fatal ? AER_ROOT_STATUS_FIRST_FATAL : 0);
            config().set_u32(aer_ + AER_ROOT_SOURCE,
                             (ids & 0x0000'ffff) | (uint32_t{source} << 16));
        }
    }
    config().set_u32(aer_ + AER_ROOT_STATUS, status);
    update_error_interrupt();
    return true;
}

void Port::update_error_interrupt() {
    using namespace regs;
    const uint32_t command = config().u32(aer_ + AER_ROOT_COMMAND);
    const uint32_t status = config().u32(aer_ + AER_ROOT_STATUS);
    const uint32_t pending = ((status & AER_ROOT_STATUS_CORRECTABLE) != 0 ? 1U : 0U) |
                             ((status & AER_ROOT_STATUS_NON_FATAL) != 0 ? 2U : 0U) |
                             ((status & AER_ROOT_STATUS_FATAL) != 0 ? 4U : 0U);
    const bool level = (command & pending) != 0;
    const bool risen = level && !error_interrupt_;
    error_interrupt_ = level;
    if (risen) interrupt();
}

}  // namespace mimic::pci
