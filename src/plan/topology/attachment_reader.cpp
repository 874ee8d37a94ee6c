// SPDX-License-Identifier: Apache-2.0
// Reads where a device goes: below a root port of QEMU's, or on a fabric, and there
// below which port. docs/topology.md, "Device" and "Fabrics".
#include <algorithm>

#include <fmt/format.h>

#include "topology/reader.h"

namespace mimic::topology {
namespace {

constexpr std::string_view kUseFabric = "expected attach: fabric";

bool says(const Fields& fields, std::string_view key, std::string_view word) {
    const YamlNode* node = fields.find(key);
    return node && node->kind == YamlNode::Kind::kScalar && node->text == word;
}

/// The key that only a fabric can fulfil, or empty. `hotplug: false` and `sriov: static` are what
/// an endpoint has.
std::string_view fabric_key(const Fields& fields) {
    if (says(fields, "sriov", "native")) return "sriov";
    if (says(fields, "hotplug", "true")) return "hotplug";
    for (const std::string_view key : {"switch", "slot", "port_config"}) {
        if (fields.find(key)) return key;
    }
    return "";
}

/// The index in kAttachments. "endpoint" is the old word for "root-port": what is on a fabric is a
/// PCI Express endpoint, too.
std::optional<size_t> read_attach_word(const Fields& fields) {
    if (!says(fields, "attach", "endpoint")) return fields.choice("attach", kAttachments);
    fields.note(fields.where("attach"), "attach: endpoint is now called attach: root-port");
    return 0;
}

/// attach: what is said, or what the other keys need.
void read_attach(const Fields& fields, DeviceSpec& device) {
    const std::string_view needs_fabric = fabric_key(fields);
    const auto attach = read_attach_word(fields);
    device.on_fabric = attach ? *attach == 1 : !needs_fabric.empty();
    if (device.on_fabric) return;
    if (!needs_fabric.empty()) {
        fields.problem(
            fields.where(needs_fabric),
            fmt::format("'{}' with attach: root-port, which is a root port of QEMU's with "
                        "static VFs; {}, or no 'attach'",
                        needs_fabric, kUseFabric));
        return;
    }
    for (const std::string_view key : {"plugged", "acs", "ari"}) {
        if (!fields.find(key)) continue;
        fields.problem(
            fields.where(key),
            fmt::format("'{}' of a device below a root port of QEMU's; {}", key, kUseFabric));
    }
}

/// sriov: of a fabric native, else static.
void read_sriov(const Fields& fields, DeviceSpec& device) {
    const bool has_vfs = fields.find("vfs") != nullptr;
    device.native_sriov = device.on_fabric && has_vfs;
    const auto sriov = fields.choice("sriov", kSriovKinds);
    if (!sriov) return;
    const bool native = *sriov == 1;
    if (device.on_fabric && !native) {
        fields.problem(fields.where("sriov"),
                       "sriov: static on a fabric; a fabric has native SR-IOV: expected sriov: "
                       "native, or attach: root-port");
    } else if (native && !has_vfs) {
        fields.problem(fields.where("sriov"), "sriov: native without 'vfs'; expected the VFs");
    }
}

void read_switch_name(const Fields& fields, const Machine& machine, DeviceSpec& device) {
    const auto name = fields.pattern("switch", "the name of a switch");
    if (!name) return;
    const auto found = std::find_if(machine.switches.begin(), machine.switches.end(),
                                    [&](const SwitchSpec& one) { return one.name == *name; });
    if (found != machine.switches.end()) {
        device.parent_switch = static_cast<size_t>(found - machine.switches.begin());
        return;
    }
    std::vector<std::string_view> names;
    for (const SwitchSpec& one : machine.switches) {
        if (names.size() < 20 && is_label(one.name)) names.push_back(one.name);
    }
    const std::string_view near = nearest(*name, names);
    fields.problem(fields.where("switch"),
                   fmt::format("no switch is called '{}'; expected {}", name->substr(0, 70),
                               !near.empty()   ? fmt::format("'{}'?", near)
                               : names.empty() ? "a name from 'switches' of the machine"
                                               : join_or(names)));
}

/// numa_node: with a switch, the switch's.
void read_device_node(const Fields& fields, const Machine& machine, DeviceSpec& device) {
    device.numa_node = read_numa_node(fields, machine);
    if (!device.parent_switch) return;
    const SwitchSpec& above = machine.switches[*device.parent_switch];
    if (device.numa_node && device.numa_node != above.numa_node) {
        fields.problem(
            fields.where("numa_node"),
            fmt::format("numa_node is {} but switch '{}' is on {}; expected the same, or no "
                        "'numa_node' here",
                        *device.numa_node, above.name,
                        above.numa_node ? fmt::format("node {}", *above.numa_node) : "none"));
    }
    device.numa_node = above.numa_node;
}

/// QEMU's id of the root port, empty: chosen by placement.
void read_root_port(const Fields& fields, DeviceSpec& device) {
    const auto id = fields.pattern("root_port", "a name");
    if (!id) return;
    if (device.on_fabric) {
        fields.problem(fields.where("root_port"),
                       "'root_port' names a root port of QEMU's, which a device on a fabric does "
                       "not have; expected attach: root-port, or no 'root_port'");
        return;
    }
    const bool good = is_label(*id) && id->size() <= 31 && id->front() >= 'a' &&
                      !id->starts_with("numa") && !id->starts_with("mimic-") &&
                      !id->starts_with("dev-");
    if (!good) {
        fields.problem(fields.where("root_port"),
                       fmt::format("root_port is '{}'; expected 1 to 31 of a-z, 0-9 and '-', "
                                   "starting with a letter and not with numa, mimic- or dev-",
                                   id->substr(0, 40)));
        return;
    }
    device.port.id = *id;
}

void read_slot(const Fields& fields, DeviceSpec& device) {
    device.slot = static_cast<unsigned>(fields.number("slot", {1, kMaxSlot}).value_or(0));
    device.hotplug = fields.truth("hotplug").value_or(false);
    device.plugged = fields.truth("plugged").value_or(true);
    if (device.on_fabric && !device.plugged && !device.hotplug) {
        fields.problem(fields.where("plugged"),
                       "plugged: false in a slot without hot-plug stays empty for ever; expected "
                       "hotplug: true");
    }
}

}  // namespace

void read_attachment(const Fields& fields, const Machine& machine, DeviceSpec& device) {
    read_attach(fields, device);
    read_sriov(fields, device);
    read_switch_name(fields, machine, device);
    read_device_node(fields, machine, device);
    read_root_port(fields, device);
    read_slot(fields, device);
    const bool acs_above = !device.parent_switch || machine.switches[*device.parent_switch].acs;
    device.acs = fields.truth("acs").value_or(acs_above);
    device.ari = fields.truth("ari").value_or(true);
    device.port_config = read_port_image(
        fields, "port_config", device.parent_switch ? PortKind::kDownstream : PortKind::kRoot);
}

}  // namespace mimic::topology
