// SPDX-License-Identifier: Apache-2.0
#include "guest_image/kernel_image.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "guest_image/bytes_at.h"
#include "guest_image/initramfs.h"
#include "guest_image/kernel_files.h"

namespace mimic::guest_image {
namespace {

using topology::Arch;

constexpr size_t kMaxUnpacked = 512u << 20;  // arbitrary; Debian's has 66 MB
constexpr size_t kMaxRelease = 64;           // __NEW_UTS_LEN of Linux

bool has_at(std::string_view data, size_t offset, std::string_view magic) {
    return data.size() >= offset && data.substr(offset).starts_with(magic);
}

/// What a person calls the kernel that an architecture's build makes.
std::string_view wanted(Arch arch) {
    return arch == Arch::kX86_64 ? "arch/x86/boot/bzImage of a build, or a distribution's vmlinuz"
                                 : "arch/riscv/boot/Image of a build";
}

tl::unexpected<Error> no_kernel(Arch arch, std::string_view what) {
    return fail(std::errc::invalid_argument, "it is {}; expected a kernel for {} ({})", what,
                arch == Arch::kX86_64 ? "x86_64" : "riscv64", wanted(arch));
}

/// The word at the start of `text`, if it can be a release.
std::string release_word(std::string_view text) {
    const size_t end = text.find_first_of(std::string_view(" \n\0", 3));
    const std::string_view word = text.substr(0, std::min(end, kMaxRelease + 1));
    const bool good = !word.empty() && word.size() <= kMaxRelease && word[0] >= '0' &&
                      word[0] <= '9' && std::all_of(word.begin(), word.end(), [](char c) {
                          return c > ' ' && c < 0x7f && c != '/' && c != '%';
                      });
    return good ? std::string(word) : "";
}

/// The release that the kernel's banner tells. Bytes before the right one may look like it: a
/// format string has a '%' there.
std::string release_in(std::string_view kernel) {
    constexpr std::string_view kBanner = "Linux version ";
    for (size_t at = kernel.find(kBanner); at != std::string_view::npos;
         at = kernel.find(kBanner, at + 1)) {
        if (std::string word = release_word(kernel.substr(at + kBanner.size())); !word.empty())
            return word;
    }
    return {};
}

Result<KernelFacts> inspect_bzimage(std::string_view file, Arch arch) {
    constexpr size_t kSetupSectors = 0x1f1;
    constexpr size_t kSystemSize = 0x1f4;  // in 16 bytes
    constexpr size_t kVersion = 0x206;
    constexpr size_t kVersionText = 0x20e;  // from 0x200 on
    constexpr size_t kLoadFlags = 0x211;
    constexpr size_t kXloadFlags = 0x236;
    constexpr uint8_t kLoadedHigh = 1;
    constexpr uint16_t kKernel64 = 1;
    if (arch != Arch::kX86_64) return no_kernel(arch, "a bzImage, which is a kernel for x86");
    const auto version = load<uint16_t>(file, kVersion);
    const auto flags = load<uint8_t>(file, kLoadFlags);
    const auto xflags = load<uint16_t>(file, kXloadFlags);
    if (!version || !flags || !xflags)
        return fail(std::errc::illegal_byte_sequence, "the bzImage is cut short within its header");
    if (*version < 0x20c || (*flags & kLoadedHigh) == 0)
        return no_kernel(arch, "a kernel of before Linux 3.8 (2013)");
    if ((*xflags & kKernel64) == 0) return no_kernel(arch, "a bzImage for 32-bit x86");
    const uint8_t sectors = load<uint8_t>(file, kSetupSectors).value_or(0);
    const uint64_t whole = uint64_t{sectors == 0 ? 4u : sectors} * 512 + 512 +
                           uint64_t{load<uint32_t>(file, kSystemSize).value_or(0)} * 16;
    if (file.size() < whole)
        return fail(std::errc::illegal_byte_sequence,
                    "the bzImage is cut short: it has {} bytes of {}; copy or build it anew",
                    file.size(), whole);
    KernelFacts facts;
    const size_t text = load<uint16_t>(file, kVersionText).value_or(0);
    if (text != 0 && text + 0x200 < file.size())
        facts.release = release_word(file.substr(text + 0x200));
    return facts;
}

std::string machine_name(uint16_t machine) {
    switch (machine) {
        case EM_X86_64:
            return "x86_64";
        case EM_386:
            return "32-bit x86";
        case EM_AARCH64:
            return "arm64";
        case EM_ARM:
            return "32-bit arm";
        case EM_RISCV:
            return "riscv64";
        case EM_PPC64:
            return "ppc64";
        case EM_S390:
            return "s390";
        default:
            return fmt::format("ELF machine {}", machine);
    }
}

/// Checks that each segment that is loaded lies in the file.
Status check_segments(std::string_view file, const Elf64_Ehdr& header) {
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        const auto segment = load<Elf64_Phdr>(file, header.e_phoff + i * sizeof(Elf64_Phdr));
        if (segment &&
            (segment->p_type != PT_LOAD || (segment->p_offset <= file.size() &&
                                            segment->p_filesz <= file.size() - segment->p_offset)))
            continue;
        return fail(std::errc::illegal_byte_sequence,
                    "the vmlinux is cut short: it has {} bytes and names more; copy or build it "
                    "anew",
                    file.size());
    }
    return {};
}

Result<KernelFacts> inspect_elf(std::string_view file, Arch arch) {
    const auto header = load<Elf64_Ehdr>(file, 0);
    if (!header)
        return fail(std::errc::illegal_byte_sequence, "the ELF file is cut short in its header");
    const uint16_t machine = arch == Arch::kX86_64 ? EM_X86_64 : EM_RISCV;
    if (header->e_machine != machine)
        return no_kernel(arch, fmt::format("an ELF file for {}", machine_name(header->e_machine)));
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
        return no_kernel(arch, "an ELF file that is not of 64 bits, little-endian");
    if (header->e_type == ET_REL) return no_kernel(arch, "an object file or kernel module");
    if (header->e_phnum == 0) return no_kernel(arch, "an ELF file without anything to load");
    MIMIC_TRY(check_segments(file, *header));
    KernelFacts facts;
    facts.kind = KernelKind::kElf;
    facts.release = release_in(file);
    if (arch == Arch::kX86_64 && !has_pvh_entry(file))
        return no_kernel(arch, facts.release.empty()
                                   ? "an ELF program without a PVH entry"
                                   : "a vmlinux without a PVH entry (CONFIG_PVH=y makes it)");
    return facts;
}

Result<KernelFacts> inspect_plain(std::string_view file, Arch arch) {
    constexpr size_t kMagic = 56;  // of both Images
    if (has_at(file, 0x202, "HdrS")) return inspect_bzimage(file, arch);
    if (has_at(file, 0, std::string_view(ELFMAG, SELFMAG))) return inspect_elf(file, arch);
    if (has_at(file, kMagic, "ARM\x64")) return no_kernel(arch, "an Image for arm64");
    if (has_at(file, 4, "zimg"))
        return no_kernel(arch, "an EFI program that unpacks a kernel (vmlinuz.efi)");
    if (has_at(file, kMagic, "RSC\x05")) {
        if (arch != Arch::kRiscv64) return no_kernel(arch, "an Image for riscv64");
        KernelFacts facts;
        facts.kind = KernelKind::kImage;
        facts.release = release_in(file);
        return facts;
    }
    if (file.empty()) return no_kernel(arch, "empty");
    const bool is_text = std::all_of(file.begin(),
                                     file.begin() + std::min<size_t>(file.size(), 512),
                                     [](char c) { return c >= ' ' || c == '\n' || c == '\t'; });
    if (is_text) return no_kernel(arch, file.starts_with("#!") ? "a script" : "a text file");
    return no_kernel(arch, "no kernel that is known here: neither bzImage, nor ELF, nor Image");
}

bool is_compressed(std::string_view file) {
    return has_at(file, 0, "\x1f\x8b") ||
           has_at(file, 0,
                  "\xfd"
                  "7zXZ") ||
           has_at(file, 0, "\x28\xb5\x2f\xfd");
}

}  // namespace

Result<KernelFacts> inspect_kernel(std::string_view file, Arch arch) {
    if (!is_compressed(file)) return inspect_plain(file, arch);
    MIMIC_ASSIGN_OR_RETURN(std::string unpacked, decompress(file, kMaxUnpacked));
    MIMIC_ASSIGN_OR_RETURN(KernelFacts facts, inspect_plain(unpacked, arch));
    facts.unpacked = std::move(unpacked);
    return facts;
}

}  // namespace mimic::guest_image
