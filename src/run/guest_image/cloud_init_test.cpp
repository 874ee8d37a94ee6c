// SPDX-License-Identifier: Apache-2.0
// Reads the seed back as another program would: label from the volume descriptor, files through
// libarchive.
#include "guest_image/cloud_init.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include <archive.h>
#include <archive_entry.h>

#include "guest_image/initramfs.h"

namespace mimic::guest_image {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::map<std::string, std::string> files_of(const std::string& iso) {
    std::map<std::string, std::string> files;
    struct archive* archive = archive_read_new();
    archive_read_support_format_iso9660(archive);
    EXPECT_EQ(archive_read_open_filename(archive, iso.c_str(), 65536), ARCHIVE_OK);
    struct archive_entry* entry = nullptr;
    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
        if (archive_entry_filetype(entry) != AE_IFREG) continue;
        std::string content(static_cast<size_t>(archive_entry_size(entry)), '\0');
        EXPECT_EQ(archive_read_data(archive, content.data(), content.size()),
                  static_cast<la_ssize_t>(content.size()));
        files[archive_entry_pathname(entry)] = content;
    }
    archive_read_free(archive);
    return files;
}

class CloudInitTest : public testing::Test {
protected:
    CloudInitTest() {
        std::string path = (fs::temp_directory_path() / "mimic-seed-test-XXXXXX").string();
        if (::mkdtemp(path.data()) == nullptr) std::abort();
        folder_ = path;
        machine_.name = "node-1";
    }
    ~CloudInitTest() override {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }

    std::string folder_;
    topology::Machine machine_;
};

TEST_F(CloudInitTest, SeedHasLabelNamesAndContent) {
    const auto seed = make_cloud_init_seed(machine_, folder_);
    ASSERT_TRUE(seed) << seed.error().message();
    EXPECT_EQ(*seed, folder_ + "/seed.iso");

    const auto raw = read_host_file(*seed, 16u << 20);
    ASSERT_TRUE(raw);
    // ECMA-119, 8.4: the primary volume descriptor is sector 16, its identifier at 40.
    ASSERT_GT(raw->size(), 17u * 2048);
    EXPECT_EQ(raw->substr(16 * 2048 + 1, 5), "CD001");
    const std::string label = raw->substr(16 * 2048 + 40, 7);
    EXPECT_THAT(label, testing::AnyOf("cidata ", "CIDATA "));

    const auto files = files_of(*seed);
    ASSERT_TRUE(files.contains("meta-data"));
    ASSERT_TRUE(files.contains("user-data"));
    EXPECT_EQ(files.at("meta-data"), "instance-id: mimic-node-1\nlocal-hostname: node-1\n");
    EXPECT_TRUE(files.at("user-data").starts_with("#cloud-config\n"));
    EXPECT_THAT(files.at("user-data"), HasSubstr("systemctl start qemu-guest-agent"));
    // Would read the package lists at each first boot, and for minutes where there is no network.
    EXPECT_THAT(files.at("user-data"), testing::Not(HasSubstr("packages:")));
}

TEST_F(CloudInitTest, KeyIsPrivateInTheSeedAndKept) {
    if (std::system("command -v ssh-keygen >/dev/null") != 0) GTEST_SKIP() << "no ssh-keygen here";
    ASSERT_TRUE(make_cloud_init_seed(machine_, folder_));
    struct stat st;
    ASSERT_EQ(::stat((folder_ + "/ssh_key").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u);
    auto key = read_host_file(folder_ + "/ssh_key.pub", 4096);
    ASSERT_TRUE(key);
    key->pop_back();
    ASSERT_TRUE(make_cloud_init_seed(machine_, folder_));
    EXPECT_THAT(files_of(folder_ + "/seed.iso").at("user-data"), HasSubstr(*key));
}

TEST_F(CloudInitTest, MissingFolderIsAnError) {
    const auto seed = make_cloud_init_seed(machine_, folder_ + "/none");
    EXPECT_EQ(seed.error().code(), std::errc::no_such_file_or_directory);
}

}  // namespace
}  // namespace mimic::guest_image
