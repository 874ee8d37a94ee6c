// SPDX-License-Identifier: Apache-2.0
#include "host/device_events.h"

#include <nlohmann/json.hpp>

#include "pci/faults/fault.h"

namespace mimic::host {
namespace {

using Json = nlohmann::ordered_json;

const char* reset_name(uint64_t kind) {
    switch (static_cast<pci::ResetKind>(kind)) {
        case pci::ResetKind::kFunctionLevel:
            return "function-level";
        case pci::ResetKind::kConventional:
            return "conventional";
        case pci::ResetKind::kPower:
            return "power";
        case pci::ResetKind::kDetach:
            return "detach";
    }
    return "";
}

const char* severity(const pci::FunctionEvent& event) {
    if (event.correctable) return "correctable";
    return event.fatal ? "fatal" : "nonfatal";
}

}  // namespace

std::string error_name(bool correctable, uint64_t bit) {
    const auto kind = correctable ? pci::FaultKind::kCorrectable : pci::FaultKind::kUncorrectable;
    for (const auto& entry : pci::fault_names())
        if (entry.kind == kind && uint64_t{1} << entry.aer_bit == bit)
            return std::string(entry.name);
    return fmt::format("0x{:08x}", bit);
}

void DeviceEvents::watch(pci::Function& function, pci::Fabric* fabric) {
    endpoints_.insert(&function);
    function.set_observer(this);
    if (fabric == nullptr) return;
    fabric->for_each(
        [this](pci::Function& inside, uint16_t /*routing_id*/) { inside.set_observer(this); });
}

void DeviceEvents::on_event(const pci::Function& function, const pci::FunctionEvent& event) {
    using Kind = pci::FunctionEventKind;
    if (event.kind == Kind::kSlot) return slot_changed(function, event);
    // What is not an event of the API, or of nobody's concern.
    if (!hub_.listening()) return;
    const std::string& name = function.name();
    switch (event.kind) {
        case Kind::kAttach:
            if (is_endpoint(function)) hub_.publish("connected", name, Json::object());
            break;
        case Kind::kDetach:
            if (is_endpoint(function)) hub_.publish("disconnected", name, Json::object());
            break;
        case Kind::kReset:
            // What a client that goes leaves behind is said by "disconnected".
            if (static_cast<pci::ResetKind>(event.value) != pci::ResetKind::kDetach)
                hub_.publish("reset", name, {{"kind", reset_name(event.value)}});
            break;
        case Kind::kError:
            hub_.publish("error", name,
                         {{"name", error_name(event.correctable, event.value)},
                          {"severity", severity(event)}});
            break;
        case Kind::kVfs:
            hub_.publish("vfs", name, {{"count", event.value}});
            break;
        case Kind::kFault:
            hub_.publish("fault", name,
                         {{"id", event.value}, {"fault", event.text}, {"state", event.state}});
            break;
        case Kind::kPower:
        case Kind::kSlot:
            break;
    }
}

bool DeviceEvents::is_endpoint(const pci::Function& function) const {
    return endpoints_.contains(&function);
}

// Ports say how their slot is also when nothing has changed (a reset).
void DeviceEvents::slot_changed(const pci::Function& port, const pci::FunctionEvent& event) {
    const int now = (event.present ? 1 : 0) | (event.link_up ? 2 : 0);
    const auto [known, is_new] = slots_.emplace(&port, now);
    if (!is_new && known->second == now) return;
    known->second = now;
    if (hub_.listening())
        hub_.publish("slot", port.name(), {{"present", event.present}, {"link_up", event.link_up}});
}

}  // namespace mimic::host
