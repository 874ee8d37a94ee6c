// SPDX-License-Identifier: Apache-2.0
// Files and folders with a guest that is this machine, and with one that means harm.
#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "streams/guest_files.h"
#include "streams/test_guest.h"

namespace mimic::streams {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Files : public testing::Test {
protected:
    Files() : here_(guest_.folder + "/here"), there_(guest_.folder + "/there") {
        fs::create_directory(here_);
        fs::create_directory(there_);
    }
    Guest guest() const { return {guest_.socket(), kPatience}; }

    static void write(const std::string& path, const std::string& text) {
        std::ofstream(path) << text;
    }
    static std::string text_of(const std::string& path) { return read_small_file(path).value(); }

    // The guest's tar prints this file, whatever it is asked for, and then does `more`.
    void lie(const std::string& archive, const std::string& more = "") {
        const std::string bin = guest_.folder + "/bin";
        fs::create_directory(bin);
        write(bin + "/tar", "#!/bin/sh\ncat " + archive + "\n" + more + "\n");
        fs::permissions(bin + "/tar", fs::perms::owner_all);
        ::setenv("PATH", (bin + ":" + path_).c_str(), 1);
        guest_.start();
        ::setenv("PATH", path_.c_str(), 1);
    }

    const std::string path_ = ::getenv("PATH");
    TestGuest guest_;
    const std::string here_;
    const std::string there_;
};

struct Entry {
    std::string name;
    std::string link;  // empty: a file
    std::string hard;  // a hard link to it
};

void make_archive(const std::string& path, const std::vector<Entry>& entries) {
    struct archive* const archive = archive_write_new();
    archive_write_set_format_gnutar(archive);
    archive_write_open_filename(archive, path.c_str());
    for (const Entry& each : entries) {
        struct archive_entry* const entry = archive_entry_new();
        archive_entry_set_pathname(entry, each.name.c_str());
        const bool plain = each.link.empty() && each.hard.empty();
        archive_entry_set_filetype(entry, each.link.empty() ? AE_IFREG : AE_IFLNK);
        archive_entry_set_perm(entry, 04755);
        archive_entry_set_size(entry, plain ? 3 : 0);
        if (!each.link.empty()) archive_entry_set_symlink(entry, each.link.c_str());
        if (!each.hard.empty()) archive_entry_set_hardlink(entry, each.hard.c_str());
        EXPECT_EQ(archive_write_header(archive, entry), ARCHIVE_OK);
        if (plain) {
            EXPECT_EQ(archive_write_data(archive, "bad", 3), 3);
        }
        archive_entry_free(entry);
    }
    EXPECT_EQ(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
}

// A block of 512 bytes as ustar has it (POSIX pax, "ustar Interchange Format").
std::string ustar_header(const std::string& name, char kind, uint64_t size) {
    std::string block(512, '\0');
    block.replace(0, name.size(), name);
    block.replace(100, 7, "0000644");
    block.replace(124, 11, fmt::format("{:011o}", size));
    block.replace(148, 8, 8, ' ');
    block[156] = kind;
    block.replace(257, 5, "ustar");
    block.replace(263, 2, "00");
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    block.replace(148, 7, fmt::format("{:06o}", sum) + std::string(1, '\0'));
    return block;
}

TEST_F(Files, AFileGoesAndComesWithItsMode) {
    guest_.start();
    write(here_ + "/-f", "text");
    const UniqueFd in(::open((here_ + "/-f").c_str(), O_RDONLY));
    EXPECT_TRUE(put_file(guest(), in.get(), "-f", 0751, there_));
    EXPECT_EQ(text_of(there_ + "/-f"), "text");
    const UniqueFd out(::open((here_ + "/back").c_str(), O_WRONLY | O_CREAT, 0600));
    const auto mode = get_file(guest(), there_ + "/-f", out.get());
    ASSERT_TRUE(mode) << mode.error().message();
    EXPECT_EQ(*mode, 0751u);
    EXPECT_EQ(text_of(here_ + "/back"), "text");
}

TEST_F(Files, WhatCannotBeIsSaid) {
    guest_.start();
    const UniqueFd none(::open("/dev/null", O_RDWR));
    const auto said = [](const auto& result) { return result ? "" : result.error().message(); };
    EXPECT_THAT(said(put_file(guest(), none.get(), "", 0644, there_)), HasSubstr("is a folder"));
    EXPECT_THAT(said(put_file(guest(), none.get(), "x", 0644, there_ + "/no/")),
                HasSubstr("is no folder"));
    EXPECT_THAT(said(get_file(guest(), there_ + "/none", none.get())), HasSubstr("no such file"));
    EXPECT_THAT(said(get_file(guest(), there_, none.get())), HasSubstr("cp -r"));
    EXPECT_THAT(said(get_tree(guest(), there_ + "/none", here_)), HasSubstr("is no folder"));
    EXPECT_THAT(said(put_tree(guest(), here_, there_ + "/no/such")), HasSubstr("in the guest"));
}

TEST_F(Files, AFolderGoesAndComesWithAllThatIsInIt) {
    guest_.start();
    const std::string odd = "odd \xff\n-" + std::string(180, 'n');
    fs::create_directories(here_ + "/sub/empty");
    write(here_ + "/sub/" + odd, "odd");
    write(here_ + "/run", "#!/bin/sh\n");
    fs::permissions(here_ + "/run", fs::perms::owner_all);
    fs::create_symlink("/nowhere", here_ + "/link");
    ::mkfifo((here_ + "/fifo").c_str(), 0600);
    const auto put = put_tree(guest(), here_ + "/", there_);
    ASSERT_TRUE(put) << put.error().message();
    EXPECT_EQ(*put, 1u) << "the FIFO";
    EXPECT_EQ(text_of(there_ + "/here/sub/" + odd), "odd");
    const auto got = get_tree(guest(), there_ + "/here", guest_.folder + "/back");
    ASSERT_TRUE(got) << got.error().message();
    const std::string back = guest_.folder + "/back";
    EXPECT_EQ(text_of(back + "/sub/" + odd), "odd");
    EXPECT_TRUE(fs::is_directory(back + "/sub/empty"));
    EXPECT_EQ(fs::read_symlink(back + "/link"), "/nowhere");
    EXPECT_EQ(fs::status(back + "/run").permissions(), fs::perms::owner_all);
    // Into one that is there, under its name.
    ASSERT_TRUE(get_tree(guest(), there_ + "/here", back));
    EXPECT_TRUE(fs::exists(back + "/here/run"));
}

TEST_F(Files, AGuestDoesNotWriteOutsideOfTheCopy) {
    const std::string outside = guest_.folder + "/outside";
    const std::string archive = guest_.folder + "/archive";
    fs::create_directory(outside);
    write(outside + "/victim", "good");
    lie(archive);
    const std::vector<std::vector<Entry>> attacks = {
        {{"./out", outside, ""}, {"./out/file", "", ""}},
        {{"../file", "", ""}},
        {{outside + "/file", "", ""}},
        {{"./a/../../file", "", ""}},
        {{"./file", "", outside + "/victim"}},
        {{"./file", "", "../outside/victim"}},
        {{"./out", outside, ""}, {"./file", "", "out/victim"}, {"./file", "", ""}},
    };
    for (size_t i = 0; i < attacks.size(); ++i) {
        make_archive(archive, attacks[i]);
        const auto got = get_tree(guest(), there_, here_ + "/copy" + std::to_string(i));
        EXPECT_FALSE(got) << "attack " << i;
        if (!got) {
            EXPECT_THAT(got.error().message(), HasSubstr("refused")) << "attack " << i;
        }
        EXPECT_EQ(text_of(outside + "/victim"), "good") << "attack " << i;
        EXPECT_FALSE(fs::exists(outside + "/file")) << "attack " << i;
        EXPECT_FALSE(fs::exists(here_ + "/file")) << "attack " << i;
    }
    // A link that an earlier copy left is no folder to copy into.
    fs::create_symlink(outside, here_ + "/there");
    make_archive(archive, {{"./file", "", ""}});
    EXPECT_FALSE(get_tree(guest(), there_, here_));
    EXPECT_FALSE(fs::exists(outside + "/file"));
    // Bits that make a program another user's.
    ASSERT_TRUE(get_tree(guest(), there_, here_ + "/fine"));
    struct stat st {};
    ASSERT_EQ(::stat((here_ + "/fine/file").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0755u);
    // What is no archive.
    write(archive, std::string(5000, 'x'));
    EXPECT_FALSE(get_tree(guest(), there_, here_ + "/none"));
}

TEST_F(Files, PaddingThatComesLateIsReadToItsEnd) {
    const std::string archive = guest_.folder + "/archive";
    make_archive(archive, {{"./file", "", ""}});
    lie(archive, "sleep 0.5; head -c 10240 /dev/zero; sleep 0.5; head -c 10240 /dev/zero");
    const auto got = get_tree(guest(), there_, here_ + "/copy");
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(text_of(here_ + "/copy/file"), "bad");
}

TEST_F(Files, PaddingWithoutEndEndsTheCopy) {
    const std::string archive = guest_.folder + "/archive";
    make_archive(archive, {{"./file", "", ""}});
    lie(archive, "exec cat /dev/zero");
    const auto got = get_tree(guest(), there_, here_ + "/copy");
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().message(), HasSubstr("behind the end of its archive"));
}

// libarchive keeps a map of holes whole before it tells of the entry.
TEST_F(Files, AHeaderWithoutEndEndsTheCopy) {
    std::string records;
    for (const std::string& text :
         {std::string("GNU.sparse.major=1"), std::string("GNU.sparse.minor=0"),
          std::string("GNU.sparse.name=./file"), std::string("GNU.sparse.realsize=1000")})
        records += fmt::format("{} {}\n", text.size() + 4, text);
    const uint64_t most = 07777777777;
    const std::string archive = guest_.folder + "/archive";
    write(archive, ustar_header("pax", 'x', records.size()) + records +
                       std::string(512 - records.size(), '\0') + ustar_header("file", '0', most) +
                       "999999999\n");
    lie(archive, "exec yes 1");
    const auto got = get_tree(guest(), there_, here_ + "/copy");
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().message(), HasSubstr("has a header of more than 8 MiB"));
}

// libarchive keeps the name of each folder to the end, also of one that comes again and again.
TEST_F(Files, FoldersWithoutEndEndTheCopy) {
    std::string name = ".";
    while (name.size() < 3900) name += "/" + std::string(200, 'd');
    const std::string archive = guest_.folder + "/archive";
    // GNU's tar puts a long name into an entry in front (tar(5), type L).
    const size_t blocks = (name.size() + 512) / 512;
    std::string entry = ustar_header("././@LongLink", 'L', name.size() + 1) + name;
    entry.resize(512 + blocks * 512);
    entry += ustar_header("folder", '5', 0);
    std::string many;
    for (unsigned i = 0; i < 256; ++i) many += entry;
    write(archive, many);
    lie(archive, "while cat " + archive + "; do :; done");
    const auto got = get_tree(guest(), there_, here_ + "/copy");
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().message(), HasSubstr("too many folders"));
}

}  // namespace
}  // namespace mimic::streams
