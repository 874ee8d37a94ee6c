// SPDX-License-Identifier: Apache-2.0
// Which folders of the host a guest may see.
#include "machine/host_folders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace mimic::machine {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class HostFoldersTest : public testing::Test {
protected:
    HostFoldersTest() {
        std::string text = (fs::temp_directory_path() / "mimic-folders-XXXXXX").string();
        if (::mkdtemp(text.data()) == nullptr) std::abort();
        top_ = fs::canonical(text);
        fs::create_directories(top_ / "project/src");
        fs::create_directories(top_ / "secrets");
        std::ofstream(top_ / "project/file") << "x";
        fs::create_symlink(top_ / "secrets", top_ / "project/link");
        source_.path = (top_ / "project/m.yaml").string();
        source_.folder = (top_ / "project").string();
        machine_.name = "m";
    }
    ~HostFoldersTest() override {
        std::error_code ignored;
        fs::remove_all(top_, ignored);
    }
    Result<std::vector<std::string>> check(const std::string& host, bool allow = false,
                                           unsigned line = 7) {
        machine_.shares = {{.host = {host, {line, 13}}, .guest = "/src", .readonly = true}};
        return check_shares(source_, machine_, allow);
    }
    void expect_refused(const std::string& host, const std::string& why) {
        const auto checked = check(host);
        ASSERT_FALSE(checked) << host;
        EXPECT_THAT(std::string(checked.error().message()), HasSubstr(why));
        EXPECT_THAT(std::string(checked.error().message()),
                    HasSubstr(source_.path + ":7:13: " + host));
    }

    fs::path top_;
    UpSource source_;
    topology::Machine machine_;
};

TEST_F(HostFoldersTest, FoldersBelowTheFilesOwnAreShared) {
    for (const char* host : {".", "src", "./src/../src"}) {
        const auto checked = check(host);
        ASSERT_TRUE(checked) << checked.error().message();
        EXPECT_EQ(checked->front(),
                  std::string_view(host) == "." ? source_.folder : source_.folder + "/src");
    }
}

TEST_F(HostFoldersTest, OthersOnlyIfTheUserSaysSo) {
    for (const char* host : {"..", "../secrets", "link"}) {
        expect_refused(host, "--allow-shares");
        EXPECT_TRUE(check(host, true)) << host;
    }
    EXPECT_TRUE(check((top_ / "secrets").string(), false, 0)) << "the command line named it";
}

TEST_F(HostFoldersTest, WhatIsNoFolderOfFilesIsRefused) {
    expect_refused("none", "No such file");
    expect_refused("file", "is no folder");
    for (const char* host : {"/", "/proc", "/proc/self", "/sys/class", "/dev", "/dev/shm"}) {
        const auto checked = check(host, true);
        ASSERT_FALSE(checked) << host;
        EXPECT_THAT(std::string(checked.error().message()),
                    HasSubstr("expected a folder of files"));
    }
}

TEST(ParseShare, TakesHostGuestAndRights) {
    const auto plain = parse_share("/a:b:/src");
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->host.path, "/a:b");
    EXPECT_EQ(plain->guest, "/src");
    EXPECT_FALSE(plain->readonly);
    const auto readonly = parse_share("/a:/src:ro");
    ASSERT_TRUE(readonly);
    EXPECT_TRUE(readonly->readonly);
    for (const char* text : {"", "/a", ":/src", "/a:src", "/a:/", "/a:/proc/x", "/a:/x/../y",
                             "/a:/usr", "/a:/x y", "/a:ro"})
        EXPECT_FALSE(parse_share(text)) << text;
}

}  // namespace
}  // namespace mimic::machine
