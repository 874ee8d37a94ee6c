// SPDX-License-Identifier: Apache-2.0
#include "host/control_targets.h"

#include <initializer_list>
#include <utility>

#include "pci/function/sriov.h"

namespace mimic::host {
namespace {

Status try_slot(pci::Fabric& fabric, const std::string& name, pci::FaultKind kind) {
    using Change = pci::Fabric::SlotChange;
    switch (kind) {
        case pci::FaultKind::kSlotRemove:
            return fabric.can_change(name, Change::kUnplug);
        case pci::FaultKind::kSlotAdd:
            return fabric.can_change(name, Change::kPlug);
        case pci::FaultKind::kLinkDown:
            return fabric.can_change(name, Change::kLinkDown);
        default:
            return fabric.can_change(name, Change::kLinkUp);
    }
}

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

const char* kind_in_fabric(pci::Function& function) {
    if (function.options().header == pci::HeaderType::kBridge) return "port";
    return function.options().virtual_function ? "virtual-function" : "function";
}

}  // namespace

class ControlTargets::Handle final : public control::Target {
public:
    /// `place`: of what is in a fabric, unless nobody asks for info().
    Handle(ControlTargets& owner, const Source& source, pci::Function& function,
           const pci::Fabric::Place& place = {})
        : owner_(owner), source_(source), function_(function), place_(place) {}

    std::string name() const override { return function_.name(); }

