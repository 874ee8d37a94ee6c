// SPDX-License-Identifier: Apache-2.0
#include "guest_image/prepared_image.h"

#include <sys/stat.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "devices/all_models.h"

namespace mimic::guest_image {
namespace {

class PreparedImage : public ::testing::Test {
protected:
    PreparedImage() {
        EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
        ::setenv("MIMIC_GUEST_IMAGES", folder_.c_str(), 1);
    }
    ~PreparedImage() override {
        ::unsetenv("MIMIC_GUEST_IMAGES");
        std::filesystem::remove_all(folder_);
    }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(folder_ + "/" + name) << text;
        return folder_ + "/" + name;
    }

    std::string folder_ = "/tmp/mimic-prepared-XXXXXX";
};

TEST_F(PreparedImage, IsWhatWasStoredAndNothingIsBuilt) {
    const GuestImage made{write("k", "kernel"), write("i", "initrd")};
    ASSERT_TRUE(store_prepared_image(made, "6.1", folder_));
    // Neither a cache nor Mimic's sources are asked for.
    topology::Kernel kernel;
    kernel.release = "6.1";
    NoProgress progress;
    const auto image = build_guest_image(kernel, topology::Arch::kX86_64, {}, progress);
    ASSERT_TRUE(image) << image.error().message();
    EXPECT_EQ(image->kernel, folder_ + "/vmlinux-6.1");
    EXPECT_EQ(image->initrd, folder_ + "/initrd-6.1");
    struct stat info {};
    ASSERT_EQ(::stat(image->kernel.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0644u);
}

TEST_F(PreparedImage, OneThatIsNotThereIsAnErrorThatNamesThoseThatAre) {
    write("vmlinux-6.1", "");
    write("initrd-6.1", "");
    const auto image = prepared_image("6.12");
    ASSERT_FALSE(image);
    EXPECT_NE(image.error().message().find("has kernels: 6.1;"), std::string::npos)
        << image.error().message();
}

TEST_F(PreparedImage, AFolderThatIsOpenToAllIsRefused) {
    write("vmlinux-6.1", "");
    write("initrd-6.1", "");
    ASSERT_EQ(::chmod(folder_.c_str(), 0777), 0);
    const auto image = prepared_image("6.1");
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().code(), std::errc::permission_denied);
}

TEST_F(PreparedImage, WithoutTheVariableThereIsNone) {
    ::unsetenv("MIMIC_GUEST_IMAGES");
    const auto image = prepared_image("6.1");
    ASSERT_TRUE(image);
    EXPECT_FALSE(*image);
}

}  // namespace
}  // namespace mimic::guest_image
