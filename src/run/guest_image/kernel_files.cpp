// SPDX-License-Identifier: Apache-2.0
// The files come from Debian's signed packages, but offsets inside them are checked as if they did
// not: a truncated download must end in a message.
#include "guest_image/kernel_files.h"

#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "guest_image/bytes_at.h"
#include "guest_image/initramfs.h"

namespace mimic::guest_image {
namespace {

constexpr size_t kMaxKernelBytes = 512u << 20;  // arbitrary; Debian's has 66 MB
constexpr unsigned kMaxSegments = 64;           // Linux has 5
constexpr uint64_t kMaxNotes = 64u << 10;       // bytes of a segment; Linux' have 500
constexpr uint32_t kPhys32Entry = 18;  // XEN_ELFNOTE_PHYS32_ENTRY, xen/include/public/elfnote.h

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const size_t end = std::min(text.find(separator), text.size());
        if (end > 0) parts.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

/// True if a note segment holds the entry point that QEMU needs.
bool has_entry_note(std::string_view notes) {
    uint64_t offset = 0;
    while (const auto note = load<Elf64_Nhdr>(notes, offset)) {
        const uint64_t name = offset + sizeof(Elf64_Nhdr);
        const auto aligned = [](uint64_t size) { return (size + 3) & ~uint64_t{3}; };
        if (note->n_type == kPhys32Entry && note->n_namesz == 4 && name + 4 <= notes.size() &&
            notes.substr(name, 4) == std::string_view("Xen\0", 4)) {
            return true;
        }
        offset = name + aligned(note->n_namesz) + aligned(note->n_descsz);
    }
    return false;
}

}  // namespace

bool has_pvh_entry(std::string_view elf) {
    const auto header = load<Elf64_Ehdr>(elf, 0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_machine != EM_X86_64) {
        return false;
    }
    for (unsigned i = 0; i < std::min<unsigned>(header->e_phnum, kMaxSegments); ++i) {
        const auto segment = load<Elf64_Phdr>(elf, header->e_phoff + i * sizeof(Elf64_Phdr));
        if (!segment) return false;
        if (segment->p_type != PT_NOTE || segment->p_offset > elf.size()) continue;
        if (has_entry_note(
                elf.substr(segment->p_offset, std::min<uint64_t>(segment->p_filesz, kMaxNotes))))
            return true;
    }
    return false;
}

std::string module_name(std::string_view path) {
    const size_t slash = path.rfind('/');
    if (slash != std::string_view::npos) path.remove_prefix(slash + 1);
    std::string name(path.substr(0, path.find(".ko")));
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

Result<std::vector<std::string>> resolve_modules(const ModuleIndex& index,
                                                 const std::vector<std::string>& wanted) {
    std::map<std::string, std::string_view> lines;  // by module, its line of modules.dep
    for (const std::string_view line : split(index.dep, '\n')) {
        lines.emplace(module_name(line.substr(0, line.find(':'))), line);
    }
    std::set<std::string> builtin;
    for (const std::string_view line : split(index.builtin, '\n'))
        builtin.insert(module_name(line));

    std::vector<std::string> order;
    for (const std::string& name : wanted) {
        const std::string key = module_name(name);
        const auto found = lines.find(key);
        if (found == lines.end()) {
            if (builtin.contains(key)) continue;
            return fail(std::errc::no_such_file_or_directory, "the kernel has no module {}", name);
        }
        const std::string_view line = found->second;
        const size_t colon = std::min(line.find(':'), line.size());
        // depmod lists all dependencies of a module, those that must be loaded first last.
        std::vector<std::string_view> needs = split(line.substr(std::min(colon + 1, line.size())),
                                                    ' ');
        std::reverse(needs.begin(), needs.end());
        needs.push_back(line.substr(0, colon));
        for (const std::string_view path : needs) {
            if (std::find(order.begin(), order.end(), path) == order.end())
                order.emplace_back(path);
        }
    }
    return order;
}

Result<std::string> extract_elf_kernel(std::string_view bzimage) {
    constexpr uint64_t kSetupSectors = 0x1f1;
    constexpr uint64_t kMagic = 0x202;
    constexpr uint64_t kPayloadOffset = 0x248;
    constexpr uint64_t kPayloadLength = 0x24c;
    const auto magic = load<uint32_t>(bzimage, kMagic);
    const auto sectors = load<uint8_t>(bzimage, kSetupSectors);
    const auto offset = load<uint32_t>(bzimage, kPayloadOffset);
    const auto length = load<uint32_t>(bzimage, kPayloadLength);
    if (!magic || *magic != 0x53726448 || !length) {
        return fail(std::errc::illegal_byte_sequence, "the kernel is no bzImage");
    }
    // Sector 0 is the boot sector; 0 means 4 for old boot loaders' sake.
    const uint64_t start = uint64_t{*sectors == 0 ? 4u : *sectors} * 512 + 512 + *offset;
    // The last four bytes of the payload repeat the unpacked size.
    if (*length < 4 || start > bzimage.size() || bzimage.size() - start < *length) {
        return fail(std::errc::illegal_byte_sequence, "the kernel is cut short");
    }
    MIMIC_ASSIGN_OR_RETURN(std::string elf,
                           decompress(bzimage.substr(start, *length - 4), kMaxKernelBytes));
    if (!has_pvh_entry(elf)) {
        return fail(std::errc::not_supported, "the kernel has no PVH entry");
    }
    return elf;
}

}  // namespace mimic::guest_image
