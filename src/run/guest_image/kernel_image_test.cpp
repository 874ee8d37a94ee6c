// SPDX-License-Identifier: Apache-2.0
// What is told of a file that is called a kernel. Real kernels boot in tests/vm.
#include "guest_image/kernel_image.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "guest_image/kernel_files.h"

namespace mimic::guest_image {
namespace {

using testing::HasSubstr;
using topology::Arch;

template <typename T>
void put(std::string& file, size_t offset, T value) {
    if (file.size() < offset + sizeof value) file.resize(offset + sizeof value);
    std::memcpy(file.data() + offset, &value, sizeof value);
}

void put_text(std::string& file, size_t offset, std::string_view text) {
    if (file.size() < offset + text.size()) file.resize(offset + text.size());
    file.replace(offset, text.size(), text);
}

/// A bzImage's header, with one setup sector and 1 KiB of what it unpacks.
std::string bzimage() {
    std::string file(2 * 512 + 1024, '\0');
    put<uint8_t>(file, 0x1f1, 1);
    put<uint32_t>(file, 0x1f4, 1024 / 16);
    put_text(file, 0x202, "HdrS");
    put<uint16_t>(file, 0x206, 0x20f);
    put<uint16_t>(file, 0x20e, 0x100);
    put<uint8_t>(file, 0x211, 1);
    put<uint16_t>(file, 0x236, 1);
    put_text(file, 0x300, "6.9.0-rc1+ (me@here) #1 SMP");
    return file;
}

std::string elf(uint16_t machine, bool with_pvh) {
    std::string file(4096, '\0');
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = machine;
    header.e_phoff = sizeof header;
    header.e_phnum = 2;
    put(file, 0, header);
    Elf64_Phdr load{};
    load.p_type = PT_LOAD;
    load.p_offset = 1024;
    load.p_filesz = 3072;
    put(file, sizeof header, load);
    Elf64_Phdr note{};
    note.p_type = PT_NOTE;
    note.p_offset = 512;
    note.p_filesz = 24;
    put(file, sizeof header + sizeof load, note);
    put(file, 512, Elf64_Nhdr{.n_namesz = 4, .n_descsz = 8, .n_type = with_pvh ? 18u : 1u});
    put_text(file, 512 + sizeof(Elf64_Nhdr), std::string_view("Xen\0", 4));
    put_text(file, 2000, "Linux version %s (%s)");
    put_text(file, 2100, "Linux version 6.9.0-mine (me@here)");
    return file;
}

std::string image(std::string_view magic) {
    std::string file(4096, '\0');
    put_text(file, 0, "MZ");
    put_text(file, 48, std::string_view("RISCV\0\0\0", 8));
    put_text(file, 56, magic);
    put_text(file, 3000, "Linux version 6.12.0-riscv64 (x)");
    return file;
}

void expect_refused(const std::string& file, Arch arch, const std::string& why) {
    const auto facts = inspect_kernel(file, arch);
    ASSERT_FALSE(facts) << why;
    EXPECT_THAT(std::string(facts.error().message()), HasSubstr(why));
}

// Each of 65,535 would be searched to the end of the file.
TEST(KernelImage, NotesThatCoverTheFileAreLookedAtOnce) {
    std::string file = elf(EM_X86_64, false);
    Elf64_Ehdr header{};
    std::memcpy(&header, file.data(), sizeof header);
    header.e_phnum = 0xffff;
    header.e_phoff = file.size();
    put(file, 0, header);
    Elf64_Phdr note{};
    note.p_type = PT_NOTE;
    note.p_filesz = 64u << 20;
    for (unsigned i = 0; i < header.e_phnum; ++i)
        file.append(reinterpret_cast<const char*>(&note), sizeof note);
    file.resize(64u << 20);
    EXPECT_FALSE(has_pvh_entry(file));
}

TEST(KernelImage, TellsReleaseAndKind) {
    const auto x86 = inspect_kernel(bzimage(), Arch::kX86_64);
    ASSERT_TRUE(x86) << x86.error().message();
    EXPECT_EQ(x86->kind, KernelKind::kBzImage);
    EXPECT_EQ(x86->release, "6.9.0-rc1+");
    const auto vmlinux = inspect_kernel(elf(EM_X86_64, true), Arch::kX86_64);
    ASSERT_TRUE(vmlinux) << vmlinux.error().message();
    EXPECT_EQ(vmlinux->kind, KernelKind::kElf);
    EXPECT_EQ(vmlinux->release, "6.9.0-mine");
    const auto riscv = inspect_kernel(image("RSC\x05"), Arch::kRiscv64);
    ASSERT_TRUE(riscv) << riscv.error().message();
    EXPECT_EQ(riscv->kind, KernelKind::kImage);
    EXPECT_EQ(riscv->release, "6.12.0-riscv64");
}

TEST(KernelImage, AKernelWithoutAReleaseIsOne) {
    std::string file = bzimage();
    put<uint16_t>(file, 0x20e, 0);
    const auto facts = inspect_kernel(file, Arch::kX86_64);
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->release, "");
    put<uint16_t>(file, 0x20e, 0xffff);  // outside of the file
    EXPECT_TRUE(inspect_kernel(file, Arch::kX86_64));
}

TEST(KernelImage, SaysWhatElseAFileIs) {
    expect_refused("", Arch::kX86_64, "it is empty; expected a kernel for x86_64");
    expect_refused("#!/bin/sh\nexit\n", Arch::kX86_64, "it is a script");
    expect_refused("config MOCK\n", Arch::kX86_64, "it is a text file");
    expect_refused(std::string(9000, '\x01'), Arch::kX86_64, "neither bzImage, nor ELF, nor Image");
    expect_refused(image("ARM\x64"), Arch::kX86_64, "an Image for arm64");
    expect_refused(image("RSC\x05"), Arch::kX86_64, "an Image for riscv64");
    expect_refused(bzimage(), Arch::kRiscv64, "a kernel for x86; expected a kernel for riscv64");
    expect_refused(elf(EM_AARCH64, false), Arch::kX86_64, "an ELF file for arm64");
    expect_refused(elf(EM_X86_64, false), Arch::kX86_64, "CONFIG_PVH=y");
    std::string old = bzimage();
    put<uint16_t>(old, 0x236, 0);
    expect_refused(old, Arch::kX86_64, "32-bit x86");
    std::string object = elf(EM_X86_64, true);
    put<uint16_t>(object, offsetof(Elf64_Ehdr, e_type), ET_REL);
    expect_refused(object, Arch::kX86_64, "an object file or kernel module");
}

TEST(KernelImage, SaysThatAFileIsCutShort) {
    expect_refused(bzimage().substr(0, 1500), Arch::kX86_64, "it has 1500 bytes of 2048");
    expect_refused(bzimage().substr(0, 0x210), Arch::kX86_64, "cut short within its header");
    expect_refused(elf(EM_X86_64, true).substr(0, 3000), Arch::kX86_64, "the vmlinux is cut short");
}

TEST(KernelImage, EveryPrefixIsAnswered) {
    for (const std::string& file : {bzimage(), elf(EM_X86_64, true), image("RSC\x05")})
        for (size_t size = 0; size < file.size(); size += 7)
            for (const Arch arch : {Arch::kX86_64, Arch::kRiscv64})
                if (const auto facts = inspect_kernel(file.substr(0, size), arch); !facts) {
                    EXPECT_FALSE(facts.error().message().empty());
                }
}

}  // namespace
}  // namespace mimic::guest_image
