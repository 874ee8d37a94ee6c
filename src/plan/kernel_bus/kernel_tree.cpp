// SPDX-License-Identifier: Apache-2.0
// The machine, moved: every value that the kernel bus changes is changed here, so that the checks
// of `mimic verify` can be used as they are.
#include <algorithm>

#include <fmt/format.h>

#include "kernel_bus/kernel_plan.h"

namespace mimic::kernel_bus {
namespace {

using topology::DeviceSpec;
using topology::FunctionSpec;

constexpr uint64_t kStubBar0Bytes = 4096;

std::vector<topology::BarSpec> bars(uint64_t bar2_size) {
    const auto bar = [](unsigned index, uint64_t size, bool prefetchable) {
        return topology::BarSpec{
            .index = index, .size = size, .is_64bit = true, .prefetchable = prefetchable};
    };
    std::vector<topology::BarSpec> out{bar(0, kStubBar0Bytes, false)};
    if (bar2_size > 0) out.push_back(bar(2, bar2_size, true));
    out.push_back(bar(4, kKernelMsixBar, false));
    return out;
}

DeviceSpec moved(const KernelFunction& to, std::optional<unsigned> numa_node) {
    DeviceSpec device = *to.device;
    device.numa_node = numa_node;
    device.on_fabric = false;
    device.fabric.reset();
    device.hotplug = false;
    device.plugged = true;
    device.native_sriov = to.total_vfs > 0;
    for (FunctionSpec& function : device.functions) {
        function.bdf = function.vf_index ? to.vf_bdf(*function.vf_index) : to.bdf;
        function.class_code = to.class_code;
        function.bars = bars(function.is_vf() ? to.vf_bar2_size : to.bar2_size);
    }
    return device;
}

}  // namespace

topology::Machine kernel_machine(const KernelPlan& plan, const std::vector<unsigned>& nodes) {
    topology::Machine machine = *plan.machine;
    machine.devices.clear();
    machine.fabrics.clear();
    machine.switches.clear();
    machine.has_numa = false;  // its nodes are this kernel's
    for (const KernelBus& bus : plan.buses) {
        const bool has_node = bus.numa_node &&
                              std::find(nodes.begin(), nodes.end(), *bus.numa_node) != nodes.end();
        for (const KernelFunction& function : bus.functions)
            machine.devices.push_back(moved(function, has_node ? bus.numa_node : std::nullopt));
    }
    return machine;
}

std::map<std::string, std::string> kernel_parents(const KernelPlan& plan) {
    std::map<std::string, std::string> parents;
    for (const KernelBus& bus : plan.buses) {
        for (const KernelFunction& function : bus.functions)
            parents[function.name] = fmt::format("pci{:04x}:00", function.bdf.domain);
    }
    return parents;
}

}  // namespace mimic::kernel_bus
