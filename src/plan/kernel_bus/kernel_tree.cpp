// SPDX-License-Identifier: Apache-2.0
// The expected tree of a machine, moved: every value that the kernel bus changes is changed here,
// so that the checks of `mimic verify` can be used as they are.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "kernel_bus/kernel_plan.h"
#include "outputs/outputs.h"

namespace mimic::kernel_bus {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kBar0Bytes = 4096;

Json bar(unsigned index, uint64_t size, bool prefetchable) {
    return {{"index", index}, {"size", size}, {"type", "memory64"}, {"prefetchable", prefetchable}};
}

Json bars(uint64_t bar2_size) {
    Json out = Json::array({bar(0, kBar0Bytes, false)});
    if (bar2_size > 0) out.push_back(bar(2, bar2_size, true));
    out.push_back(bar(4, kKernelMsixBar, false));
    return out;
}

void move_function(Json& function, const KernelFunction& to, int numa_node) {
    const bool is_vf = function.at("kind") == "vf";
    const std::string text = function.at("registers").at("VF_INDEX").get<std::string>();
    const auto index = static_cast<unsigned>(std::stoul(text, nullptr, 16));
    function["bdf"] = (is_vf ? to.vf_bdf(index) : to.bdf).str();
    function["class"] = fmt::format("0x{:06x}", to.class_code);
    function["bars"] = bars(is_vf ? to.vf_bar2_size : to.bar2_size);
    function["numa_node"] = numa_node;
    function["sysfs"]["attributes"]["numa_node"] = fmt::format("{}", numa_node);
}

void move_device(Json& device, const KernelFunction& to, int numa_node) {
    device["attach"] = "kernel";
    device["port"] = fmt::format("pci{:04x}:00", to.bdf.domain);
    device["numa_node"] = numa_node;
    device["hotplug"] = false;
    device["plugged"] = true;
    if (to.total_vfs > 0) device["sriov"] = "native";
    for (Json& function : device.at("functions")) move_function(function, to, numa_node);
}

}  // namespace

std::string kernel_tree(const topology::Model& model, const KernelPlan& plan,
                        const std::vector<unsigned>& nodes) {
    Json tree = Json::parse(outputs::tree_json(model));
    Json machines = Json::array();
    for (Json& machine : tree.at("machines")) {
        if (machine.at("name") != plan.machine->name) continue;
        Json devices = Json::array();
        for (const KernelBus& bus : plan.buses) {
            const bool has_node = bus.numa_node && std::find(nodes.begin(), nodes.end(),
                                                             *bus.numa_node) != nodes.end();
            const int node = has_node ? static_cast<int>(*bus.numa_node) : -1;
            for (const KernelFunction& function : bus.functions) {
                for (Json& device : machine.at("devices")) {
                    if (device.at("name") != function.device->name) continue;
                    move_device(device, function, node);
                    devices.push_back(device);
                }
            }
        }
        machine["numa_nodes"] = Json::array();
        machine["fabrics"] = Json::array();
        machine["devices"] = std::move(devices);
        machines.push_back(machine);
    }
    tree["machines"] = std::move(machines);
    return tree.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mimic::kernel_bus
