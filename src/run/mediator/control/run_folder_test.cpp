// SPDX-License-Identifier: Apache-2.0
#include "mediator/control/run_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

namespace mimic::mediator {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public testing::Test {
protected:
    RunFolderTest() {
        if (::mkdtemp(runtime.data()) == nullptr) std::abort();
        ::setenv("XDG_RUNTIME_DIR", runtime.c_str(), 1);
    }
    ~RunFolderTest() override {
        ::unsetenv("XDG_RUNTIME_DIR");
        fs::remove_all(runtime);
    }
    std::string runtime = fs::temp_directory_path() / "mimic-run-XXXXXX";
};

TEST_F(RunFolderTest, HasOneMediator) {
    {
        auto folder = RunFolder::claim("default", "");
        ASSERT_TRUE(folder.has_value()) << folder.error().message();
        EXPECT_EQ(folder->path(), runtime + "/mimic-mediator/default");
        const auto second = RunFolder::claim("default", "");
        ASSERT_FALSE(second.has_value());
        EXPECT_EQ(second.error().code(), std::errc::device_or_resource_busy);
        const auto found = find_mediators();
        ASSERT_EQ(found.size(), 1U);
        EXPECT_EQ(found[0].name, "default");
        EXPECT_EQ(found[0].control_socket, folder->control_socket());
    }
    EXPECT_TRUE(find_mediators().empty());  // the folder stays: backends' sockets may be there
    EXPECT_TRUE(RunFolder::claim("default", "").has_value());
}

TEST_F(RunFolderTest, ElsewhereIsFoundByItsName) {
    const std::string place = runtime + "/a/b";
    {
        const auto folder = RunFolder::claim("other", place);
        ASSERT_TRUE(folder.has_value()) << folder.error().message();
        const auto found = find_mediators();
        ASSERT_EQ(found.size(), 1U);
        EXPECT_EQ(found[0].name, "other");
        EXPECT_EQ(found[0].folder, place);
        EXPECT_FALSE(RunFolder::claim("third", place).has_value());
        EXPECT_FALSE(RunFolder::claim("other", runtime + "/c").has_value());
        EXPECT_EQ(find_mediators().size(), 1U);
    }
    EXPECT_FALSE(fs::is_symlink(runtime + "/mimic-mediator/other.at"));
}

TEST_F(RunFolderTest, FoldersOfOthersAreRefused) {
    fs::create_directories(runtime + "/open");
    ::chmod((runtime + "/open").c_str(), 0777);
    EXPECT_FALSE(RunFolder::claim("m", runtime + "/open").has_value());
    fs::create_directory_symlink(runtime + "/open", runtime + "/link");
    EXPECT_FALSE(RunFolder::claim("m", runtime + "/link").has_value());
    for (const char* name : {"", "A", "a/b", "..", "-a", "a-"})
        EXPECT_FALSE(RunFolder::claim(name, "").has_value()) << name;
}

}  // namespace
}  // namespace mimic::mediator
