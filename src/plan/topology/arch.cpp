// SPDX-License-Identifier: Apache-2.0
#include "topology/arch.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "topology/placement.h"

namespace mimic::topology {
namespace {

constexpr std::array<std::string_view, 1> kRiscv64Kernels = {"6.12"};

/// QEMU's virt machine has a window of 16 GiB for 64-bit BARs (virt_high_pcie_memmap of
/// hw/riscv/virt.c, QEMU 11.1); half of it leaves room for alignment.
constexpr uint64_t kRiscv64MemoryBars = 8ull << 30;

constexpr ArchFacts kFacts[] = {
    {.name = "x86_64",
     .machine = "q35",
     .kernels = kKernels,
     .max_memory_bars = kMaxMemoryBars,
     .has_firmware = true,
     .has_vmd = true,
     .has_pxb = true,
     .boots_images = true},
    {.name = "riscv64",
     .machine = "virt",
     .kernels = kRiscv64Kernels,
     .max_memory_bars = kRiscv64MemoryBars,
     .least_node_cpus = 1},
};

/// Linux gives devices of these kinds no addresses (__dev_sort_resources() of
/// drivers/pci/setup-bus.c): firmware is to have placed them.
bool is_placed_by_firmware(uint32_t class_code) {
    constexpr uint32_t kUnclassified = 0x0000;
    constexpr uint32_t kHostBridge = 0x0600;
    const uint32_t kind = class_code >> 8;
    return kind == kUnclassified || kind == kHostBridge;
}

/// True if there was a problem.
bool check_class(const Fields& fields, std::string_view arch, const FunctionSpec& function) {
    // Of a server that is not ours nothing is known that the file does not say.
    if (function.external && !function.external->class_code) return false;
    const uint32_t code = function.external ? *function.external->class_code : function.class_code;
    if (!is_placed_by_firmware(code)) return false;
    const uint32_t other = is_placed_by_firmware(function.model->facts.fabric_class_code)
                               ? 0x120000
                               : function.model->facts.fabric_class_code;
    fields.problem(fields.where("class"),
                   fmt::format("class {:#08x} of {} on {}, where no firmware places BARs and Linux "
                               "gives such a device none; expected another, such as class: {:#08x}",
                               code, function.name, arch, other));
    return true;
}

}  // namespace

const ArchFacts& facts_of(Arch arch) {
    return kFacts[static_cast<size_t>(arch)];
}

std::string kernel_series(Arch arch, const std::string& release) {
    return arch == Arch::kX86_64 ? release : fmt::format("{}-{}", release, facts_of(arch).name);
}

std::optional<std::string> kernel_problem(Arch arch, std::string_view release) {
    const ArchFacts& facts = facts_of(arch);
    if (std::find(facts.kernels.begin(), facts.kernels.end(), release) != facts.kernels.end())
        return std::nullopt;
    return fmt::format("kernel {} on {}, for which Debian has none; expected {}", release,
                       facts.name, join_or(facts.kernels));
}

void read_arch(const Fields& fields, Machine& machine) {
    machine.arch = static_cast<Arch>(fields.choice("arch", kArchs).value_or(0));
    if (const auto interrupts = fields.choice("interrupts", kInterrupts))
        machine.interrupts = static_cast<Interrupts>(*interrupts);
    if (const auto accel = fields.choice("accel", kAccels))
        machine.accel = static_cast<Accel>(*accel);
    if (machine.arch == Arch::kX86_64) {
        if (machine.interrupts == Interrupts::kIntx) {
            fields.problem(
                fields.where("interrupts"),
                "interrupts: intx on x86_64, whose machine has MSI in any case; expected "
                "arch: riscv64, or kernel_args: pci=nomsi");
        }
        return;
    }
    if (machine.accel == Accel::kKvm) {
        fields.problem(fields.where("accel"),
                       fmt::format("accel: kvm on {}, which is emulated here; expected tcg or auto",
                                   kArchs[static_cast<size_t>(machine.arch)]));
    }
    machine.accel = Accel::kTcg;
}

void settle_interrupts(Machine& machine) {
    for (DeviceSpec& device : machine.devices) {
        for (FunctionSpec& function : device.functions)
            function.has_messages = machine.interrupts == Interrupts::kMsi;
    }
}

void check_arch_of_device(const Fields& fields, const Machine& machine, const DeviceSpec& device) {
    const ArchFacts& facts = facts_of(machine.arch);
    if (device.on_fabric && !facts.has_vmd) {
        fields.problem(fields.where("name"),
                       fmt::format("device '{}' on a fabric on {}, where Linux has no driver for "
                                   "fabrics (vmd); expected attach: root-port, without the keys "
                                   "that need a fabric (switch, slot, hotplug: true, sriov: "
                                   "native), or arch: x86_64",
                                   device.name, facts.name));
        return;
    }
    if (device.numa_node && !facts.has_pxb) {
        fields.problem(fields.where("numa_node"),
                       fmt::format("'numa_node' of a device on {}, whose machine has one root bus "
                                   "without a node; expected no 'numa_node' here",
                                   facts.name));
    }
    if (facts.has_firmware) return;
    for (const FunctionSpec& function : device.functions) {
        if (check_class(fields, facts.name, function)) return;  // the others would repeat it
    }
}

}  // namespace mimic::topology
