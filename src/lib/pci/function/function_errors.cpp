// SPDX-License-Identifier: Apache-2.0
// How a function shows and signals an error. PCIe 6.0, 6.2.5 (the flow), 7.5.3.5 and 7.8.4.
#include <array>
#include <bit>

#include "base/check.h"
#include "pci/config/pci_regs.h"
#include "pci/function/function.h"

namespace mimic::pci {

// Which function's enables, masks and severities hold for this one: a VF has none of its own
// (9.3.5.4, 9.3.6.1).
Function& Function::error_controls() {
    return physfn_ != nullptr ? *physfn_ : *this;
}

bool Function::is_fatal(const AerError& error) {
    if (error.correctable) return false;
    Function& controls = error_controls();
    if (controls.aer_cap_ == 0) return error.fatal.value_or(false);
    const uint32_t severity = controls.aer_cap_ + regs::AER_UNCORRECTABLE_SEVERITY;
    if (error.fatal) {
        controls.config_.set_bits(severity, 4, error.bit, *error.fatal ? error.bit : 0);
    }
    return (controls.config_.u32(severity) & error.bit) != 0;
}

// Status, and the log of the first error that is not masked. False: it is masked.
bool Function::log_error(const AerError& error) {
    using namespace regs;
    if (aer_cap_ == 0) return true;
    const uint32_t status = aer_cap_ +
                            (error.correctable ? AER_CORRECTABLE_STATUS : AER_UNCORRECTABLE_STATUS);
    const uint32_t before = config_.u32(status);
    config_.set_u32(status, before | error.bit);
    const Function& controls = error_controls();
    const uint32_t mask = error.correctable ? AER_CORRECTABLE_MASK : AER_UNCORRECTABLE_MASK;
    if (controls.aer_cap_ != 0 &&
        (controls.config_.u32(controls.aer_cap_ + mask) & error.bit) != 0) {
        return false;
    }
    if (error.correctable) return true;
    // The first error keeps the log until its bit is cleared (6.2.4.2).
    const uint32_t control = config_.u32(aer_cap_ + AER_CONTROL);
    const uint32_t first = 1U << (control & AER_CONTROL_FIRST_ERROR_POINTER);
    if (aer_log_valid_ && (before & first) != 0) return true;
    config_.set_bits(aer_cap_ + AER_CONTROL, 4, AER_CONTROL_FIRST_ERROR_POINTER,
                     static_cast<uint32_t>(std::countr_zero(error.bit)));
    for (uint32_t i = 0; i < 4; ++i) {
        config_.set_u32(aer_cap_ + AER_HEADER_LOG + 4 * i, error.header[i]);
    }
    aer_log_valid_ = true;
    return true;
}

ErrorOutcome Function::report_error(const AerError& error) {
    using namespace regs;
    check_thread();
    MIMIC_CHECK(std::has_single_bit(error.bit));
    const bool fatal = is_fatal(error);
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
    if (pcie_cap_ != 0) config_.set_bits(pcie_cap_ + DEVSTA, 2, detected, detected);
    if (!log_error(error)) return ErrorOutcome::kMasked;
    // An Unsupported Request wants both of its enables (6.2.5).
    const Function& controls = error_controls();
    const uint32_t enables = controls.pcie_cap_ == 0
                                 ? 0
                                 : controls.config_.u16(controls.pcie_cap_ + DEVCTL);
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
    // Sticky registers outlive it (7.4, 6.6.1), for software reads those of AER afterwards.
    std::array<uint32_t, regs::AER_SIZE / 4> kept{};
    const uint32_t words = aer_cap_ == 0 ? 0 : static_cast<uint32_t>(kept.size());
    for (uint32_t i = 0; i < words; ++i) kept[i] = config_.u32(aer_cap_ + 4 * i);
    reset(ResetKind::kConventional);
    for (uint32_t i = 0; i < words; ++i) {
        const uint32_t at = aer_cap_ + 4 * i;
        config_.set_bits(at, 4, config_.rules(at).sticky, kept[i]);
    }
}

}  // namespace mimic::pci
