// SPDX-License-Identifier: Apache-2.0
// Layouts of power management, PCI Express, AER, serial number and vendor-specific capabilities;
// MSI and MSI-X are in capability_interrupts.cpp. PCIe 6.0, 7.5.2, 7.5.3, 7.8.4, 7.9.3 to 7.9.5.
#include "pci/function/capabilities.h"

#include <algorithm>
#include <bit>

namespace mimic::pci {
namespace {

// Defines body.size() bytes at `offset`; bits of `writable`, as far as it reaches, are RW.
void define_body(ConfigSpace& config, uint32_t offset, std::span<const uint8_t> body,
                 std::span<const uint8_t> writable) {
    for (size_t i = 0; i < body.size(); ++i) {
        const uint32_t mask = i < writable.size() ? writable[i] : uint32_t{0};
        config.define_u8(offset + static_cast<uint32_t>(i), {.reset = body[i], .writable = mask});
    }
}

bool is_link_width(uint32_t lanes) {
    return lanes == 12 || (lanes <= 32 && std::has_single_bit(lanes));
}

bool is_link_speed(LinkSpeed speed) {
    return speed >= LinkSpeed::kGen1 && speed <= LinkSpeed::kGen6;
}

// Fills in what the options left out and refuses what no link can be.
Result<PcieOptions> checked(PcieOptions options) {
    if (options.speed == LinkSpeed{}) options.speed = options.max_speed;
    if (options.width == 0) options.width = options.max_width;
    if (!is_link_speed(options.max_speed) || !is_link_speed(options.speed) ||
        options.speed > options.max_speed) {
        return fail(std::errc::invalid_argument, "link speed gen{} of gen{}: want gen1..gen6",
                    static_cast<unsigned>(options.speed), static_cast<unsigned>(options.max_speed));
    }
    if (!is_link_width(options.max_width) || !is_link_width(options.width) ||
        options.width > options.max_width) {
        return fail(std::errc::invalid_argument,
                    "link width x{} of x{}: want 1, 2, 4, 8, 12, 16, 32", options.width,
                    options.max_width);
    }
    if (!std::has_single_bit(options.max_payload_bytes) || options.max_payload_bytes < 128 ||
        options.max_payload_bytes > 4096) {
        return fail(std::errc::invalid_argument, "max payload {}: want a power of two, 128..4096",
                    options.max_payload_bytes);
    }
    if (options.slot && (options.slot_number == 0 || options.slot_number > 8191)) {
        return fail(std::errc::invalid_argument, "slot number {}: want 1..8191",
                    options.slot_number);
    }
    return options;
}

bool has_link_below(PciePortType type) {
    return type == PciePortType::kRootPort || type == PciePortType::kDownstreamPort;
}

}  // namespace

Status CapabilityBuilder::require_single(uint8_t id) const {
    if (function_.config_.find_capability(id) == 0) return {};
    return fail(std::errc::file_exists, "{}: a second capability {:#04x}", function_.name(), id);
}

Status CapabilityBuilder::require_single_extended(uint16_t id) const {
    if (function_.config_.find_extended_capability(id) == 0) return {};
    return fail(std::errc::file_exists, "{}: a second extended capability {:#06x}",
                function_.name(), id);
}

Result<uint32_t> CapabilityBuilder::add_power_management(const PowerManagementOptions& options) {
    using namespace regs;
    ConfigSpace& config = function_.config_;
    MIMIC_TRY(require_single(CAP_ID_PM));
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           config.add_capability(CAP_ID_PM, PM_SIZE, options.at));
    config.define_u16(cap + PMC, {.reset = PMC_VERSION_1_2 | (options.d1 ? PMC_D1_SUPPORT : 0) |
                                           (options.d2 ? PMC_D2_SUPPORT : 0)});
    config.define_u16(cap + PMCSR, {.reset = options.no_soft_reset ? PMCSR_NO_SOFT_RESET : 0,
                                    .writable = PMCSR_POWER_STATE});
    function_.bind_power_management(cap);
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_pcie(const PcieOptions& wanted) {
    using namespace regs;
    ConfigSpace& config = function_.config_;
    MIMIC_TRY(require_single(CAP_ID_PCIE));
    MIMIC_ASSIGN_OR_RETURN(const PcieOptions options, checked(wanted));
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           config.add_capability(CAP_ID_PCIE, PCIE_SIZE, options.at));
    const auto payload = static_cast<uint32_t>(std::countr_zero(options.max_payload_bytes)) - 7;

