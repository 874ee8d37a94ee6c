// SPDX-License-Identifier: Apache-2.0
// What FunctionFaults asks of a function: to do things, and what could never strike it, or not now.
#include <algorithm>

#include "pci/config/pci_regs.h"
#include "pci/function/function.h"

namespace mimic::pci {
namespace {

bool is_error(FaultKind kind) {
    return kind == FaultKind::kCorrectable || kind == FaultKind::kUncorrectable;
}

std::string outcome_text(ErrorOutcome outcome) {
    switch (outcome) {
        case ErrorOutcome::kReported:
            return "";
        case ErrorOutcome::kMasked:
            return "the guest has masked it: no message, only status bits";
        case ErrorOutcome::kNotEnabled:
            return "the guest has not enabled its error reporting: no message, only status bits";
        case ErrorOutcome::kLost:
            return "its message reached no root port: only status bits";
    }
    return "";
}

std::string no_vector(uint32_t vector, uint32_t vectors) {
    if (vectors == 1) return fmt::format("the device has no vector {}, only vector 0", vector);
    return fmt::format("the device has no vector {}; it has {}, 0 to {}", vector, vectors,
                       vectors - 1);
}

}  // namespace

FunctionFaults::Messages Function::enabled_messages() const {
    // Without bus mastering, D0 and a way out nothing is sent, whatever else the guest enabled.
    if (!can_send_messages() || !slot_->message_path()) return {};
    if (msix_enabled()) return {.msix = true, .vectors = msix_->vectors()};
    if (!msi_enabled()) return {};
    // Messages that the guest did not grant would go out as one that it did.
    return {.msix = false, .vectors = msi_->message_number(~0U) + 1};
}

std::string Function::why_never(const Fault& fault) const {
    const Habits does = habits();
    switch (fault.kind) {
        case FaultKind::kCorrectable:
        case FaultKind::kUncorrectable: {
            if (!aer_) return "the device has no AER capability";
            if (slot_ != nullptr && slot_->error_path() == ErrorPath::kNone) {
                return kNoRootPort;
            }
            const bool correctable = fault.kind == FaultKind::kCorrectable;
            if (aer_->can_detect(correctable, fault.aer_bit)) return "";
            return options_.header == HeaderType::kBridge
                       ? "this port cannot detect it"
                       : "an endpoint cannot detect it; inject it at the port above, which is "
                         "called <device>.port unless the file names it";
        }
        case FaultKind::kIrqLost:
        case FaultKind::kIrqLate:
        case FaultKind::kIrqSpurious: {
            const uint32_t all = std::max(msix_vectors(), msi_vectors());
            if (all == 0) return "the device has no interrupt messages (MSI-X or MSI)";
            if (fault.kind == FaultKind::kIrqSpurious) {
                return fault.vector.value_or(0) < all ? "" : no_vector(*fault.vector, all);
            }
            const uint32_t used = std::min(all, does.vectors);
            if (used == 0) return "the device sends no interrupts of its own";
            return fault.vector.value_or(0) < used ? "" : no_vector(*fault.vector, used);
        }
        case FaultKind::kDoorbellStuck:
            return does.doorbells ? "" : "the device has no doorbells";
        case FaultKind::kDmaSlow:
        case FaultKind::kDmaFail:
        case FaultKind::kDmaCorrupt:
            return does.dma ? "" : "the device does no DMA that a fault reaches";
        default:
            return "";
    }
}

std::string Function::why_not_now(const Fault& fault) const {
    const bool spurious = fault.kind == FaultKind::kIrqSpurious;
    if (!spurious && !is_error(fault.kind)) return "";
    if (slot_ == nullptr) return "no guest is connected to the device";
    if (is_error(fault.kind)) {
        if (slot_->error_path() == ErrorPath::kOpen) return "";
        return "no message of the device gets out: it is out of its slot, or a link is down";
    }
    if (!slot_->message_path()) {
        return "no message of the device gets out: it is out of its slot, or a link is down, or "
               "the guest has a bridge above it off";
    }
    const uint32_t vectors = enabled_messages().vectors;
    if (vectors == 0) return "the guest has not enabled the device's interrupt messages";
    if (fault.vector.value_or(0) < vectors) return "";
    return fmt::format("the guest has enabled {} of the device's messages only", vectors);
}

FunctionFaults::Hooks Function::fault_hooks() {
    FunctionFaults::Hooks hooks;
    hooks.send_message = [this](bool msix, uint32_t vector) {
        if (msix && vector < msix_vectors()) raise_msix(vector);
        if (!msix && vector < msi_vectors()) raise_msi(vector);
    };
    hooks.messages = [this] { return enabled_messages(); };
    if (aer_) {
        hooks.report_error = [this](const FaultError& error) {
            return outcome_text(
                report_error({error.correctable, error.bit, error.header, error.fatal}));
        };
    }
    hooks.never = [this](const Fault& fault) { return why_never(fault); };
    hooks.not_now = [this](const Fault& fault) { return why_not_now(fault); };
    hooks.is_doorbell = [this](unsigned bar, uint64_t offset) { return is_doorbell(bar, offset); };
    hooks.dma = [this] { return real_dma(); };
    if (habits().backend) hooks.backend_changed = [this] { on_backend_changed(); };
    hooks.changed = [this](const FaultReport& report, std::string_view state) {
        fault_changed(report, state);
    };
    return hooks;
}

}  // namespace mimic::pci
