// SPDX-License-Identifier: Apache-2.0
// tree_json(): what a guest must show. The format is documented in docs/topology.md, "Expected
// tree"; keys are only ever added. Numbers that registers or sysfs print in hexadecimal are strings
// in that very form.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "outputs/outputs.h"
#include "topology/arch.h"
#include "topology/topology.h"

namespace mimic::outputs {
namespace {

using Json = nlohmann::ordered_json;

int numa_node_of(std::optional<unsigned> node) {
    return node ? static_cast<int>(*node) : -1;
}

Json link_json(const topology::Link& link) {
    return {{"generation", link.generation},
            {"speed", fmt::format("{} GT/s", link.gigatransfers())},
            {"width", link.width}};
}

/// "native", "static", or null for a device without VFs.
Json sriov_of(const topology::DeviceSpec& device) {
    if (!device.functions.back().is_vf()) return nullptr;
    return device.native_sriov ? "native" : "static";
}

/// What `layer` shows of the function, by name. Attributes of sysfs as a read returns them, without
/// the newline. A VF shows them once its PF's sriov_numvfs covers it.
Json expected(model::Expectation::Layer layer, const topology::DeviceSpec& device,
              const topology::FunctionSpec& function) {
    Json out = Json::object();
    for (const model::Expectation& one : device.model->expects) {
        if (one.layer != layer || !model::applies(one, function)) continue;
        out[std::string(one.name)] = model::expected_text(one, function,
                                                          numa_node_of(device.numa_node));
    }
    return out;
}

Json bars(const topology::FunctionSpec& function) {
    Json out = Json::array();
    for (const topology::BarSpec& bar : function.bars) {
        out.push_back({{"index", bar.index},
                       {"size", bar.size},
                       {"type", bar.is_io      ? "io"
                                : bar.is_64bit ? "memory64"
                                               : "memory32"},
                       {"prefetchable", bar.prefetchable}});
    }
    return out;
}

/// What every function has.
Json common_json(const topology::DeviceSpec& device, const topology::FunctionSpec& function) {
    return {
        {"name", function.name},
        {"kind", function.is_vf() ? "vf" : "pf"},
        {"bdf", function.bdf.str()},
        {"vendor", fmt::format("0x{:04x}", function.vendor_id)},
        {"device", fmt::format("0x{:04x}", function.device_id)},
        {"class", fmt::format("0x{:06x}", function.class_code)},
        {"numa_node", numa_node_of(device.numa_node)},
        {"bars", bars(function)},
    };
}

Json function_json(const topology::Machine& machine, const topology::DeviceSpec& device,
                   const topology::FunctionSpec& function) {
    Json out = common_json(device, function);
    if (function.external) {  // only what the file states is known
        if (!function.external->vendor_id) out["vendor"] = nullptr;
        if (!function.external->device_id) out["device"] = nullptr;
        if (!function.external->class_code) out["class"] = nullptr;
        if (!function.external->has_bars) out["bars"] = nullptr;
        return out;
    }
    if (function.clone) {  // known from outside only: no registers, and no driver of ours
        out["rom"] = function.clone->rom_size;
        out["total_vfs"] = function.clone->total_vfs;
        return out;
    }
    for (const model::Property& property : device.model->properties)
        if (property.in_tree) out[std::string(property.key)] = function.value(property.key);
    if (!device.model->expects.empty())
        out["registers"] = expected(model::Expectation::Layer::kRegister, device, function);
    if (const std::string name = topology::sysfs_name(machine, function); !name.empty()) {
        out["sysfs"] = {
            {"name", name},
            {"attributes", expected(model::Expectation::Layer::kSysfs, device, function)}};
    }
    return out;
}

Json device_json(const topology::Machine& machine, const topology::DeviceSpec& device) {
    Json functions = Json::array();
    for (const topology::FunctionSpec& function : device.functions) {
        functions.push_back(function_json(machine, device, function));
    }
    Json out = {
        {"name", device.name},
        {"model", device.model->facts.name},
        {"numa_node", numa_node_of(device.numa_node)},
        {"isolation", device.isolation == topology::Isolation::kShared ? "shared" : "process"},
        {"attach", device.on_fabric ? "fabric" : "endpoint"},
    };
    if (device.model->facts.is_virtio())
        out["transport"] = device.is_vhost_user() ? "vhost-user" : "pci";
    if (device.fabric) {
        out["fabric"] = machine.fabrics.at(*device.fabric).name;
    } else {
        out["root_port"] = {{"id", device.port.id}, {"bdf", device.port.bdf.str()}};
    }
    out["port"] = machine.port_above(device).str();
    out["slot"] = device.slot;
    out["hotplug"] = device.hotplug;
    out["plugged"] = device.plugged;
    out["sriov"] = sriov_of(device);
    out["link"] = link_json(device.link);
    out["functions"] = std::move(functions);
    return out;
}

std::string_view kind_name(topology::PortSpec::Kind kind) {
    switch (kind) {
        case topology::PortSpec::Kind::kRootPort:
            return "root_port";
        case topology::PortSpec::Kind::kSwitchUpstream:
            return "switch_upstream";
        case topology::PortSpec::Kind::kSwitchDownstream:
            break;
    }
    return "switch_downstream";
}

Json fabric_json(const topology::FabricSpec& fabric) {
    Json ports = Json::array();
    for (const topology::PortSpec& port : fabric.ports) {
        ports.push_back({
            {"name", port.name},
            {"kind", kind_name(port.kind)},
            {"bdf", port.bdf.str()},
            {"parent", port.parent ? Json(fabric.ports[*port.parent].bdf.str()) : Json(nullptr)},
            {"secondary", port.secondary_bus},
            {"subordinate", port.subordinate_bus},
            {"link", link_json(port.link)},
            {"slot", port.slot},
            {"hotplug", port.hotplug},
            {"acs", port.acs},
            {"ari", port.ari},
        });
        if (!port.config.empty()) ports.back()["replica"] = true;
    }
    return {
        {"name", fabric.name},
        {"numa_node", numa_node_of(fabric.numa_node)},
        {"isolation", fabric.isolation == topology::Isolation::kShared ? "shared" : "process"},
        {"root_port", {{"id", fabric.port.id}, {"bdf", fabric.port.bdf.str()}}},
        {"bdf", fabric.bdf.str()},
        {"domain", fmt::format("{:04x}", fabric.domain)},
        {"buses", fabric.buses},
        {"ports", std::move(ports)},
    };
}

Json machine_json(const topology::Machine& machine) {
    Json nodes = Json::array();
    for (size_t i = 0; machine.has_numa && i < machine.nodes.size(); ++i) {
        const topology::NumaNode& node = machine.nodes[i];
        Json cpus = Json::array();
        for (unsigned cpu = 0; cpu < node.cpus; ++cpu) cpus.push_back(node.first_cpu + cpu);
        Json distances = node.distances;
        for (size_t to = 0; node.distances.empty() && to < machine.nodes.size(); ++to) {
            distances.push_back(to == i ? 10 : 20);
        }
        nodes.push_back({{"node", i},
                         {"cpus", std::move(cpus)},
                         {"memory", node.memory},
                         {"distances", std::move(distances)}});
    }
    Json devices = Json::array();
    for (const topology::DeviceSpec& device : machine.devices)
        devices.push_back(device_json(machine, device));
    Json fabrics = Json::array();
    for (const topology::FabricSpec& fabric : machine.fabrics)
        fabrics.push_back(fabric_json(fabric));
    return {
        {"name", machine.name},           {"arch", topology::facts_of(machine.arch).name},
        {"cpus", machine.cpus},           {"memory", machine.memory},
        {"numa_nodes", std::move(nodes)}, {"fabrics", std::move(fabrics)},
        {"devices", std::move(devices)},
    };
}

}  // namespace

std::string tree_json(const topology::Model& model) {
    Json machines = Json::array();
    for (const topology::Machine& machine : model.machines)
        machines.push_back(machine_json(machine));
    const Json out = {{"format", "mimic-tree"}, {"version", 1}, {"machines", std::move(machines)}};
    return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mimic::outputs
