// SPDX-License-Identifier: Apache-2.0
// FunctionBackendFaults: faults of what is behind a virtio device, from those that `mimic inject`
// arms.
#pragma once

#include <functional>

#include "pci/faults/function_faults.h"
#include "virtio/instruments.h"

namespace mimic::virtio_pci {

/// Thread-bound with the device.
class FunctionBackendFaults final : public virtio::BackendFaults {
public:
    /// `faults`: those that stand now, or nullptr.
    explicit FunctionBackendFaults(std::function<pci::FunctionFaults*()> faults)
        : faults_(std::move(faults)) {}

    Verdict next_answer() override {
        pci::FunctionFaults* const faults = faults_();
        if (faults == nullptr) return {};
        const pci::FunctionFaults::AnswerStrike strike = faults->backend_answer();
        if (!strike.kind) return {};
        return {kind_of(*strike.kind), strike.delay, strike.random};
    }

    bool is_dead() override {
        pci::FunctionFaults* const faults = faults_();
        return faults != nullptr && faults->backend_dead();
    }

private:
    static Kind kind_of(pci::FaultKind kind) {
        switch (kind) {
            case pci::FaultKind::kBackendDrop:
                return Kind::kDrop;
            case pci::FaultKind::kBackendDelay:
                return Kind::kDelay;
            case pci::FaultKind::kBackendCorrupt:
                return Kind::kCorrupt;
            case pci::FaultKind::kBackendWrongId:
                return Kind::kWrongId;
            default:
                return Kind::kNone;
        }
    }

    std::function<pci::FunctionFaults*()> faults_;
};

}  // namespace mimic::virtio_pci
