// SPDX-License-Identifier: Apache-2.0
// Where the symbols of a guest's kernel are.
#include "machine/gdb.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/private_files.h"

namespace mimic::machine {
namespace {

namespace fs = std::filesystem;

class FindSymbols : public testing::Test {
protected:
    FindSymbols() {
        std::string pattern = "/tmp/mimic-gdb-XXXXXX";
        EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
        root_ = pattern;
    }
    ~FindSymbols() override { (void)remove_tree(root_); }

    std::string add(const std::string& name) {
        const std::string path = root_ + "/" + name;
        fs::create_directories(fs::path(path).parent_path());
        std::ofstream(path) << "symbols";
        return path;
    }

    std::string root_;
};

TEST_F(FindSymbols, OfASeriesAreTheNewestOfItsArchitecture) {
    EXPECT_EQ(find_symbols("6.1", "amd64", root_), "");
    EXPECT_EQ(find_symbols("6.1", "amd64", root_ + "/none"), "");
    add("vmlinux-6.1.0-10-amd64");
    const std::string newest = add("vmlinux-6.1.0-44-amd64");
    const std::string other = add("vmlinux-6.12.43-amd64");
    add("vmlinux-6.1.0-50-arm64");
    EXPECT_EQ(find_symbols("6.1", "amd64", root_), newest);
    EXPECT_EQ(find_symbols("6.12", "amd64", root_), other);
    EXPECT_EQ(find_symbols("6.12", "riscv64", root_), "");
}

TEST_F(FindSymbols, OfAKernelOfOnesOwnAreInItsTree) {
    const std::string image = add("linux/arch/x86/boot/bzImage");
    EXPECT_EQ(find_symbols(image, "amd64", root_), "");
    const std::string symbols = add("linux/vmlinux");
    EXPECT_EQ(find_symbols(image, "amd64", root_), symbols);
    const std::string beside = add("linux/arch/x86/boot/vmlinux");
    EXPECT_EQ(find_symbols(image, "amd64", root_), beside);
}

}  // namespace
}  // namespace mimic::machine