    config.define_u16(
        cap + PCIE_CAPABILITIES,
        {.reset = PCIE_CAPABILITIES_VERSION | static_cast<uint32_t>(options.type) << 4 |
                  (options.slot ? PCIE_CAPABILITIES_SLOT : 0)});
    config.define_u32(cap + DEVCAP, {.reset = payload | DEVCAP_ROLE_BASED_ERROR_REPORTING |
                                              (options.extended_tag ? DEVCAP_EXTENDED_TAG : 0) |
                                              (options.flr ? DEVCAP_FLR : 0)});
    // FLR keeps MAX_PAYLOAD_SIZE (6.6.2). INITIATE_FLR always reads zero, so it is in no mask. For
    // VFs the PF's settings hold (9.3.5.4), of the link too (9.3.5.6).
    const bool is_vf = function_.options_.virtual_function;
    if (!is_vf)
        config.define_u16(
            cap + DEVCTL,
            {.reset = DEVCTL_RELAXED_ORDERING | DEVCTL_NO_SNOOP | DEVCTL_MAX_READ_REQUEST_512,
             .writable = DEVCTL_ERROR_REPORTING | DEVCTL_RELAXED_ORDERING |
                         DEVCTL_MAX_PAYLOAD_SIZE | DEVCTL_NO_SNOOP | DEVCTL_MAX_READ_REQUEST_SIZE |
                         (options.extended_tag ? DEVCTL_EXTENDED_TAG : 0),
             .sticky = DEVCTL_MAX_PAYLOAD_SIZE});
    config.define_u16(cap + DEVSTA, {.w1c = DEVSTA_ERRORS});
    // A function that can run at 16 GT/s must complete 10-bit tags (2.2.6.2).
    config.define_u32(
        cap + DEVCAP2,
        {.reset = DEVCAP2_COMPLETION_TIMEOUT_AB | DEVCAP2_COMPLETION_TIMEOUT_DISABLE |
                  (options.max_speed >= LinkSpeed::kGen4 ? DEVCAP2_10_BIT_TAG_COMPLETER : 0) |
                  (options.ari_forwarding ? DEVCAP2_ARI_FORWARDING : 0)});
    config.define_u16(cap + DEVCTL2,
                      {.writable = DEVCTL2_COMPLETION_TIMEOUT | DEVCTL2_COMPLETION_TIMEOUT_DISABLE |
                                   (options.ari_forwarding ? DEVCTL2_ARI_FORWARDING : 0)});
    if (has_link_below(options.type)) define_slot(cap, options);
    if (options.type != PciePortType::kRootComplexIntegratedEndpoint) define_link(cap, options);
    function_.bind_pcie(cap, options.flr);
    return cap;
}

void CapabilityBuilder::define_link(uint32_t cap, const PcieOptions& options) {
    using namespace regs;
    ConfigSpace& config = function_.config_;
    const auto max_speed = static_cast<uint32_t>(options.max_speed);
    const bool below = has_link_below(options.type);
    config.define_u32(cap + LNKCAP,
                      {.reset = max_speed | (options.max_width << 4) | LNKCAP_ASPM_OPTIONALITY |
                                (below ? LNKCAP_DLL_ACTIVE | LNKCAP_SURPRISE_DOWN : 0)});
    // All of it is exempt from FLR (6.6.2). Link Disable and Retrain Link (always reads zero) are
    // reserved in endpoints.
    const uint32_t kControl = LNKCTL_ASPM_CONTROL | LNKCTL_RCB | LNKCTL_COMMON_CLOCK |
                              LNKCTL_EXTENDED_SYNCH | LNKCTL_HW_AUTONOMOUS_WIDTH_DISABLE |
                              (below ? LNKCTL_LINK_DISABLE : 0);
    if (!function_.options_.virtual_function) {
        config.define_u16(cap + LNKCTL, {.writable = kControl, .sticky = kControl});
    }
    // The link does not retrain for an FLR, so a state that the device side set stays.
    config.define_u16(cap + LNKSTA,
                      {.reset = static_cast<uint32_t>(options.speed) | (options.width << 4) |
                                (options.slot_clock ? LNKSTA_SLOT_CLOCK : 0),
                       .sticky = 0xffff});
    config.define_u32(cap + LNKCAP2, {.reset = ((1U << max_speed) - 1) << 1});  // all up to
                                                                                // max_speed
    constexpr uint32_t kControl2 = LNKCTL2_TARGET_LINK_SPEED | LNKCTL2_ENTER_COMPLIANCE |
                                   LNKCTL2_HW_AUTONOMOUS_SPEED_DISABLE | LNKCTL2_TRANSMIT_MARGIN |
                                   LNKCTL2_ENTER_MODIFIED_COMPLIANCE | LNKCTL2_COMPLIANCE_SOS |
                                   LNKCTL2_COMPLIANCE_PRESET;
    config.define_u16(cap + LNKCTL2,
                      {.reset = max_speed, .writable = kControl2, .sticky = kControl2});
    const uint32_t equalized = options.speed >= LinkSpeed::kGen3 ? LNKSTA2_EQUALIZATION : 0;
    config.define_u16(cap + LNKSTA2,
                      {.reset = equalized,
                       .w1c = LNKSTA2_LINK_EQUALIZATION_REQUEST,
                       .sticky = LNKSTA2_EQUALIZATION | LNKSTA2_LINK_EQUALIZATION_REQUEST});
}

