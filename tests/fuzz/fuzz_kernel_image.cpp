// SPDX-License-Identifier: Apache-2.0
// Files that are called a kernel, or a module: whatever their bytes are, they are answered.
#include <string_view>

#include "guest_image/kernel_files.h"
#include "guest_image/kernel_image.h"
#include "guest_image/module_file.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using mimic::topology::Arch;
    const std::string_view file(reinterpret_cast<const char*>(data), size);
    for (const Arch arch : {Arch::kX86_64, Arch::kRiscv64}) {
        const auto kernel = mimic::guest_image::inspect_kernel(file, arch);
        FUZZ_REQUIRE(!kernel || kernel->release.size() <= 64);
        const auto module = mimic::guest_image::read_module_facts(file, arch);
        FUZZ_REQUIRE(!module || module->needs.size() <= size);
    }
    [[maybe_unused]] const auto elf = mimic::guest_image::extract_elf_kernel(file);
    return 0;
}
