// SPDX-License-Identifier: Apache-2.0
// Finds a QEMU that has the vfio-user-pci device (10.1 or newer).
#pragma once

#include <string>

#include "base/result.h"
#include "guest_image/progress.h"
#include "topology/model.h"

namespace mimic::machine {

/// What a QEMU that was broken out of may not do: start programs, become another user, use system
/// calls of long ago, take more of the machine. The value of -sandbox.
inline constexpr const char* kQemuSandbox =
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

struct Qemu {
    std::string program;   // qemu-system-x86_64 or -riscv64
    std::string img;       // qemu-img; empty: not there
    std::string version;   // "11.1.3"
    bool sandbox = false;  // whether it takes kQemuSandbox
};

/// Whether and why a program will do. Runs it twice. Errors: those of starting it; io_error if it
/// fails or is no QEMU; not_supported if it has no vfio-user-pci, with its version and what to do
/// about it.
Result<Qemu> check_qemu(const std::string& program);

/// The first that will do for guests of an architecture: $MIMIC_QEMU, or $MIMIC_QEMU_RISCV64 (then
/// no other is tried), the system's, the private one in the cache. Downloads nothing. Errors: those
/// of check_qemu() for $MIMIC_QEMU; no_such_file_or_directory.
Result<Qemu> find_qemu(topology::Arch arch = topology::Arch::kX86_64);

/// find_qemu(), and if there is none `tools/debs qemu`, which unpacks one into the cache. Blocks.
Result<Qemu> locate_qemu(guest_image::Progress& progress,
                         topology::Arch arch = topology::Arch::kX86_64);

}  // namespace mimic::machine
