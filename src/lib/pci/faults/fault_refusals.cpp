// SPDX-License-Identifier: Apache-2.0
// Which faults are refused, and why: those that would be called done and do nothing.
#include "pci/faults/function_faults.h"

namespace mimic::pci {
namespace {

bool is_slot(FaultKind kind) {
    return kind == FaultKind::kSlotRemove || kind == FaultKind::kSlotAdd ||
           kind == FaultKind::kLinkDown || kind == FaultKind::kLinkUp;
}

}  // namespace

std::string FunctionFaults::why_never(const Fault& fault) const {
    const auto need = [](bool has, const char* what) { return std::string(has ? "" : what); };
    std::string why;
    switch (fault.kind) {
        case FaultKind::kCorrectable:
        case FaultKind::kUncorrectable:
            why = need(bool(hooks_.report_error), "the device has no AER capability");
            break;
        case FaultKind::kSlotRemove:
        case FaultKind::kSlotAdd:
        case FaultKind::kLinkDown:
        case FaultKind::kLinkUp:
            if (!hooks_.slot && !hooks_.no_slot.empty()) return hooks_.no_slot;
            why = need(bool(hooks_.slot),
                       "the device is in no hotplug slot (hotplug: true puts it into one)");
            break;
        case FaultKind::kIrqLate:
            why = need(bool(hooks_.send_message), "the device sends no messages");
            break;
        case FaultKind::kIrqSpurious:
            why = need(hooks_.send_message && hooks_.messages, "the device sends no messages");
            break;
        case FaultKind::kDoorbellStuck:
            why = need(bool(hooks_.is_doorbell), "the device has no doorbells");
            break;
        case FaultKind::kHostHang:
            why = need(bool(hooks_.hang), "the process cannot be stopped");
            break;
        case FaultKind::kHostCrash:
            why = need(bool(hooks_.crash), "the process cannot be killed");
            break;
        case FaultKind::kDmaSlow:
            why = need(bool(hooks_.dma), "the device has no DMA");
            break;
        case FaultKind::kBackendDrop:
        case FaultKind::kBackendDelay:
        case FaultKind::kBackendCorrupt:
        case FaultKind::kBackendWrongId:
        case FaultKind::kBackendDead:
            // It knows better than hooks that are for all others.
            return need(bool(hooks_.backend_changed), "there is no simulator behind the device");
        case FaultKind::kIrqLost:
        case FaultKind::kDmaFail:
        case FaultKind::kDmaCorrupt:
        case FaultKind::kAllOnes:
        case FaultKind::kClear:
            break;
    }
    if (!why.empty()) return why;
    return hooks_.never ? hooks_.never(fault) : "";
}

Status FunctionFaults::check(const Fault& fault) const {
    if (fault.at && fault.after_accesses)
        return fail(std::errc::invalid_argument, "{}: a time and a number of accesses", fault.name);
    if (const std::string why = why_never(fault); !why.empty())
        return fail(std::errc::not_supported, "{}: {}", fault.name, why);
    const bool waits = fault.at || fault.after_accesses.value_or(0) != 0;
    if (is_slot(fault.kind) && hooks_.try_slot) {
        const Status tried = hooks_.try_slot(fault.kind);
        if (!tried && (!waits || tried.error().code() == std::errc::not_supported))
            return tl::unexpected<Error>(Error(tried.error()).with_context(fault.name));
    }
    if (waits || !hooks_.not_now) return {};
    if (const std::string why = hooks_.not_now(fault); !why.empty())
        return fail(std::errc::not_connected, "{}: {}", fault.name, why);
    return {};
}

std::vector<FaultRefusal> FunctionFaults::refusals() const {
    std::vector<FaultRefusal> refused;
    for (const FaultName& entry : fault_names()) {
        const auto fault = parse_fault(entry.name, {});
        if (!fault) continue;
        const Status checked = check(*fault);
        if (checked) continue;
        // The list names the fault already.
        std::string reason = checked.error().message();
        const std::string prefix = std::string(entry.name) + ": ";
        if (reason.starts_with(prefix)) reason.erase(0, prefix.size());
        refused.push_back(
            {entry.name, std::move(reason), checked.error().code() != std::errc::not_supported});
    }
    return refused;
}

}  // namespace mimic::pci
