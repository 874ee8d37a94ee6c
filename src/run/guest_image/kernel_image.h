// SPDX-License-Identifier: Apache-2.0
// What a file that is called a kernel is, told from its header: x86's bzImage (Documentation/arch/
// x86/boot.rst), ELF (vmlinux), Image of riscv64 and arm64 (arch/riscv/boot-image-header.rst,
// arch/arm64/booting.rst), each also compressed. The file is the user's, its bytes are nobody's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "topology/model.h"

namespace mimic::guest_image {

/// Largest kernel that is read. Arbitrary; a vmlinux with its debug information has a gigabyte.
inline constexpr size_t kMaxKernelFile = size_t{2} << 30;

enum class KernelKind : uint8_t { kBzImage, kElf, kImage };

struct KernelFacts {
    KernelKind kind = KernelKind::kBzImage;
    std::string release;   // "6.1.0-50-amd64", as uname -r says it; empty: the file does not tell
    std::string unpacked;  // what QEMU is given in place of the file; empty: the file itself
};

/// What QEMU can boot on `arch` of `file`. Errors, which say what was found and what to give
/// instead: invalid_argument for what is no kernel, one of another architecture or one that QEMU
/// cannot enter; illegal_byte_sequence for one that is cut short. Bounded by the file's size and
/// kMaxKernelFile. Pure.
Result<KernelFacts> inspect_kernel(std::string_view file, topology::Arch arch);

}  // namespace mimic::guest_image
