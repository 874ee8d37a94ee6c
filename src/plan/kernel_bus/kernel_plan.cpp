// SPDX-License-Identifier: Apache-2.0
#include "kernel_bus/kernel_plan.h"
#include "kernel_bus/bus_layout.h"

#include <algorithm>

#include <fmt/format.h>

namespace mimic::kernel_bus {
namespace {

using topology::DeviceSpec;
using topology::FunctionSpec;
using topology::Machine;

constexpr uint32_t kAccelerator = 0x120000;  // processing accelerator

/// The PCI core assigns nothing to devices of these classes: drivers/pci/setup-bus.c,
/// __dev_sort_resources().
bool has_no_addresses(uint32_t class_code) {
    return class_code >> 8 == 0x0000 || class_code >> 8 == 0x0600;
}

bool is_known_width(unsigned width) {
    return width != 0 && width <= 32 && (width & (width - 1)) == 0;
}

class Planner {
public:
    Planner(const Machine& machine, const KernelPlanOptions& options) {
        plan_.machine = &machine;
        plan_.options = options;
    }

    Result<KernelPlan> make() {
        for (const DeviceSpec& device : plan_.machine->devices) {
            if (device.plugged) {
                add(device);
            } else {
                lose("{}: not plugged in: the bus has no slots", device.name);
            }
        }
        if (plan_.buses.empty()) {
            return fail(std::errc::invalid_argument, "machine {} has no devices at boot",
                        plan_.machine->name);
        }
        std::stable_sort(
            plan_.buses.begin(), plan_.buses.end(),
            [](const KernelBus& a, const KernelBus& b) { return a.numa_node < b.numa_node; });
        if (plan_.options.first_domain + plan_.buses.size() > kMaxKernelDomain + 1) {
            return fail(std::errc::invalid_argument,
                        "{} buses from domain {:#06x} on: domains end at {:#x}", plan_.buses.size(),
                        plan_.options.first_domain, kMaxKernelDomain);
        }
        number();
        const size_t ports = std::count_if(plan_.machine->devices.begin(),
                                           plan_.machine->devices.end(),
                                           [](const DeviceSpec& device) { return device.plugged; });
        lose_checks(ports, "ports above devices: all are on a root bus");
        size_t fabric_ports = 0;
        for (const auto& fabric : plan_.machine->fabrics) fabric_ports += fabric.ports.size();
        if (fabric_ports > 0) {
            lose_checks(fabric_ports, "switches, slots, AER and hot-plug of fabrics");
        }
        if (plan_.machine->has_numa) {
            lose_checks(plan_.machine->nodes.size(),
                        "CPUs, memory and distances of NUMA nodes: they are this kernel's");
        }
        return std::move(plan_);
    }

private:
    template <typename... Args>
    void lose(fmt::format_string<Args...> format, Args&&... args) {
        lose_checks(1, fmt::format(format, std::forward<Args>(args)...));
    }
    void lose_checks(size_t checks, std::string what) {
        plan_.losses.push_back({std::move(what), checks});
    }

    KernelBus& bus_for(const DeviceSpec& device) {
        size_t count = 0;
        for (KernelBus& bus : plan_.buses) {
            if (bus.numa_node != device.numa_node) continue;
            if (bus.functions.size() < kKernelBusFunctions) return bus;
            ++count;
        }
        KernelBus bus;
        bus.name = plan_.machine->name +
                   (device.numa_node ? fmt::format("-numa{}", *device.numa_node) : "") +
                   (count > 0 ? fmt::format("-{}", count) : "");
        bus.numa_node = device.numa_node;
        plan_.buses.push_back(std::move(bus));
        return plan_.buses.back();
    }

    void add(const DeviceSpec& device) {
        const FunctionSpec& pf = device.functions.front();
        KernelFunction function;
        function.device = &device;
        function.name = device.name;
        function.total_vfs = static_cast<unsigned>(device.functions.size()) - 1;
        function.enabled_vfs = std::min(plan_.options.vfs, function.total_vfs);
        function.class_code = pf.class_code;
        if (plan_.options.driver == KernelDriver::kModel) add_model(function, pf);
        function.link_width = is_known_width(device.link.width) ? device.link.width : 0;
        if (function.link_width == 0) {
            lose("{}: link of {} lanes: the module does not know it", device.name,
                 device.link.width);
        }
        KernelBus& bus = bus_for(device);
        function.slot = static_cast<unsigned>(bus.functions.size());
        bus.functions.push_back(std::move(function));
    }

    void add_model(KernelFunction& function, const FunctionSpec& pf) {
        const DeviceSpec& device = *function.device;
        if (has_no_addresses(pf.class_code)) {
            function.class_code = kAccelerator;
            lose("{}: class {:#08x}: Linux gives such devices no addresses, so it is {:#08x}",
                 device.name, pf.class_code, kAccelerator);
        }
        function.bar2_size = pf.memory_bar();
        if (function.bar2_size > kMaxKernelBar) {
            lose("{}: BAR2 of {} bytes: the module has at most {}", device.name, function.bar2_size,
                 kMaxKernelBar);
            function.bar2_size = 0;
        }
        if (function.total_vfs == 0) return;
        // The VFs of an endpoint may differ; those of an SR-IOV capability do not.
        uint64_t most = 0;
        uint64_t least = UINT64_MAX;
        for (size_t i = 1; i < device.functions.size(); ++i) {
            most = std::max(most, device.functions[i].memory_bar());
            least = std::min(least, device.functions[i].memory_bar());
        }
        function.vf_bar2_size = most;
        if (most != least || most * function.total_vfs > kMaxKernelBar) {
            function.vf_bar2_size = 0;
            lose("{}: BAR2 of VFs: {}", device.name,
                 most != least
                     ? std::string("they differ in size")
                     : fmt::format("the module has at most {} bytes for all", kMaxKernelBar));
        }
    }

    void number() {
        uint32_t domain = plan_.options.first_domain;
        for (KernelBus& bus : plan_.buses) {
            bus.domain = domain++;
            uint8_t vf_bus = 0;
            for (KernelFunction& function : bus.functions) {
                function.bdf = {bus.domain, 0, static_cast<uint8_t>(function.slot), 0};
                if (function.total_vfs > 0) function.vf_bus = ++vf_bus;
            }
        }
    }

    KernelPlan plan_;
};

}  // namespace

topology::Bdf KernelFunction::vf_bdf(unsigned index) const {
    return {bdf.domain, vf_bus, static_cast<uint8_t>(index / 8), static_cast<uint8_t>(index % 8)};
}

Result<KernelPlan> make_kernel_plan(const Machine& machine, const KernelPlanOptions& options) {
    if (const DeviceSpec* const clone = machine.find_clone()) {
        return fail(std::errc::not_supported,
                    "{}: a clone is served to a guest by mimic up only, not without a VM",
                    clone->name);
    }
    MIMIC_TRY(refuse_external(machine));
    return Planner(machine, options).make();
}

}  // namespace mimic::kernel_bus
