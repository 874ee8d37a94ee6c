// SPDX-License-Identifier: Apache-2.0
#include "machine/disk_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace mimic::machine {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class DiskImageTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "mimic-disk-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }

    std::string file(std::string_view content) const {
        std::ofstream(folder_ + "/image", std::ios::binary) << content;
        return folder_ + "/image";
    }

    std::string folder_;
};

TEST_F(DiskImageTest, Qcow2IsAccepted) {
    EXPECT_TRUE(check_disk_image(file(std::string_view("QFI\xfb\0\0\0\3", 8))));
}

TEST_F(DiskImageTest, MissingFileTellsTheRuleOfRelativePaths) {
    const auto checked = check_disk_image(folder_ + "/none.qcow2");
    EXPECT_EQ(checked.error().code(), std::errc::no_such_file_or_directory);
    EXPECT_THAT(checked.error().message(), HasSubstr("/none.qcow2 does not exist"));
    EXPECT_THAT(checked.error().message(), HasSubstr("topology file's folder"));
}

TEST_F(DiskImageTest, OtherContentTellsHowToConvert) {
    for (const std::string_view content : {"", "QFI", "\x1f\x8b\x08\x00 gzip", "QFIx and more"}) {
        const auto checked = check_disk_image(file(content));
        EXPECT_EQ(checked.error().code(), std::errc::invalid_argument) << content;
        EXPECT_THAT(checked.error().message(), HasSubstr("qemu-img convert"));
    }
}

TEST_F(DiskImageTest, FoldersAndPipesAreRefused) {
    EXPECT_EQ(check_disk_image(folder_).error().code(), std::errc::is_a_directory);
    const std::string pipe = folder_ + "/pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(check_disk_image(pipe).error().code(), std::errc::invalid_argument);
}

}  // namespace
}  // namespace mimic::machine
