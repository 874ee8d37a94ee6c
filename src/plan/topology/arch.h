// SPDX-License-Identifier: Apache-2.0
// What a machine may be depends on its architecture: facts of each, and what follows from them for
// the reader of topology files. docs/topology.md, "Architecture".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "topology/fields.h"
#include "topology/model.h"

namespace mimic::topology {

/// Constants of the program.
struct ArchFacts {
    std::string_view name;     // of `arch:`, and behind "qemu-system-" that of QEMU's program
    std::string_view machine;  // QEMU's machine type
    Words kernels;             // that Debian has for it; the first is the default
    /// Addresses for the 64-bit BARs of a machine.
    uint64_t max_memory_bars = 0;
    unsigned least_node_cpus = 0;  // that QEMU asks for in a NUMA node
    bool has_firmware = false;     // that gives BARs and buses their numbers, and Linux keeps them
    bool has_vmd = false;          // Linux has the driver of fabrics
    bool has_pxb = false;          // Linux is told of root buses with a NUMA node
    bool boots_images = false;
};

const ArchFacts& facts_of(Arch arch);

/// The name of the guest image of a kernel: "6.1", "6.12-riscv64". Also what tools/debs calls it.
std::string kernel_series(Arch arch, const std::string& release);

/// What is wrong with booting `release` on `machine`'s architecture, or nothing.
std::optional<std::string> kernel_problem(Arch arch, std::string_view release);

/// Reads `arch`, `interrupts` and `accel`, which says what QEMU's program is and how it runs.
void read_arch(const Fields& fields, Machine& machine);

/// Reports what the keys of a device ask for and an architecture cannot give: a fabric, a NUMA
/// node, a class without addresses.
void check_arch_of_device(const Fields& fields, const Machine& machine, const DeviceSpec& device);

/// Notes in each function whether its machine takes MSIs. All devices are read.
void settle_interrupts(Machine& machine);

}  // namespace mimic::topology
