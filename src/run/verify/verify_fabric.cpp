// SPDX-License-Identifier: Apache-2.0
// Linux makes the domain of a fabric (drivers/pci/controller/vmd.c): its root bus is a device
// "pciDOMAIN:00" below the endpoint, which has a link "domain" to it. Slots have names in
// /sys/bus/pci/slots only where pciehp drives them (drivers/pci/slot.c).
#include "verify/verify_fabric.h"

#include <set>

#include <fmt/format.h>

#include "verify/verify_clone.h"

namespace mimic::verify {
namespace {

using topology::FunctionSpec;
using topology::PortSpec;

/// A hot-plug port whose slot is empty has no trained link.
LinkState link_state(const topology::Machine& machine, const PortSpec& port, const Probe& probe) {
    if (!port.hotplug) return LinkState::kTrained;
    if (!port.device) return LinkState::kDown;
    const FunctionSpec& pf = machine.devices.at(*port.device).functions.front();
    return find_pci_record(probe, pf.bdf.str()) != nullptr ? LinkState::kTrained : LinkState::kDown;
}

/// The slot below a hot-plug port, found by its address, has the planned number. Linux adds "-1" to
/// a number that is taken, and shows no device number for a slot that has no single one.
void check_slot(const PortSpec& port, const std::string& domain, const std::string& what,
                const Probe& probe, Checker& check) {
    const std::string bus = fmt::format("{}:{:02x}", domain, port.secondary_bus);
    const std::string number = fmt::format("{}", port.slot);
    std::string found = "nothing";
    for (const auto& [name, record] : probe.slots) {
        const std::string address = or_nothing(record.find("address"));
        if (address == bus + ":00" || address == bus) found = name;
    }
    const size_t dash = found.find('-');
    check.equal(what + "slot", number, dash == std::string::npos ? found : found.substr(0, dash));
}

std::string node_text(std::optional<unsigned> node) {
    return node ? fmt::format("{}", *node) : "-1";
}

void check_port(const topology::Machine& machine, const topology::FabricSpec& fabric,
                const PortSpec& port, const Probe& probe, Checker& check) {
    const std::string bdf = port.bdf.str();
    const std::string domain = fmt::format("{:04x}", fabric.domain);
    const std::string name = fmt::format("port {} ({})", port.name, bdf);
    const ProbeRecord* const record = find_record(probe.ports, bdf, name, check);
    if (record == nullptr) return;
    const std::string what = name + " ";
    // One that looks like another may decode subtractively (programming interface 1).
    const std::string kind = or_nothing(record->find("class"));
    const bool is_image = !port.config.empty();
    check.fact(*record, what, "class", is_image && kind.starts_with("0x0604") ? kind : "0x060400");
    check.fact(*record, what, "numa_node", node_text(fabric.numa_node));
    check.fact(
        *record, what, "parent",
        port.parent ? fabric.ports[*port.parent].bdf.str() : fmt::format("pci{}:00", domain));
    check.fact(*record, what, "secondary_bus_number", fmt::format("{}", port.secondary_bus));
    check.fact(*record, what, "subordinate_bus_number", fmt::format("{}", port.subordinate_bus));
    // A port that looks like another says that one's link.
    if (!is_image) check_link(port.link, link_state(machine, port, probe), what, *record, check);
    if (port.hotplug) check_slot(port, domain, what, probe, check);
}

}  // namespace

uint64_t native_vfs(const PlannedDevice& planned, const Probe& probe) {
    const auto pf = probe.pci.find(planned.pf().bdf.str());
    if (pf == probe.pci.end()) return 0;
    const std::string* const text = pf->second.find("sriov_numvfs");
    return text != nullptr ? parse_number(*text).value_or(0) : 0;
}

Presence presence_of(const PlannedDevice& planned, const FunctionSpec& function,
                     const Probe& probe) {
    if (planned.device.hotplug && !probe.pci.contains(planned.pf().bdf.str()))
        return Presence::kEmptySlot;
    if (planned.has_native_vfs() && function.vf_index &&
        *function.vf_index >= native_vfs(planned, probe)) {
        return Presence::kNoVf;
    }
    return Presence::kPresent;
}

void check_absent(const FunctionSpec& function, const Probe& probe, Checker& check) {
    check.equal("PCI function", "nothing",
                probe.pci.contains(function.bdf.str()) ? "a function" : "nothing");
}

void check_sriov(const PlannedDevice& planned, const FunctionSpec& function, const Probe& probe,
                 Checker& check) {
    const auto record = probe.pci.find(function.bdf.str());
    if (!planned.has_native_vfs() || record == probe.pci.end()) return;
    if (function.is_vf()) {
        check.fact(record->second, "PCI ", "physfn", planned.pf().bdf.str());
        return;
    }
    const size_t total = planned.device.functions.size() - 1;
    check.fact(record->second, "PCI ", "sriov_totalvfs", fmt::format("{}", total));
    const uint64_t enabled = native_vfs(planned, probe);
    const auto node = probe.class_devices.find(planned.class_name_of(function));
    // A driver that counts them itself must agree; that it does is its model's attribute to say.
    if (node != probe.class_devices.end()) {
        if (const std::string* const own = node->second.find("sriov_numvfs"))
            check.fact(record->second, "PCI ", "sriov_numvfs", *own);
    }
    for (const FunctionSpec& vf : planned.device.functions) {
        if (!vf.vf_index) continue;
        check.fact(record->second, "PCI ", fmt::format("virtfn{}", *vf.vf_index),
                   *vf.vf_index < enabled ? vf.bdf.str() : "nothing");
    }
}

void check_fabric(const topology::Machine& machine, const topology::FabricSpec& fabric,
                  const Probe& probe, Checker& check) {
    const std::string bdf = fabric.bdf.str();
    const std::string name = fmt::format("VMD {} ({})", fabric.name, bdf);
    if (const ProbeRecord* const record = find_record(probe.vmds, bdf, name, check)) {
        const std::string what = name + " ";
        const model::ModelFacts& facts = fabric.model->facts;
        check.fact(*record, what, "vendor", fmt::format("0x{:04x}", facts.vendor_id));
        check.fact(*record, what, "device", fmt::format("0x{:04x}", facts.pf_device_id));
        check.fact(*record, what, "driver", std::string(fabric.model->driver.name));
        check.fact(*record, what, "parent", fabric.port.bdf.str());
        check.fact(*record, what, "numa_node", node_text(fabric.numa_node));
        check.fact(*record, what, "domain", fmt::format("{:04x}:00", fabric.domain));
    }
    for (const PortSpec& port : fabric.ports) check_port(machine, fabric, port, probe, check);
}

void check_extra_ports(const topology::Machine& machine, const Probe& probe, Checker& check) {
    std::set<std::string> planned;
    for (const topology::DeviceSpec& device : machine.devices) {
        if (!device.is_clone()) continue;
        for (const FunctionSpec& function : device.functions) planned.insert(function.bdf.str());
    }
    for (const topology::FabricSpec& fabric : machine.fabrics) {
        planned.insert(fabric.bdf.str());
        for (const PortSpec& port : fabric.ports) planned.insert(port.bdf.str());
    }
    for (const auto& [bdf, record] : probe.vmds) {
        if (!planned.contains(bdf)) check.differs("VMD " + bdf, "nothing", "a VMD endpoint");
    }
    for (const auto& [bdf, record] : probe.ports) {
        // VFs of a clone are the guest's to enable.
        const std::string* const pf = record.find("physfn");
        if (planned.contains(bdf) || (pf != nullptr && planned.contains(*pf))) continue;
        check.differs("PCI function " + bdf, "nothing", "a function");
    }
}

}  // namespace mimic::verify
