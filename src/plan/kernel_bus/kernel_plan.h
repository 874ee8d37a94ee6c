// SPDX-License-Identifier: Apache-2.0
// KernelPlan: a machine as buses of the fake-sriov-vgpu kernel module, which are part of the kernel
// that runs here: what is written into its configfs tree, and what of the description that kernel
// cannot show. kernel/fake-sriov-vgpu/README.md is the contract.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "outputs/outputs.h"
#include "topology/model.h"

namespace mimic::kernel_bus {

/// First PCI domain that `mimic kernel` takes unless told: above those of the module's own modes.
inline constexpr uint32_t kFirstKernelDomain = 0x10;

// Limits of the module.
inline constexpr unsigned kKernelBusFunctions = 32;
inline constexpr uint32_t kMaxKernelDomain = 0xffff;
inline constexpr uint64_t kMaxKernelBar = 4ull << 20;
inline constexpr uint64_t kKernelMsixBar = 8192;  // BAR4 of every function

/// Who drives the PFs and VFs.
enum class KernelDriver : uint8_t {
    kModel,   // those of the models, which have to be loaded: the machine as its VMs show it
    kNvidia,  // the module's own: Tesla T4 ids and vGPU attributes in place of the device's
};

struct KernelPlanOptions {
    uint32_t first_domain = kFirstKernelDomain;
    KernelDriver driver = KernelDriver::kModel;
    unsigned vfs = 0;  // to enable of each PF
};

/// A PF with its VFs: one folder below its bus's.
struct KernelFunction {
    const topology::DeviceSpec* device = nullptr;  // borrowed
    std::string name;                              // of the folder: the device's
    unsigned slot = 0;
    topology::Bdf bdf;  // where it will be
    uint32_t class_code = 0;
    uint64_t bar2_size = 0;
    uint64_t vf_bar2_size = 0;
    unsigned link_width = 0;  // 0: one that the module does not know
    unsigned total_vfs = 0;
    unsigned enabled_vfs = 0;
    uint8_t vf_bus = 0;  // bus number of its VFs

    /// Address of VF `index`.
    topology::Bdf vf_bdf(unsigned index) const;
};

/// A host bridge: the PFs of one NUMA node, at most 32.
struct KernelBus {
    std::string name;  // of the folder
    uint32_t domain = 0;
    std::optional<unsigned> numa_node;
    std::vector<KernelFunction> functions;
};

/// Something of the description that this kernel will not show.
struct KernelLoss {
    std::string what;   // "gpu0: BAR2 of 16 MiB: the module has at most 4 MiB"
    size_t checks = 1;  // of `mimic verify` that it makes impossible
};

struct KernelPlan {
    const topology::Machine* machine = nullptr;  // borrowed
    KernelPlanOptions options;
    std::vector<KernelBus> buses;
    std::vector<KernelLoss> losses;
};

/// BAR0 as each function shows it when fresh, by function name.
using Registers = std::map<std::string, std::string>;

/// Plans `machine`, which must outlive the result. Ports, switches and slots are left out: all PFs
/// are on the root bus. Errors: invalid_argument if it has no device that is there at boot, or
/// needs domains above 0xffff. Pure.
Result<KernelPlan> make_kernel_plan(const topology::Machine& machine,
                                    const KernelPlanOptions& options);

/// A POSIX shell script that makes (`up`), removes (`down`) and lists (`status`) the plan's buses
/// on the kernel that it runs on. It needs nothing but a shell and, for `up`, root: it can be sent
/// to a guest. Errors: invalid_argument for a function without registers. Pure.
Result<std::string> kernel_script(const KernelPlan& plan, const Registers& registers);

/// The machine as it is on the kernel bus: other addresses, BARs and parents, native VFs, no ports,
/// no NUMA nodes of its own. For `mimic kernel verify`. `nodes`: NUMA nodes that the kernel has.
/// Pure.
topology::Machine kernel_machine(const KernelPlan& plan, const std::vector<unsigned>& nodes);

/// What is above each device there in sysfs, by the device's name. Pure.
std::map<std::string, std::string> kernel_parents(const KernelPlan& plan);

}  // namespace mimic::kernel_bus
