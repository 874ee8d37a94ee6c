// SPDX-License-Identifier: Apache-2.0
// Files in folders that others can write to.
#include "base/private_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace mimic {
namespace {

namespace fs = std::filesystem;

class PrivateFilesTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "mimic-files-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }
    static std::string content(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::string folder_;
};

// Another user who may write to the folder has made a file of the name that is written first, and
// has it open. It was FILE.PID.tmp, which can be guessed.
TEST_F(PrivateFilesTest, NobodyElseHasTheFileThatIsWritten) {
    const std::string path = folder_ + "/out.yaml";
    const std::string guess = path + "." + std::to_string(::getpid()) + ".tmp";
    std::ofstream theirs(guess);
    struct stat before {};
    ASSERT_EQ(::stat(guess.c_str(), &before), 0);
    ASSERT_TRUE(write_file_atomically(path, "ours"));
    struct stat after {};
    ASSERT_EQ(::stat(path.c_str(), &after), 0);
    EXPECT_NE(before.st_ino, after.st_ino) << "the result is the other's file";
    EXPECT_EQ(after.st_mode & 0777, 0600u);
    theirs << "evil" << std::flush;
    EXPECT_EQ(content(path), "ours");
}

TEST_F(PrivateFilesTest, WritingReplacesWholeAndLeavesNothingElse) {
    const std::string path = folder_ + "/file";
    for (const char* text : {"first", "second"}) {
        ASSERT_TRUE(write_file_atomically(path, text));
        EXPECT_EQ(content(path), text);
    }
    EXPECT_FALSE(write_file_atomically(folder_ + "/none/file", "x"));
    fs::create_directory(folder_ + "/taken");
    const auto refused = write_file_atomically(folder_ + "/taken", "x");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message().find("cannot write " + folder_ + "/taken"), 0u);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
}

// What others are to read: a CI server takes reports as another user.
TEST_F(PrivateFilesTest, PublicFilesHaveTheModeOfTheUmask) {
    const std::string path = folder_ + "/report.xml";
    const mode_t before = ::umask(022);
    const Status written = write_public_file(path, "<x/>");
    ::umask(027);
    const Status again = write_public_file(path + "2", "<y/>");
    ::umask(before);
    ASSERT_TRUE(written && again);
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0644u);
    ASSERT_EQ(::stat((path + "2").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0640u);
    EXPECT_EQ(content(path), "<x/>");
    EXPECT_FALSE(write_public_file(folder_ + "/none/file", "x"));
}

TEST_F(PrivateFilesTest, PublicFilesReplaceNoDevice) {
    EXPECT_TRUE(write_public_file("/dev/null", "x"));
    fs::create_symlink("/dev/null", folder_ + "/link");
    EXPECT_TRUE(write_public_file(folder_ + "/link", "x"));
    EXPECT_TRUE(fs::is_symlink(folder_ + "/link"));
    const auto refused = write_public_file(folder_, "x");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message().find("cannot write " + folder_), 0u);
}

TEST_F(PrivateFilesTest, OwnerOfAFolderIsChecked) {
    EXPECT_TRUE(check_owner(folder_, "do"));
    EXPECT_TRUE(check_owner("/", "do"));
    ASSERT_EQ(::chmod(folder_.c_str(), 0777), 0);
    const auto open = check_owner(folder_, "do this");
    ASSERT_FALSE(open);
    EXPECT_EQ(open.error().code(), std::errc::permission_denied);
    EXPECT_TRUE(open.error().message().ends_with("; do this"));
    ASSERT_EQ(::chmod(folder_.c_str(), 01777), 0);
    EXPECT_TRUE(check_owner(folder_, "do"));
    EXPECT_EQ(check_owner(folder_ + "/none", "do").error().code(),
              std::errc::no_such_file_or_directory);
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder to another user";
    ASSERT_EQ(::chmod(folder_.c_str(), 0700), 0);
    ASSERT_EQ(::chown(folder_.c_str(), 65534, 65534), 0);
    EXPECT_EQ(check_owner(folder_, "do").error().code(), std::errc::permission_denied);
}

}  // namespace
}  // namespace mimic
