// SPDX-License-Identifier: Apache-2.0
// Modules of the user's: what they say of themselves, in which order they are loaded, and what is
// wrong with them.
#include "guest_image/module_folders.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace mimic::guest_image {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using topology::Arch;

/// Of a relocatable ELF object, without its sections.
Elf64_Ehdr object_header(uint16_t machine) {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_type = ET_REL;
    header.e_machine = machine;
    return header;
}

/// An ELF object with a .modinfo and nothing else.
std::string module_bytes(std::string_view release, std::string_view depends,
                         uint16_t machine = EM_X86_64) {
    using namespace std::string_literals;
    const std::string info = fmt::format(
        "license=GPL{0}depends={1}{0}name=x{0}vermagic={2} SMP {0}", '\0', depends, release);
    const std::string names = "\0.modinfo\0.shstrtab\0"s;
    Elf64_Ehdr header = object_header(machine);
    header.e_shnum = 3;
    header.e_shstrndx = 2;
    header.e_shoff = sizeof header + info.size() + names.size();
    Elf64_Shdr sections[3] = {};
    sections[1].sh_name = 1;
    sections[1].sh_type = SHT_PROGBITS;
    sections[1].sh_offset = sizeof header;
    sections[1].sh_size = info.size();
    sections[2].sh_name = 10;
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_offset = sizeof header + info.size();
    sections[2].sh_size = names.size();
    std::string file(reinterpret_cast<const char*>(&header), sizeof header);
    file += info + names;
    file.append(reinterpret_cast<const char*>(sections), sizeof sections);
    return file;
}

class ModuleFoldersTest : public testing::Test {
protected:
    ModuleFoldersTest() {
        std::string text = (fs::temp_directory_path() / "mimic-modules-XXXXXX").string();
        if (::mkdtemp(text.data()) == nullptr) std::abort();
        folder_ = text;
    }
    ~ModuleFoldersTest() override {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }
    std::string write(const std::string& name, const std::string& content) {
        const fs::path path = folder_ / name;
        fs::create_directories(path.parent_path());
        std::ofstream(path) << content;
        return path.string();
    }
    void expect_refused(const Status& status, const std::string& why) {
        ASSERT_FALSE(status) << why;
        EXPECT_THAT(std::string(status.error().message()), HasSubstr(why));
    }
    static std::vector<std::string> names(const std::vector<std::string>& paths) {
        std::vector<std::string> out;
        for (const auto& path : paths) out.push_back(fs::path(path).filename().string());
        return out;
    }

    fs::path folder_;
    ModuleFolders folders_{{.arch = Arch::kX86_64, .release = "6.9.0", .kernel = "./bzImage"}};
};

TEST_F(ModuleFoldersTest, LooseOnesAreLoadedBehindWhatTheyNeed) {
    write("a-late.ko", module_bytes("6.9.0", "z_first,b_second"));
    write("b-second.ko", module_bytes("6.9.0", "z_first"));
    write("z_first.ko", module_bytes("6.9.0", ""));
    write("notes.txt", "no module");
    const Status added = folders_.add(folder_.string(), "./modules");
    ASSERT_TRUE(added) << added.error().message();
    EXPECT_THAT(folders_.loose(), ElementsAre("a_late", "b_second", "z_first"));
    const auto order = folders_.order(folders_.loose());
    ASSERT_TRUE(order) << order.error().message();
    EXPECT_THAT(names(*order), ElementsAre("z_first.ko", "b-second.ko", "a-late.ko"));
}

TEST_F(ModuleFoldersTest, AMissingOneIsNamedWithWhoNeedsIt) {
    write("mine.ko", module_bytes("6.9.0", "hers"));
    ASSERT_TRUE(folders_.add(folder_.string(), "./modules"));
    const auto order = folders_.order({"mine"});
    ASSERT_FALSE(order);
    EXPECT_THAT(std::string(order.error().message()), HasSubstr("mine.ko needs the module hers"));
}

TEST_F(ModuleFoldersTest, TwoThatNeedEachOtherEnd) {
    write("a.ko", module_bytes("6.9.0", "b"));
    write("b.ko", module_bytes("6.9.0", "a"));
    ASSERT_TRUE(folders_.add(folder_.string(), "./modules"));
    const auto order = folders_.order({"a"});
    ASSERT_TRUE(order);
    EXPECT_EQ(order->size(), 2u);
}

TEST_F(ModuleFoldersTest, OnesOfAnotherKernelAreRefused) {
    write("mine.ko", module_bytes("6.1.0-50-amd64", ""));
    expect_refused(folders_.add(folder_.string(), "./modules"),
                   "was built for Linux 6.1.0-50-amd64 (vermagic), and ./bzImage is Linux 6.9.0");
    write("mine.ko", module_bytes("6.9.0", "", EM_RISCV));
    expect_refused(folders_.add(folder_.string(), "./modules"), "for another architecture");
    write("mine.ko", "text");
    expect_refused(folders_.add(folder_.string(), "./modules"), "it is no kernel module");
    write("mine.ko", module_bytes("6.9.0", "").substr(0, 100));
    expect_refused(folders_.add(folder_.string(), "./modules"), "cut short");
}

