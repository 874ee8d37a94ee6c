// SPDX-License-Identifier: Apache-2.0
#include "guest_image/module_file.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "guest_image/bytes_at.h"
#include "guest_image/kernel_files.h"

namespace mimic::guest_image {
namespace {

tl::unexpected<Error> cut_short() {
    return fail(std::errc::illegal_byte_sequence, "the module is cut short; copy or build it anew");
}

/// The content of a section, or nothing if it is not inside of the file.
std::optional<std::string_view> content_of(std::string_view file, const Elf64_Shdr& section) {
    if (section.sh_offset > file.size() || section.sh_size > file.size() - section.sh_offset)
        return std::nullopt;
    return file.substr(section.sh_offset, section.sh_size);
}

Result<std::string_view> find_section(std::string_view file, const Elf64_Ehdr& header,
                                      std::string_view name) {
    const auto section = [&](unsigned i) {
        return load<Elf64_Shdr>(file, header.e_shoff + uint64_t{i} * sizeof(Elf64_Shdr));
    };
    const auto names_at = section(header.e_shstrndx);
    const auto names = names_at ? content_of(file, *names_at) : std::nullopt;
    if (!names) return cut_short();
    for (unsigned i = 0; i < header.e_shnum; ++i) {
        const auto one = section(i);
        if (!one) return cut_short();
        if (one->sh_name >= names->size()) continue;
        const std::string_view rest = names->substr(one->sh_name);
        // Without a look for the name's end, which a file may put as far off as it is long.
        if (!rest.starts_with(name) || (rest.size() > name.size() && rest[name.size()] != '\0'))
            continue;
        const auto content = content_of(file, *one);
        if (!content) return cut_short();
        return *content;
    }
    return fail(std::errc::invalid_argument, "it is an object file, no kernel module");
}

void take(std::string_view entry, ModuleFacts& facts) {
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) return;
    const std::string_view key = entry.substr(0, equals);
    std::string_view value = entry.substr(equals + 1);
    if (key == "name") facts.name = module_name(value);
    if (key == "vermagic") facts.vermagic = value;
    if (key != "depends") return;
    while (!value.empty()) {
        const size_t comma = std::min(value.find(','), value.size());
        if (comma > 0) facts.needs.push_back(module_name(value.substr(0, comma)));
        value.remove_prefix(std::min(comma + 1, value.size()));
    }
}

}  // namespace

Result<ModuleFacts> read_module_facts(std::string_view file, topology::Arch arch) {
    const auto header = load<Elf64_Ehdr>(file, 0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_type != ET_REL)
        return fail(std::errc::invalid_argument, "it is no kernel module of 64 bits (ELF object)");
    if (header->e_machine != (arch == topology::Arch::kX86_64 ? EM_X86_64 : EM_RISCV))
        return fail(std::errc::invalid_argument, "it is a module for another architecture than {}",
                    arch == topology::Arch::kX86_64 ? "x86_64" : "riscv64");
    MIMIC_ASSIGN_OR_RETURN(std::string_view info, find_section(file, *header, ".modinfo"));
    ModuleFacts facts;
    while (!info.empty()) {
        const size_t end = std::min(info.find('\0'), info.size());
        take(info.substr(0, end), facts);
        info.remove_prefix(std::min(end + 1, info.size()));
    }
    return facts;
}

}  // namespace mimic::guest_image
