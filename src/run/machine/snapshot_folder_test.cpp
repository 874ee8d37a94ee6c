// SPDX-License-Identifier: Apache-2.0
#include "machine/snapshot_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/private_files.h"

namespace mimic::machine {
namespace {

SnapshotManifest sample() {
    return {.mimic = "1.2.3",
            .qemu = "11.1.3",
            .machine = "lab",
            .accel = "tcg",
            .choices = {.kernel = "6.12",
                        .modules = {"/home/me/modules"},
                        .shares = {"/home/me:/src:ro"},
                        .allow_shares = true,
                        .folder = "/home/me",
                        .qemu_args = {"-device", "edu"},
                        .allow_commands = true},
            .created = "2026-01-31T12:00:00Z",
            .guest_bytes = 5};
}

class SnapshotFolderTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "snapshotXXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        write(snapshot_manifest_path(folder_), to_json(sample()));
        write(snapshot_topology_path(folder_), "version: 1\n");
        write(snapshot_guest_path(folder_), "12345");
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    static void write(const std::string& path, const std::string& text) {
        std::ofstream(path, std::ios::trunc) << text;
    }
    std::string problem() const {
        const auto read = read_snapshot(folder_);
        return read ? "" : read.error().message();
    }

    std::string folder_;
};

TEST_F(SnapshotFolderTest, WhatWasWrittenIsRead) {
    const auto read = read_snapshot(folder_);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(*read, sample());
}

TEST_F(SnapshotFolderTest, AFolderThatIsNoneSaysSo) {
    ASSERT_EQ(::unlink(snapshot_manifest_path(folder_).c_str()), 0);
    EXPECT_NE(problem().find("is no snapshot"), std::string::npos) << problem();
    EXPECT_NE(problem().find("mimic snapshot"), std::string::npos) << problem();
    EXPECT_FALSE(is_snapshot_folder(folder_ + "/nothing"));
    EXPECT_TRUE(is_snapshot_folder(folder_));
}

TEST_F(SnapshotFolderTest, MemoryThatWasCutIsRefused) {
    ASSERT_EQ(::truncate(snapshot_guest_path(folder_).c_str(), 4), 0);
    EXPECT_NE(problem().find("guest.mem has 4 bytes"), std::string::npos) << problem();
}

TEST_F(SnapshotFolderTest, ALinkIsNotFollowed) {
    const std::string path = snapshot_guest_path(folder_);
    ASSERT_EQ(::rename(path.c_str(), (folder_ + "/else").c_str()), 0);
    ASSERT_EQ(::symlink("else", path.c_str()), 0);
    EXPECT_NE(problem().find("no regular file"), std::string::npos) << problem();
}

TEST_F(SnapshotFolderTest, AFolderThatOthersWriteToIsRefused) {
    for (const mode_t mode : {0777u, 0770u, 01777u}) {
        ASSERT_EQ(::chmod(folder_.c_str(), mode), 0);
        EXPECT_NE(problem(), "") << std::oct << mode;
    }
    ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
    EXPECT_EQ(problem(), "");
    if (::geteuid() != 0) return;  // only root gives files away
    ASSERT_EQ(::chown(snapshot_topology_path(folder_).c_str(), 12345, 0), 0);
    EXPECT_NE(problem().find("belongs to user 12345"), std::string::npos) << problem();
}

TEST_F(SnapshotFolderTest, AnotherFormatVersionNamesBoth) {
    std::string text = to_json(sample());
    text.replace(text.find("\"version\": 1"), 12, "\"version\": 2");
    write(snapshot_manifest_path(folder_), text);
    EXPECT_NE(problem().find("version 2, this mimic reads version 1"), std::string::npos)
        << problem();
}

TEST_F(SnapshotFolderTest, EachWrongTextIsAnErrorAndNoAbort) {
    for (const std::string text :
         {"", "[]", "{", "null", "{\"format\": 1}", R"({"format":"mimic-snapshot"})",
          R"({"format":"mimic-snapshot","version":1,"mimic":3})", "\xff\xfe"}) {
        EXPECT_FALSE(parse_snapshot_manifest(text)) << text;
    }
    for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
             {"\"tcg\"", "\"hax\""},
             {"\"guest_bytes\": 5", "\"guest_bytes\": -5"},
             {"\"guest_bytes\": 5", "\"guest_bytes\": 5.5"},
             {"\"-device\"", "7"},
             {"\"allow_commands\": true", "\"allow_commands\": \"yes\""}}) {
        std::string text = to_json(sample());
        text.replace(text.find(from), from.size(), to);
        EXPECT_FALSE(parse_snapshot_manifest(text)) << text;
    }
}

TEST_F(SnapshotFolderTest, OnlyTheSameVersionsRestore) {
    EXPECT_TRUE(check_snapshot_versions("d", sample(), "1.2.3", "11.1.3"));
    const auto mimic = check_snapshot_versions("d", sample(), "1.2.4", "11.1.3");
    ASSERT_FALSE(mimic);
    EXPECT_NE(mimic.error().message().find("mimic 1.2.3, this is mimic 1.2.4"), std::string::npos);
    const auto qemu = check_snapshot_versions("d", sample(), "1.2.3", "12.0.0");
    ASSERT_FALSE(qemu);
    EXPECT_NE(qemu.error().message().find("QEMU 11.1.3, and QEMU 12.0.0"), std::string::npos);
}

}  // namespace
}  // namespace mimic::machine
