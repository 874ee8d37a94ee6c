// SPDX-License-Identifier: Apache-2.0
// Advanced Error Reporting: status, masks, severities and the header log. PCIe 6.0, 6.2.4 and
// 7.8.4.
#pragma once

#include <array>
#include <cstdint>

#include "base/result.h"
#include "pci/config/aer.h"
#include "pci/config/config_space.h"
#include "pci/config/pci_regs.h"
#include "pci/function/function_options.h"

namespace mimic::pci {

/// Uncorrectable errors that an endpoint can detect and so report, mask and classify (7.8.4.2).
inline constexpr uint32_t kEndpointUncorrectableErrors = regs::AER_DATA_LINK_PROTOCOL |
                                                         regs::AER_POISONED_TLP |
                                                         regs::AER_FLOW_CONTROL_PROTOCOL |
                                                         regs::AER_COMPLETION_TIMEOUT |
                                                         regs::AER_COMPLETER_ABORT |
                                                         regs::AER_UNEXPECTED_COMPLETION |
                                                         regs::AER_RECEIVER_OVERFLOW |
                                                         regs::AER_MALFORMED_TLP | regs::AER_ECRC |
                                                         regs::AER_UNSUPPORTED_REQUEST |
                                                         regs::AER_UNCORRECTABLE_INTERNAL;

/// Advanced Error Reporting.
struct AerOptions {
    uint32_t uncorrectable = kEndpointUncorrectableErrors;  // implemented bits of the three
                                                            // registers
    bool ecrc = true;                                       // can generate and check ECRC
    bool root = false;  // with the root error registers, for root ports
    uint32_t at = 0;    // wanted offset in 0x100..0xfff; 0: first that fits
};

/// Thread-bound with its function. What a VF shows of an error it decides by the masks and
/// severities of its PF (9.3.6.1): `controls` are those that count.
class AerCapability {
public:
    /// Lays the registers into `config` (borrowed), that of `owner`. Errors: those of
    /// place_single_extended(), EINVAL for bits that are no uncorrectable errors.
    static Result<AerCapability> lay(ConfigSpace& config, const FunctionOptions& owner,
                                     const AerOptions& options);

    uint32_t offset() const { return cap_; }

    /// Whether the function can detect the error of bit number `bit`.
    bool can_detect(bool correctable, uint32_t bit) const;

    /// The severity of an uncorrectable error by these registers, which `error` may set first.
    bool is_fatal(const AerError& error);

    /// Whether these registers mask `error`.
    bool masks(const AerError& error) const;

    /// Sets the status bit of `error`, and keeps the log of the first that `masked` is not true of.
    void log(const AerError& error, bool masked);

    /// What outlives a hot reset (7.4, 6.6.1), for software reads it afterwards.
    using Kept = std::array<uint32_t, regs::AER_SIZE / 4>;
    Kept sticky() const;
    void restore_sticky(const Kept& kept);

private:
    AerCapability(ConfigSpace& config, uint32_t cap) : config_(&config), cap_(cap) {}

    ConfigSpace* config_;
    uint32_t cap_;
    bool log_valid_ = false;  // the header log is that of the First Error Pointer
};

}  // namespace mimic::pci
