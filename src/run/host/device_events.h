// SPDX-License-Identifier: Apache-2.0
// DeviceEvents: what seldom happens to the functions of one loop, as events of the control API.
#pragma once

#include <map>
#include <set>
#include <string>

#include "pci/fabric/fabric.h"
#include "pci/function/function.h"
#include "pci/trace/function_events.h"
#include "service/event_hub.h"

namespace mimic::host {

/// Thread-bound to the loop of the functions. Outlives them.
class DeviceEvents final : public pci::FunctionObserver {
public:
    /// `hub` is borrowed and outlives this.
    explicit DeviceEvents(service::EventHub& hub) : hub_(hub) {}

    /// Publishes what happens to `function`, an endpoint, and to all that is in its `fabric`
    /// (nullptr: none), which includes VFs that come later.
    void watch(pci::Function& function, pci::Fabric* fabric);

    void on_event(const pci::Function& function, const pci::FunctionEvent& event) override;

private:
    bool is_endpoint(const pci::Function& function) const;
    void slot_changed(const pci::Function& port, const pci::FunctionEvent& event);

    service::EventHub& hub_;
    std::set<const pci::Function*> endpoints_;
    std::map<const pci::Function*, int> slots_;  // of ports: what was said last
};

/// How the API calls the error of an AER status bit: the name of the fault that reports it.
std::string error_name(bool correctable, uint64_t bit);

}  // namespace mimic::host
