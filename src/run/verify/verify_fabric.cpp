// SPDX-License-Identifier: Apache-2.0
// Linux makes the domain of a fabric (drivers/pci/controller/vmd.c): its root bus is a device
// "pciDOMAIN:00" below the endpoint, which has a link "domain" to it. Slots have names in
// /sys/bus/pci/slots only where pciehp drives them (drivers/pci/slot.c).
#include "verify/verify_fabric.h"

#include <set>

#include <fmt/format.h>

#include "verify/verify_replica.h"

namespace mimic::verify {
namespace {

using Json = nlohmann::json;

bool is_native(const Json& device) {
    return device.at("sriov") == "native";
}

bool is_vf(const Json& function) {
    return function.at("kind") == "vf";
}

const Json& pf_of(const Json& device) {
    return device.at("functions").front();
}

uint64_t vf_index(const Json& function) {
    return parse_number(text_of(function.at("registers"), "VF_INDEX")).value_or(UINT64_MAX);
}

/// A hot-plug port whose slot is empty has no trained link.
LinkState link_state(const Json& port, const Json& devices, const Probe& probe) {
    if (!port.at("hotplug").get<bool>()) return LinkState::kTrained;
    for (const Json& device : devices) {
        if (device.at("port") != port.at("bdf")) continue;
        return find_pci_record(probe, text_of(pf_of(device), "bdf")) != nullptr
                   ? LinkState::kTrained
                   : LinkState::kDown;
    }
    return LinkState::kDown;
}

/// The slot below a hot-plug port, found by its address, has the planned number. Linux adds "-1" to
/// a number that is taken, and shows no device number for a slot that has no single one.
void check_slot(const Json& port, const std::string& domain, const std::string& what,
                const Probe& probe, Checker& check) {
    const std::string bus = fmt::format("{}:{:02x}", domain, port.at("secondary").get<unsigned>());
    const std::string number = fmt::format("{}", port.at("slot").get<unsigned>());
    std::string found = "nothing";
    for (const auto& [name, record] : probe.slots) {
        const std::string address = or_nothing(record.find("address"));
        if (address == bus + ":00" || address == bus) found = name;
    }
    const size_t dash = found.find('-');
    check.equal(what + "slot", number, dash == std::string::npos ? found : found.substr(0, dash));
}

void check_port(const Json& fabric, const Json& port, const Json& devices, const Probe& probe,
                Checker& check) {
    const std::string bdf = text_of(port, "bdf");
    const std::string domain = text_of(fabric, "domain");
    const std::string name = fmt::format("port {} ({})", text_of(port, "name"), bdf);
    const ProbeRecord* const record = find_record(probe.ports, bdf, name, check);
    if (record == nullptr) return;
    const std::string what = name + " ";
    // One that looks like another may decode subtractively (programming interface 1).
    const std::string kind = or_nothing(record->find("class"));
    const bool is_bridge = port.contains("replica") && kind.starts_with("0x0604");
    check.fact(*record, what, "class", is_bridge ? kind : "0x060400");
    check.fact(*record, what, "numa_node", fmt::format("{}", fabric.at("numa_node").get<int>()));
    check.fact(
        *record, what, "parent",
        port.at("parent").is_null() ? fmt::format("pci{}:00", domain) : text_of(port, "parent"));
    check.fact(*record, what, "secondary_bus_number",
               fmt::format("{}", port.at("secondary").get<unsigned>()));
    check.fact(*record, what, "subordinate_bus_number",
               fmt::format("{}", port.at("subordinate").get<unsigned>()));
    // A port that looks like another says that one's link.
    if (!port.contains("replica"))
        check_link(port.at("link"), link_state(port, devices, probe), what, *record, check);
    if (port.at("hotplug").get<bool>()) check_slot(port, domain, what, probe, check);
}

}  // namespace

uint64_t native_vfs(const Json& device, const Probe& probe) {
    const auto pf = probe.pci.find(text_of(pf_of(device), "bdf"));
    if (pf == probe.pci.end()) return 0;
    const std::string* const text = pf->second.find("sriov_numvfs");
    return text != nullptr ? parse_number(*text).value_or(0) : 0;
}

Presence presence_of(const Json& device, const Json& function, const Probe& probe) {
    if (device.at("hotplug").get<bool>() && !probe.pci.contains(text_of(pf_of(device), "bdf"))) {
        return Presence::kEmptySlot;
    }
    if (is_native(device) && is_vf(function) && vf_index(function) >= native_vfs(device, probe)) {
        return Presence::kNoVf;
    }
    return Presence::kPresent;
}

void check_absent(const Json& function, const Probe& probe, Checker& check) {
    check.equal("PCI function", "nothing",
                probe.pci.contains(text_of(function, "bdf")) ? "a function" : "nothing");
}

void check_sriov(const Json& device, const Json& function, const Probe& probe, Checker& check) {
    const auto record = probe.pci.find(text_of(function, "bdf"));
    if (!is_native(device) || record == probe.pci.end()) return;
    if (is_vf(function)) {
        check.fact(record->second, "PCI ", "physfn", text_of(pf_of(device), "bdf"));
        return;
    }
    const size_t total = device.at("functions").size() - 1;
    check.fact(record->second, "PCI ", "sriov_totalvfs", fmt::format("{}", total));
    const uint64_t enabled = native_vfs(device, probe);
    const auto node = probe.class_devices.find(text_of(function.at("sysfs"), "name"));
    if (node != probe.class_devices.end()) {
        check.fact(record->second, "PCI ", "sriov_numvfs",
                   or_nothing(node->second.find("sriov_numvfs")));
    }
    for (const Json& vf : device.at("functions")) {
        if (!is_vf(vf)) continue;
        const std::string link = fmt::format("virtfn{}", vf_index(vf));
        check.fact(record->second, "PCI ", link,
                   vf_index(vf) < enabled ? text_of(vf, "bdf") : "nothing");
    }
}

void check_fabric(const Json& fabric, const Json& devices, const Probe& probe, Checker& check) {
    const std::string bdf = text_of(fabric, "bdf");
    const std::string name = fmt::format("VMD {} ({})", text_of(fabric, "name"), bdf);
    if (const ProbeRecord* const record = find_record(probe.vmds, bdf, name, check)) {
        const std::string what = name + " ";
        check.fact(*record, what, "vendor", "0x8086");
        check.fact(*record, what, "device", "0xa77f");
        check.fact(*record, what, "driver", "vmd");
        check.fact(*record, what, "parent", text_of(fabric.at("root_port"), "bdf"));
        check.fact(*record, what, "numa_node",
                   fmt::format("{}", fabric.at("numa_node").get<int>()));
        check.fact(*record, what, "domain", text_of(fabric, "domain") + ":00");
    }
    for (const Json& port : fabric.at("ports")) check_port(fabric, port, devices, probe, check);
}

void check_extra_ports(const Json& fabrics, const Json& devices, const Probe& probe,
                       Checker& check) {
    std::set<std::string> planned;
    for (const Json& device : devices) {
        if (device.at("model") != "replica") continue;
        for (const Json& function : device.at("functions"))
            planned.insert(text_of(function, "bdf"));
    }
    for (const Json& fabric : fabrics) {
        planned.insert(text_of(fabric, "bdf"));
        for (const Json& port : fabric.at("ports")) planned.insert(text_of(port, "bdf"));
    }
    for (const auto& [bdf, record] : probe.vmds) {
        if (!planned.contains(bdf)) check.differs("VMD " + bdf, "nothing", "a VMD endpoint");
    }
    for (const auto& [bdf, record] : probe.ports) {
        // VFs of a replica are the guest's to enable.
        const std::string* const pf = record.find("physfn");
        if (planned.contains(bdf) || (pf != nullptr && planned.contains(*pf))) continue;
        check.differs("PCI function " + bdf, "nothing", "a function");
    }
}

}  // namespace mimic::verify
