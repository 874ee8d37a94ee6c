// SPDX-License-Identifier: Apache-2.0
#include "kernel_bus/file_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace mimic::kernel_bus {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string read(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

void put(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

class WriteTree : public testing::Test {
protected:
    WriteTree() {
        std::string name = testing::TempDir() + "mimic-tree.XXXXXX";
        base_ = ::mkdtemp(name.data());
        dir_ = base_ / "out";
        tree_.add_file("sys/a/b/file", std::string("x\0y", 3));
        tree_.add_link("sys/c/link", "sys/a/b");
        tree_.add_folder("sys/empty");
    }
    ~WriteTree() override { fs::remove_all(base_); }

    Status write(Existing existing = Existing::kRefuse) {
        return write_tree(tree_, dir_.string(), existing);
    }

    fs::path base_;
    fs::path dir_;
    FileTree tree_;
};

TEST(FileTree, LinksAreRelativeAndEndWithTheNameOfTheirTarget) {
    FileTree tree;
    tree.add_link("sys/bus/pci/devices/x", "sys/devices/pci0/x");
    EXPECT_EQ(tree.find("sys/bus/pci/devices/x")->content, "../../../devices/pci0/x");
    tree.add_link("sys/a/b/c/device", "sys/a");
    EXPECT_EQ(tree.find("sys/a/b/c/device")->content, "../../../a");
    tree.add_link("sys/a/next", "sys/a/b");
    EXPECT_EQ(tree.find("sys/a/next")->content, "b");
}

TEST(FileTree, MakesFoldersAbove) {
    FileTree tree;
    tree.add_file("a/b/c", "1");
    ASSERT_NE(tree.find("a/b"), nullptr);
    EXPECT_EQ(tree.find("a/b")->kind, FileTree::Kind::kFolder);
    EXPECT_EQ(tree.find("a/x"), nullptr);
}

TEST_F(WriteTree, WritesFilesLinksAndFolders) {
    ASSERT_TRUE(write()) << write().error().message();
    EXPECT_EQ(read(dir_ / "sys/a/b/file"), std::string("x\0y", 3));
    EXPECT_EQ(fs::read_symlink(dir_ / "sys/c/link"), "../a/b");
    EXPECT_TRUE(fs::is_empty(dir_ / "sys/empty"));
}

TEST_F(WriteTree, RefusesAFolderThatIsNotEmpty) {
    fs::create_directory(dir_);
    put(dir_ / "mine", "1");
    const Status status = write();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), std::errc::directory_not_empty);
    EXPECT_FALSE(fs::exists(dir_ / "sys"));
}

TEST_F(WriteTree, ReplacesWhatItWroteAndKeepsTheRest) {
    ASSERT_TRUE(write());
    put(dir_ / "mine", "1");
    put(dir_ / "sys/a/stale", "1");
    EXPECT_FALSE(write());
    const Status again = write(Existing::kReplace);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_FALSE(fs::exists(dir_ / "sys/a/stale"));
    EXPECT_TRUE(fs::exists(dir_ / "sys/a/b/file"));
    EXPECT_EQ(read(dir_ / "mine"), "1");
}

TEST_F(WriteTree, DoesNotReplaceWhatItDidNotWrite) {
    fs::create_directories(dir_ / "sys");
    put(dir_ / "sys/precious", "1");
    const Status status = write(Existing::kReplace);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), std::errc::file_exists);
    EXPECT_EQ(read(dir_ / "sys/precious"), "1");
}

TEST_F(WriteTree, FollowsNoLinkOutOfTheFolder) {
    fs::create_directory(base_ / "outside");
    put(base_ / "outside/precious", "1");
    ASSERT_TRUE(write());
    // Something swaps a folder of ours for a link: replacing removes the link, not what it names.
    fs::remove_all(dir_ / "sys");
    fs::create_directory_symlink(base_ / "outside", dir_ / "sys");
    ASSERT_TRUE(write(Existing::kReplace));
    EXPECT_EQ(read(base_ / "outside/precious"), "1");
    EXPECT_FALSE(fs::exists(base_ / "outside/a"));
    EXPECT_FALSE(fs::is_symlink(dir_ / "sys"));
}

TEST_F(WriteTree, RefusesALinkAsFolder) {
    fs::create_directory(base_ / "outside");
    fs::create_directory_symlink(base_ / "outside", dir_);
    EXPECT_FALSE(write());
    EXPECT_FALSE(write_tree(tree_, dir_.string() + "/", Existing::kReplace));
    EXPECT_TRUE(fs::is_empty(base_ / "outside"));
}

TEST_F(WriteTree, AForgedMarkRemovesNothingOutside) {
    fs::create_directory(dir_);
    put(base_ / "precious", "1");
    put(dir_ / ".mimic-tree", "../precious\n..\n.\n/\n");
    ASSERT_TRUE(write(Existing::kReplace));
    EXPECT_EQ(read(base_ / "precious"), "1");
}

TEST_F(WriteTree, SaysWhatFails) {
    const Status no_parent = write_tree(tree_, (base_ / "no/such").string(), Existing::kRefuse);
    ASSERT_FALSE(no_parent);
    EXPECT_THAT(no_parent.error().message(), HasSubstr("no/such"));
    put(dir_, "a file");
    EXPECT_FALSE(write());
}

}  // namespace
}  // namespace mimic::kernel_bus