TEST_F(ModuleFoldersTest, FoldersThatAreNoneAreRefused) {
    expect_refused(folders_.add((folder_ / "none").string(), "./none"), "./none does not exist");
    expect_refused(folders_.add(write("file", "x"), "./file"), "./file is no folder");
    expect_refused(folders_.add(folder_.string(), "./empty"), "neither modules.dep nor a .ko file");
    write("lib/modules/6.1.0/modules.dep", "");
    expect_refused(folders_.add(folder_.string(), "./tree"),
                   "./tree has modules of Linux 6.1.0, and ./bzImage is Linux 6.9.0");
}

TEST_F(ModuleFoldersTest, ATreeOfModulesInstallIsFoundBelow) {
    const std::string tree = "lib/modules/6.9.0/";
    write(tree + "modules.dep",
          "kernel/a.ko: kernel/b.ko kernel/c.ko\nkernel/b.ko: kernel/c.ko\n"
          "kernel/c.ko:\n");
    write(tree + "modules.builtin", "kernel/drivers/virtio/virtio.ko\n");
    for (const char* name : {"a", "b", "c"})
        write(fmt::format("{}kernel/{}.ko", tree, name), module_bytes("6.9.0", ""));
    ASSERT_TRUE(folders_.add(folder_.string(), "./tree"));
    EXPECT_EQ(folders_.tree(), (folder_ / "lib/modules/6.9.0").string());
    EXPECT_TRUE(folders_.loose().empty());
    EXPECT_TRUE(folders_.has("a"));
    EXPECT_FALSE(folders_.has("virtio"));
    EXPECT_TRUE(folders_.is_builtin("virtio"));
    const auto order = folders_.order({"virtio", "a"});
    ASSERT_TRUE(order) << order.error().message();
    EXPECT_THAT(names(*order), ElementsAre("c.ko", "b.ko", "a.ko"));
}

// In quadratic time it would take hours.
TEST_F(ModuleFoldersTest, ALineOfManyNeedsIsReadAtOnce) {
    const std::string tree = "lib/modules/6.9.0/";
    std::string line = "kernel/a.ko:";
    for (unsigned i = 0; i < 400'000; ++i) line += fmt::format(" kernel/m{}.ko", i);
    write(tree + "modules.dep", line + "\n");
    write(tree + "kernel/a.ko", module_bytes("6.9.0", ""));
    ASSERT_TRUE(folders_.add(folder_.string(), "./tree"));
    const auto order = folders_.order({"a"});
    ASSERT_FALSE(order);
    EXPECT_THAT(std::string(order.error().message()), HasSubstr("needs the module m399999"));
}

TEST_F(ModuleFoldersTest, AChainWithoutEndIsRefused) {
    const std::string tree = "lib/modules/6.9.0/";
    std::string index;
    for (unsigned i = 0; i < 1100; ++i) {
        index += fmt::format("kernel/m{}.ko: kernel/m{}.ko\n", i, i + 1);
        write(fmt::format("{}kernel/m{}.ko", tree, i), module_bytes("6.9.0", ""));
    }
    write(tree + "modules.dep", index);
    ASSERT_TRUE(folders_.add(folder_.string(), "./tree"));
    const auto order = folders_.order({"m0"});
    ASSERT_FALSE(order);
    EXPECT_THAT(std::string(order.error().message()), HasSubstr("needs more than 1024 modules"));
    EXPECT_TRUE(folders_.order({"m1090"}).error().message().find("m1100") != std::string::npos);
}

// Each name of a section would be looked for to the end of 16 MiB.
TEST(ModuleFile, NamesWithoutEndAreNoneOfOurs) {
    constexpr size_t kNames = 16u << 20;
    Elf64_Ehdr header = object_header(EM_X86_64);
    header.e_shnum = 0xffff;
    header.e_shoff = sizeof header + kNames;
    Elf64_Shdr section{};
    section.sh_type = SHT_STRTAB;
    section.sh_offset = sizeof header;
    section.sh_size = kNames;
    std::string file(reinterpret_cast<const char*>(&header), sizeof header);
    file.append(kNames, 'x');
    for (unsigned i = 0; i < header.e_shnum; ++i)
        file.append(reinterpret_cast<const char*>(&section), sizeof section);
    const auto facts = read_module_facts(file, Arch::kX86_64);
    ASSERT_FALSE(facts);
    EXPECT_THAT(std::string(facts.error().message()), HasSubstr("no kernel module"));
}

TEST(ModuleFile, EveryPrefixIsAnswered) {
    const std::string file = module_bytes("6.9.0", "a,b-c,");
    const auto facts = read_module_facts(file, Arch::kX86_64);
    ASSERT_TRUE(facts) << facts.error().message();
    EXPECT_EQ(facts->release(), "6.9.0");
    EXPECT_THAT(facts->needs, ElementsAre("a", "b_c"));
    for (size_t size = 0; size < file.size(); ++size)
        EXPECT_FALSE(read_module_facts(file.substr(0, size), Arch::kX86_64)) << size;
}

}  // namespace
}  // namespace mimic::guest_image
