// SPDX-License-Identifier: Apache-2.0
#include "machine/control_targets.h"

#include <thread>

#include "base/log.h"

namespace mimic::machine {
namespace {

Status change_slot(pci::Fabric& fabric, const std::string& name, pci::FaultKind kind) {
    switch (kind) {
        case pci::FaultKind::kSlotRemove:
            return fabric.unplug(name);
        case pci::FaultKind::kSlotAdd:
            return fabric.plug(name);
        case pci::FaultKind::kLinkDown:
            return fabric.set_link(name, false);
        default:
            return fabric.set_link(name, true);
    }
}

// Keeps the loop from running, which is what host-hang is.
void hang(const std::string& name, Duration time) {
    MIMIC_LOG("control", kWarn, "{}: the loop stops for {} ms, as an injected fault asks", name,
              time / std::chrono::milliseconds(1));
    std::this_thread::sleep_for(time);
}

const char* kind_in_fabric(pci::Function& function) {
    if (function.options().header == pci::HeaderType::kBridge) return "port";
    return function.options().virtual_function ? "virtual-function" : "function";
}

}  // namespace

class ControlTargets::Handle final : public control::Target {
public:
    Handle(ControlTargets& owner, const Source& source, pci::Function& function)
        : owner_(owner), source_(source), function_(function) {}

    const std::string& name() const { return function_.name(); }

    control::TargetInfo info() const override {
        control::TargetInfo info;
        info.name = name();
        info.connected = source_.server->connected();
        if (&function_ == source_.function) {
            info.kind = source_.fabric != nullptr ? "fabric" : "endpoint";
            add_session_counters(info);
            if (source_.fabric != nullptr) add_fabric_counters(info);
        } else {
            info.kind = kind_in_fabric(function_);
        }
        return info;
    }

    pci::Function* function() override { return &function_; }

    Status inject(const pci::Fault& fault) override {
        // Before the first fault nothing stands between the guest and the function.
        if (function_.faults() == nullptr)
            function_.set_faults(std::make_unique<pci::FunctionFaults>(hooks(), owner_.runner_));
        return function_.faults()->arm(fault);
    }

    std::vector<pci::FaultReport> faults() const override {
        return function_.faults() != nullptr ? function_.faults()->report()
                                             : std::vector<pci::FaultReport>{};
    }

    void clear_faults() override {
        if (function_.faults() != nullptr) function_.faults()->clear();
    }

private:
    pci::FunctionFaults::Hooks hooks() {
        auto hooks = function_.fault_hooks();
        hooks.hang = [name = name()](Duration time) { hang(name, time); };
        hooks.crash = owner_.crash_;
        if (source_.fabric != nullptr && &function_ != source_.function) {
            hooks.slot = [fabric = source_.fabric, name = name()](pci::FaultKind kind) {
                return change_slot(*fabric, name, kind);
            };
        }
        return hooks;
    }

    void add_session_counters(control::TargetInfo& info) const {
        const vfio_user::Counters& counters = source_.server->counters();
        info.counters = {{"connections", counters.connections},
                         {"messages", counters.messages},
                         {"region_reads", counters.region_reads},
                         {"region_writes", counters.region_writes},
                         {"dma_maps", counters.dma_maps},
                         {"interrupts", counters.interrupts},
                         {"errors", counters.errors},
                         {"protocol_faults", counters.protocol_faults}};
    }

    void add_fabric_counters(control::TargetInfo& info) const {
        const pci::Fabric::Counters& counters = source_.fabric->counters();
        info.counters.insert({{"fabric_config_reads", counters.config_reads},
                              {"fabric_config_writes", counters.config_writes},
                              {"fabric_memory_reads", counters.memory_reads},
                              {"fabric_memory_writes", counters.memory_writes},
                              {"fabric_unsupported", counters.unsupported},
                              {"fabric_messages", counters.messages},
                              {"fabric_dropped_messages", counters.dropped_messages},
                              {"fabric_errors", counters.errors},
                              {"fabric_peer_to_peer", counters.peer_to_peer}});
    }

    ControlTargets& owner_;
    const Source source_;
    pci::Function& function_;
};

void ControlTargets::add(pci::Function& function, const vfio_user::Server& server,
                         pci::Fabric* fabric) {
    sources_.push_back({&function, &server, fabric});
}

void ControlTargets::for_each(const std::function<void(Handle& target)>& visit) {
    for (const auto& source : sources_) {
        Handle endpoint(*this, source, *source.function);
        visit(endpoint);
        if (source.fabric == nullptr) continue;
        source.fabric->for_each([&](pci::Function& function, uint16_t /*routing_id*/) {
            Handle target(*this, source, function);
            visit(target);
        });
    }
}

std::vector<std::string> ControlTargets::names() {
    std::vector<std::string> names;
    for_each([&names](const Handle& target) { names.push_back(target.name()); });
    return names;
}

std::unique_ptr<control::Target> ControlTargets::find(const std::string& name) {
    for (const auto& source : sources_) {
        if (source.function->name() == name)
            return std::make_unique<Handle>(*this, source, *source.function);
        // find() also knows what is out of its slot, which for_each() need not show.
        pci::Function* const function = source.fabric != nullptr ? source.fabric->find(name)
                                                                 : nullptr;
        if (function != nullptr) return std::make_unique<Handle>(*this, source, *function);
    }
    return nullptr;
}

std::vector<control::TargetInfo> ControlTargets::infos() {
    std::vector<control::TargetInfo> infos;
    for_each([&infos](const Handle& target) { infos.push_back(target.info()); });
    return infos;
}

}  // namespace mimic::machine
