// SPDX-License-Identifier: Apache-2.0
// What a guest image takes from a kernel package: the modules it needs with those that they need,
// and the kernel itself as an ELF file, which starts seconds earlier under an emulated CPU than a
// kernel that unpacks itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mimic::guest_image {

/// Texts of modules.dep and modules.builtin.
struct ModuleIndex {
    std::string dep;
    std::string builtin;
};

/// Paths, as modules.dep has them, of `wanted` modules and of all they depend on, each before those
/// that need it, each once. Names compare as modprobe does ('-' equals '_'). Modules that are built
/// into the kernel are left out. Errors: no_such_file_or_directory for a module that the kernel
/// does not have. Pure.
Result<std::vector<std::string>> resolve_modules(const ModuleIndex& index,
                                                 const std::vector<std::string>& wanted);

/// "virtio_pci" of "kernel/x/virtio-pci.ko.xz". Pure.
std::string module_name(std::string_view path);

/// Whether an ELF kernel for x86_64 can be entered directly (PVH note, XEN_ELFNOTE_PHYS32_ENTRY).
/// Pure.
bool has_pvh_entry(std::string_view elf);

/// The ELF kernel inside a bzImage (Documentation/arch/x86/boot.rst: payload_offset,
/// payload_length), if it can be entered directly (PVH note, XEN_ELFNOTE_PHYS32_ENTRY). Errors:
/// not_supported (no note), illegal_byte_sequence (no bzImage, or broken). Pure.
Result<std::string> extract_elf_kernel(std::string_view bzimage);

}  // namespace mimic::guest_image