    control::TargetInfo info() const override {
        control::TargetInfo info;
        info.name = name();
        info.connected = source_.server->connected();
        info.numa_node = source_.place.numa_node;
        if (&function_ == source_.function) {
            info.kind = source_.fabric != nullptr ? "fabric" : "endpoint";
            info.bdf = source_.place.bdf;
        } else {
            info.kind = kind_in_fabric(function_);
            add_place(info);
        }
        add_identity(info);
        add_faults(info);
        add_counters(info);
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

    std::vector<pci::FaultRefusal> refusals() const override {
        if (function_.faults() != nullptr) return function_.faults()->refusals();
        return pci::FunctionFaults(hooks(), owner_.runner_).refusals();
    }

    void clear_faults() override {
        if (function_.faults() != nullptr) function_.faults()->clear();
    }

    bool clear_fault(uint64_t id) override {
        return function_.faults() != nullptr && function_.faults()->clear(id);
    }

private:
    pci::FunctionFaults::Hooks hooks() const {
        auto hooks = function_.fault_hooks();
        hooks.hang = [name = name()](Duration time) { hang_loop(name, time); };
        hooks.crash = owner_.crash_;
        const bool in_fabric = source_.fabric != nullptr && &function_ != source_.function;
        // An attached function knows that from its upstream; this one may have none now.
        if (!in_fabric) {
            hooks.never = [never = hooks.never](const pci::Fault& fault) {
                std::string why = never(fault);
                const bool is_error = fault.kind == pci::FaultKind::kCorrectable ||
                                      fault.kind == pci::FaultKind::kUncorrectable;
                return why.empty() && is_error ? std::string(pci::kNoRootPort) : why;
            };
        }
        if (const auto* const pf = function_.physical_function()) {
            hooks.no_slot = fmt::format("a virtual function goes with its device, {}", pf->name());
        } else if (in_fabric) {
            hooks.try_slot = [fabric = source_.fabric, name = name()](pci::FaultKind kind) {
                return try_slot(*fabric, name, kind);
            };
            hooks.slot = [fabric = source_.fabric, name = name()](pci::FaultKind kind) {
                return change_slot(*fabric, name, kind);
            };
        }
        return hooks;
    }

    void add_place(control::TargetInfo& info) const {
        info.parent = place_.above != nullptr ? place_.above->name() : source_.function->name();
        if (const auto* const pf = function_.physical_function()) info.pf = pf->name();
        const uint16_t id = place_.routing_id;
        info.bdf = fmt::format("{:04x}:{:02x}:{:02x}.{:x}", source_.place.domain, id >> 8,
                               id >> 3 & 0x1f, id & 7);
        info.present = place_.present;
        info.link_up = place_.link_up;
    }

    void add_identity(control::TargetInfo& info) const {
        info.vendor_id = function_.options().vendor_id;
        info.device_id = function_.options().device_id;
        info.class_code = function_.options().class_code;
        info.in_d0 = function_.in_d0();
        info.bus_master = function_.bus_master_enabled();
        if (const auto* const sriov = std::as_const(function_).sriov()) {
            info.vfs = sriov->num_vfs();
            info.total_vfs = sriov->total_vfs();
        }
    }

    void add_faults(control::TargetInfo& info) const {
        const auto* const faults = std::as_const(function_).faults();
        if (faults == nullptr) return;
        info.faults = {faults->standing(pci::FaultState::kArmed),
                       faults->standing(pci::FaultState::kActive), faults->strikes()};
    }

    static void append(control::TargetInfo& info,
                       std::initializer_list<std::pair<const char*, uint64_t>> counters) {
        info.counters.insert(info.counters.end(), counters);
    }

    void add_counters(control::TargetInfo& info) const {
        const pci::FunctionCounters& counters = function_.counters();
        append(info, {{"config_reads", counters.config_reads},
                      {"config_writes", counters.config_writes},
                      {"bar_reads", counters.bar_reads},
                      {"bar_writes", counters.bar_writes},
                      {"interrupts", counters.interrupts},
                      {"dma_reads", counters.dma_reads},
                      {"dma_writes", counters.dma_writes},
                      {"dma_read_bytes", counters.dma_read_bytes},
                      {"dma_write_bytes", counters.dma_write_bytes},
                      {"errors", counters.errors}});
        for (const auto& [name, value] : function_.model_counters())
            info.counters.emplace_back(name, value);
        if (&function_ != source_.function) return;
        add_session_counters(info);
        if (source_.fabric != nullptr) add_fabric_counters(info);
    }

    void add_session_counters(control::TargetInfo& info) const {
        const vfio_user::Counters& counters = source_.server->counters();
        append(info, {{"session_connections", counters.connections},
                      {"session_messages", counters.messages},
                      {"session_region_reads", counters.region_reads},
                      {"session_region_writes", counters.region_writes},
                      {"session_dma_maps", counters.dma_maps},
                      {"session_interrupts", counters.interrupts},
                      {"session_errors", counters.errors},
                      {"session_protocol_faults", counters.protocol_faults}});
    }

    void add_fabric_counters(control::TargetInfo& info) const {
        const pci::Fabric::Counters& counters = source_.fabric->counters();
        append(info, {{"fabric_config_reads", counters.config_reads},
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
    const pci::Fabric::Place place_;
};

void ControlTargets::add(pci::Function& function, const vfio_user::Server& server,
                         pci::Fabric* fabric, Place place) {
    sources_.push_back({&function, &server, fabric, std::move(place)});
}

void ControlTargets::add(virtio::Device& device, const vhost_user::Server& server, Place place) {
    VirtioSource source{&device, &server, std::move(place),
                        VirtioTarget::make_faults(device, runner_, crash_), nullptr};
    source.backend_faults = std::make_unique<virtio_pci::FunctionBackendFaults>(
        [faults = source.faults.get()] { return faults; });
    device.set_backend_faults(source.backend_faults.get());
    virtio_.push_back(std::move(source));
}

void ControlTargets::for_each(const std::function<void(Handle& target)>& visit) {
    for (const auto& source : sources_) for_each(*this, source, visit);
}

void ControlTargets::for_each(ControlTargets& owner, const Source& source,
                              const std::function<void(Handle& target)>& visit) {
    Handle endpoint(owner, source, *source.function);
    visit(endpoint);
    if (source.fabric == nullptr) return;
    source.fabric->for_each_place([&](pci::Function& function, const pci::Fabric::Place& place) {
        Handle target(owner, source, function, place);
        visit(target);
    });
}

std::vector<std::string> ControlTargets::names() {
    std::vector<std::string> names;
    for_each([&names](const Handle& target) { names.push_back(target.name()); });
    for (const auto& source : virtio_) names.push_back(source.device->name());
    return names;
}

std::unique_ptr<control::Target> ControlTargets::find(const std::string& name) {
    std::unique_ptr<control::Target> found;
    for_each([&](const Handle& target) {
        if (!found && target.name() == name) found = std::make_unique<Handle>(target);
    });
    for (auto& source : virtio_)
        if (!found && source.device->name() == name) found = std::make_unique<VirtioTarget>(source);
    return found;
}

std::vector<control::TargetInfo> ControlTargets::infos() {
    std::vector<control::TargetInfo> infos;
    for_each([&infos](const Handle& target) { infos.push_back(target.info()); });
    for (auto& source : virtio_) infos.push_back(VirtioTarget(source).info());
    return infos;
}

}  // namespace mimic::host
