// SPDX-License-Identifier: Apache-2.0
#include "pci/capabilities/aer.h"

#include <bit>

#include "pci/capabilities/placing.h"

namespace mimic::pci {

using namespace regs;

namespace {

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

void define_root(ConfigSpace& config, uint32_t cap) {
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

}  // namespace

Result<AerCapability> AerCapability::lay(ConfigSpace& config, const FunctionOptions& owner,
                                         const AerOptions& options) {
    const uint32_t errors = options.uncorrectable;
    if ((errors & ~kAllUncorrectable) != 0) {
        return fail(std::errc::invalid_argument, "{}: AER has no uncorrectable errors {:#x}",
                    owner.name, errors & ~kAllUncorrectable);
    }
    const uint32_t size = options.root ? AER_ROOT_SIZE : AER_SIZE;
    MIMIC_ASSIGN_OR_RETURN(
        const uint32_t cap,
        place_single_extended(config, owner.name, EXT_CAP_ID_AER, 2, size, options.at));
    config.define_u32(cap + AER_UNCORRECTABLE_STATUS, {.w1c = errors, .sticky = errors});
    // Masks and severities of a VF are its PF's (9.3.6.1).
    const bool is_vf = owner.virtual_function;
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
    if (options.root) define_root(config, cap);
    return AerCapability(config, cap);
}

bool AerCapability::can_detect(bool correctable, uint32_t bit) const {
    const uint32_t status = correctable ? AER_CORRECTABLE_STATUS : AER_UNCORRECTABLE_STATUS;
    return (config_->rules(cap_ + status).w1c & (1U << bit)) != 0;
}

bool AerCapability::is_fatal(const AerError& error) {
    const uint32_t severity = cap_ + AER_UNCORRECTABLE_SEVERITY;
    if (error.fatal) config_->set_bits(severity, 4, error.bit, *error.fatal ? error.bit : 0);
    return (config_->u32(severity) & error.bit) != 0;
}

bool AerCapability::masks(const AerError& error) const {
    const uint32_t mask = error.correctable ? AER_CORRECTABLE_MASK : AER_UNCORRECTABLE_MASK;
    return (config_->u32(cap_ + mask) & error.bit) != 0;
}

void AerCapability::log(const AerError& error, bool masked) {
    const uint32_t status = cap_ +
                            (error.correctable ? AER_CORRECTABLE_STATUS : AER_UNCORRECTABLE_STATUS);
    const uint32_t before = config_->u32(status);
    config_->set_u32(status, before | error.bit);
    if (masked || error.correctable) return;
    // The first error keeps the log until its bit is cleared (6.2.4.2).
    const uint32_t control = config_->u32(cap_ + AER_CONTROL);
    const uint32_t first = 1U << (control & AER_CONTROL_FIRST_ERROR_POINTER);
    if (log_valid_ && (before & first) != 0) return;
    config_->set_bits(cap_ + AER_CONTROL, 4, AER_CONTROL_FIRST_ERROR_POINTER,
                      static_cast<uint32_t>(std::countr_zero(error.bit)));
    for (uint32_t i = 0; i < 4; ++i) {
        config_->set_u32(cap_ + AER_HEADER_LOG + 4 * i, error.header[i]);
    }
    log_valid_ = true;
}

AerCapability::Kept AerCapability::sticky() const {
    Kept kept{};
    for (uint32_t i = 0; i < kept.size(); ++i) kept[i] = config_->u32(cap_ + 4 * i);
    return kept;
}

void AerCapability::restore_sticky(const Kept& kept) {
    for (uint32_t i = 0; i < kept.size(); ++i) {
        const uint32_t at = cap_ + 4 * i;
        config_->set_bits(at, 4, config_->rules(at).sticky, kept[i]);
    }
}

}  // namespace mimic::pci
