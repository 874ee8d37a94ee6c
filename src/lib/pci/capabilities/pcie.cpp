// SPDX-License-Identifier: Apache-2.0
#include "pci/capabilities/pcie.h"

#include <bit>

#include "pci/capabilities/placing.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {

using namespace regs;

namespace {

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

void define_link(ConfigSpace& config, uint32_t cap, const PcieOptions& options, bool is_vf) {
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
    if (!is_vf) {
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

void define_slot(ConfigSpace& config, uint32_t cap, const PcieOptions& options) {
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

}  // namespace

Result<PcieCapability> PcieCapability::lay(ConfigSpace& config, const FunctionOptions& owner,
                                           const PcieOptions& wanted) {
    MIMIC_ASSIGN_OR_RETURN(const PcieOptions options, checked(wanted));
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           place_single(config, owner.name, CAP_ID_PCIE, PCIE_SIZE, options.at));
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
    const bool is_vf = owner.virtual_function;
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
    if (has_link_below(options.type)) define_slot(config, cap, options);
    if (options.type != PciePortType::kRootComplexIntegratedEndpoint)
        define_link(config, cap, options, is_vf);
    return PcieCapability(config, cap);
}

bool PcieCapability::has_flr() const {
    return (config_->u32(cap_ + DEVCAP) & DEVCAP_FLR) != 0;
}

void PcieCapability::detected(uint32_t errors) {
    config_->set_bits(cap_ + DEVSTA, 2, errors, errors);
}

uint32_t PcieCapability::control() const {
    return config_->u16(cap_ + DEVCTL);
}

}  // namespace mimic::pci
