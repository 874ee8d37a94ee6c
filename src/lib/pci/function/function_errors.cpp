// SPDX-License-Identifier: Apache-2.0
// How a function shows and signals an error. PCIe 6.0, 6.2.5 (the flow), 7.5.3.5 and 7.8.4.
#include <bit>

#include "base/check.h"
#include "pci/config/pci_regs.h"
#include "pci/function/function.h"

namespace mimic::pci {

ErrorOutcome Function::report_error(const AerError& error) {
    using namespace regs;
    check_thread();
    MIMIC_CHECK(std::has_single_bit(error.bit));
    // A VF has no enables, masks and severities of its own (9.3.5.4, 9.3.6.1).
    Function& controls = error_controls();
    const bool fatal = !error.correctable && (controls.aer_ ? controls.aer_->is_fatal(error)
                                                            : error.fatal.value_or(false));
    ++counters_.errors;
    notify({.kind = FunctionEventKind::kError,
            .value = error.bit,
            .correctable = error.correctable,
            .fatal = fatal});
    const bool unsupported = !error.correctable && error.bit == AER_UNSUPPORTED_REQUEST;
    const uint32_t detected = (error.correctable ? DEVSTA_CORRECTABLE
                               : fatal           ? DEVSTA_FATAL
                                                 : DEVSTA_NON_FATAL) |
                              (unsupported ? DEVSTA_UNSUPPORTED_REQUEST : 0);
    if (pcie_) pcie_->detected(detected);
    // Without a log of its own nothing of it is masked.
    const bool masked = aer_ && controls.aer_ && controls.aer_->masks(error);
    if (aer_) aer_->log(error, masked);
    if (masked) return ErrorOutcome::kMasked;
    // An Unsupported Request wants both of its enables (6.2.5).
    const uint32_t enables = controls.pcie_ ? controls.pcie_->control() : 0;
    const bool serr = !error.correctable &&
                      (controls.config_.u32(COMMAND) & COMMAND_SERR_ENABLE) != 0;
    if (serr) config_.set_bits(STATUS, 2, STATUS_SIGNALED_SYSTEM_ERROR, ~0U);
    if (!serr && (enables & detected) != detected) return ErrorOutcome::kNotEnabled;
    const ErrorMessage message = error.correctable ? ErrorMessage::kCorrectable
                                 : fatal           ? ErrorMessage::kFatal
                                                   : ErrorMessage::kNonFatal;
    const bool heard = slot_ != nullptr && slot_->send_error(message);
    return heard ? ErrorOutcome::kReported : ErrorOutcome::kLost;
}

void Function::hot_reset() {
    const auto kept = aer_ ? aer_->sticky() : AerCapability::Kept{};
    reset(ResetKind::kConventional);
    if (aer_) aer_->restore_sticky(kept);
}

}  // namespace mimic::pci