void CapabilityBuilder::define_slot(uint32_t cap, const PcieOptions& options) {
    using namespace regs;
    ConfigSpace& config = function_.config_;
    if (options.type == PciePortType::kRootPort) {
        config.define_u16(cap + ROOTCTL, {.writable = ROOTCTL_WRITABLE});
    }
    if (!options.slot) return;
    const uint32_t hot_plug = options.hot_plug
                                  ? SLTCAP_HOT_PLUG | SLTCAP_SURPRISE | SLTCAP_NO_COMMAND_COMPLETED
                                  : 0;
    config.define_u32(cap + SLTCAP,
                      {.reset = hot_plug | (options.slot_number << SLTCAP_SLOT_NUMBER_SHIFT)});
    if (!options.hot_plug) return;
    config.define_u16(cap + SLTCTL, {.writable = SLTCTL_EVENTS | SLTCTL_HOT_PLUG_INTERRUPT |
                                                 SLTCTL_INDICATORS | SLTCTL_DLL_STATE_CHANGED});
    config.define_u16(cap + SLTSTA, {.w1c = SLTSTA_EVENTS});
}

Result<uint32_t> CapabilityBuilder::add_aer(const AerOptions& options) {
    using namespace regs;
    constexpr uint32_t kAllUncorrectable = kEndpointUncorrectableErrors | AER_SURPRISE_DOWN |
                                           AER_ACS_VIOLATION | AER_MC_BLOCKED_TLP |
                                           AER_ATOMICOP_EGRESS_BLOCKED | AER_TLP_PREFIX_BLOCKED;
    constexpr uint32_t kFatalByDefault = AER_DATA_LINK_PROTOCOL | AER_SURPRISE_DOWN |
                                         AER_FLOW_CONTROL_PROTOCOL | AER_RECEIVER_OVERFLOW |
                                         AER_MALFORMED_TLP | AER_UNCORRECTABLE_INTERNAL;
    constexpr uint32_t kCorrectableMasked = AER_ADVISORY_NON_FATAL | AER_CORRECTED_INTERNAL |
                                            AER_HEADER_LOG_OVERFLOW;
    constexpr uint32_t kCorrectable = AER_RECEIVER_ERROR | AER_BAD_TLP | AER_BAD_DLLP |
                                      AER_REPLAY_NUM_ROLLOVER | AER_REPLAY_TIMER_TIMEOUT |
                                      kCorrectableMasked;
    const uint32_t errors = options.uncorrectable;
    if ((errors & ~kAllUncorrectable) != 0) {
        return fail(std::errc::invalid_argument, "{}: AER has no uncorrectable errors {:#x}",
                    function_.name(), errors & ~kAllUncorrectable);
    }
    ConfigSpace& config = function_.config_;
    MIMIC_TRY(require_single_extended(EXT_CAP_ID_AER));
    const uint32_t size = options.root ? AER_ROOT_SIZE : AER_SIZE;
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           config.add_extended_capability(EXT_CAP_ID_AER, 2, size, options.at));
    config.define_u32(cap + AER_UNCORRECTABLE_STATUS, {.w1c = errors, .sticky = errors});
    // Masks and severities of a VF are its PF's (9.3.6.1).
    const bool is_vf = function_.options_.virtual_function;
    if (!is_vf) {
        config.define_u32(
            cap + AER_UNCORRECTABLE_MASK,
            {.reset = errors & AER_UNCORRECTABLE_INTERNAL, .writable = errors, .sticky = errors});
        config.define_u32(
            cap + AER_UNCORRECTABLE_SEVERITY,
            {.reset = errors & kFatalByDefault, .writable = errors, .sticky = errors});
        config.define_u32(
            cap + AER_CORRECTABLE_MASK,
            {.reset = kCorrectableMasked, .writable = kCorrectable, .sticky = kCorrectable});
    }
    config.define_u32(cap + AER_CORRECTABLE_STATUS, {.w1c = kCorrectable, .sticky = kCorrectable});
    const uint32_t enables = options.ecrc && !is_vf ? AER_CONTROL_ECRC_GENERATION_ENABLE |
                                                          AER_CONTROL_ECRC_CHECK_ENABLE
                                                    : 0;
    const uint32_t able = options.ecrc
                              ? AER_CONTROL_ECRC_GENERATION_CAPABLE | AER_CONTROL_ECRC_CHECK_CAPABLE
                              : 0;
    config.define_u32(
        cap + AER_CONTROL,
        {.reset = able, .writable = enables, .sticky = enables | AER_CONTROL_FIRST_ERROR_POINTER});
    for (uint32_t i = 0; i < 4; ++i) {
        config.define_u32(cap + AER_HEADER_LOG + 4 * i, {.sticky = 0xffff'ffff});
    }
    if (options.root) {
        constexpr uint32_t kStatus = AER_ROOT_STATUS_CORRECTABLE |
                                     AER_ROOT_STATUS_MULTIPLE_CORRECTABLE |
                                     AER_ROOT_STATUS_UNCORRECTABLE |
                                     AER_ROOT_STATUS_MULTIPLE_UNCORRECTABLE |
                                     AER_ROOT_STATUS_FIRST_FATAL | AER_ROOT_STATUS_NON_FATAL |
                                     AER_ROOT_STATUS_FATAL;
        config.define_u32(cap + AER_ROOT_COMMAND, {.writable = AER_ROOT_COMMAND_ENABLES});
        config.define_u32(cap + AER_ROOT_STATUS, {.w1c = kStatus, .sticky = kStatus});
        config.define_u32(cap + AER_ROOT_SOURCE, {.sticky = 0xffff'ffff});
    }
    function_.aer_cap_ = cap;
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_device_serial_number(uint64_t serial, uint32_t at) {
    ConfigSpace& config = function_.config_;
    MIMIC_TRY(require_single_extended(regs::EXT_CAP_ID_DSN));
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap, config.add_extended_capability(
                                                   regs::EXT_CAP_ID_DSN, 1, regs::DSN_SIZE, at));
    config.define_u32(cap + regs::DSN_LOWER, {.reset = static_cast<uint32_t>(serial)});
    config.define_u32(cap + regs::DSN_UPPER, {.reset = static_cast<uint32_t>(serial >> 32)});
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_vendor_specific(const VendorSpecificOptions& options) {
    if (options.body.size() > 0xff - regs::VENDOR_BODY) {
        return fail(std::errc::invalid_argument, "{}: vendor-specific body of {} bytes",
                    function_.name(), options.body.size());
    }
    ConfigSpace& config = function_.config_;
    const uint32_t size = regs::VENDOR_BODY + static_cast<uint32_t>(options.body.size());
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           config.add_capability(regs::CAP_ID_VENDOR, size, options.at));
    config.define_u8(cap + regs::VENDOR_LENGTH, {.reset = size});
    define_body(config, cap + regs::VENDOR_BODY, options.body, options.writable);
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_vsec(const VsecOptions& options) {
    if (options.body.size() > 0xfff - regs::VSEC_BODY || options.revision > 0xf) {
        return fail(std::errc::invalid_argument, "{}: VSEC body of {} bytes, revision {}",
                    function_.name(), options.body.size(), options.revision);
    }
    ConfigSpace& config = function_.config_;
    const uint32_t size = regs::VSEC_BODY + static_cast<uint32_t>(options.body.size());
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap, config.add_extended_capability(regs::EXT_CAP_ID_VSEC,
                                                                              1, size, options.at));
    config.define_u32(
        cap + regs::VSEC_HEADER,
        {.reset = options.vsec_id | (uint32_t{options.revision} << 16) | (size << 20)});
    define_body(config, cap + regs::VSEC_BODY, options.body, options.writable);
    return cap;
}

}  // namespace mimic::pci
