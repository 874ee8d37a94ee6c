// SPDX-License-Identifier: Apache-2.0
// Content and determinism of the initramfs, the choice of modules, the kernel inside a bzImage,
// files of the cache.
#include "guest_image/initramfs.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <archive.h>
#include <archive_entry.h>

#include "base/unique_fd.h"
#include "guest_image/cache_file.h"
#include "guest_image/host_tool.h"
#include "guest_image/kernel_files.h"
#include "guest_image/progress.h"

namespace mimic::guest_image {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

/// A folder for one test.
class TemporaryFolder {
public:
    TemporaryFolder() {
        path_ = fs::temp_directory_path() / "mimic-guest-test-XXXXXX";
        std::string text = path_.string();
        if (::mkdtemp(text.data()) == nullptr) std::abort();
        path_ = text;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::string operator/(const std::string& name) const { return (path_ / name).string(); }
    std::string str() const { return path_.string(); }

private:
    fs::path path_;
};

std::string archive_of(const Initramfs& root) {
    const UniqueFd fd(::memfd_create("initramfs", MFD_CLOEXEC));
    EXPECT_TRUE(root.write(fd.get()));
    std::string data(static_cast<size_t>(::lseek(fd.get(), 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(fd.get(), data.data(), data.size(), 0), static_cast<ssize_t>(data.size()));
    return data;
}

/// "path mode[:content or target]" of each entry, as another reader of cpio sees them.
std::vector<std::string> listing(const std::string& data) {
    std::vector<std::string> out;
    struct archive* archive = archive_read_new();
    archive_read_support_format_cpio(archive);
    EXPECT_EQ(archive_read_open_memory(archive, data.data(), data.size()), ARCHIVE_OK);
    struct archive_entry* entry = nullptr;
    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
        std::string text = fmt::format("{} {:o}", archive_entry_pathname(entry),
                                       archive_entry_mode(entry));
        if (archive_entry_filetype(entry) == AE_IFLNK)
            text += fmt::format(":{}", archive_entry_symlink(entry));
        if (archive_entry_filetype(entry) == AE_IFREG) {
            std::string content(static_cast<size_t>(archive_entry_size(entry)), '\0');
            archive_read_data(archive, content.data(), content.size());
            text += ":" + content;
        }
        EXPECT_EQ(archive_entry_mtime(entry), 0);
        EXPECT_EQ(archive_entry_uid(entry), 0);
        out.push_back(text);
    }
    archive_read_free(archive);
    return out;
}

TEST(InitramfsTest, HoldsWhatWasAddedWithFoldersFirst) {
    Initramfs root;
    root.add_file("b/c/file", "text", 0755);
    root.add_link("b/link", "c/file");
    root.add_char_device("a/console", 5, 1, 0600);
    root.add_folder("tmp", 01777);
    EXPECT_THAT(listing(archive_of(root)),
                ElementsAre("a 40755", "a/console 20600", "b 40755", "b/c 40755",
                            "b/c/file 100755:text", "b/link 120777:c/file", "tmp 41777"));
}

TEST(InitramfsTest, OrderOfAddingDoesNotMatter) {
    Initramfs first;
    first.add_file("x", "1");
    first.add_file("y/z", "2");
    Initramfs second;
    second.add_file("y/z", "2");
    second.add_file("x", "0");
    second.add_file("x", "1");
    EXPECT_TRUE(archive_of(first) == archive_of(second));
}

TEST(InitramfsTest, TakesAHostTreeButNoSockets) {
    const TemporaryFolder folder;
    fs::create_directory(folder / "d");
    std::ofstream(folder / "d/f") << "data";
    fs::create_symlink("f", folder / "d/l");
    Initramfs root;
    ASSERT_TRUE(root.add_host_tree("at", folder.str()));
    EXPECT_THAT(listing(archive_of(root)),
                ElementsAre("at 40755", "at/d 40755", "at/d/f 100644:data", "at/d/l 120777:f"));
    ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
    EXPECT_EQ(root.add_host_tree("", folder.str()).error().code(), std::errc::invalid_argument);
}

TEST(InitramfsTest, FullDiskIsAnError) {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    Initramfs root;
    root.add_file("x", std::string(1 << 20, 'x'));
    EXPECT_EQ(root.write(full.get()).error().code(), std::errc::no_space_on_device);
}

TEST(CacheFileTest, FailedFillLeavesNothing) {
    const TemporaryFolder folder;
    const Status done = publish_file(folder / "f", [](int fd) -> Status {
        EXPECT_TRUE(write_all(fd, "part"));
        return fail(std::errc::no_space_on_device, "full");
    });
    EXPECT_EQ(done.error().code(), std::errc::no_space_on_device);
    EXPECT_TRUE(fs::is_empty(folder.str()));
}

TEST(CacheFileTest, PublishReplacesWhole) {
    const TemporaryFolder folder;
    for (const char* text : {"first", "second"}) {
        ASSERT_TRUE(publish_file(folder / "f", [text](int fd) { return write_all(fd, text); }));
    }
    EXPECT_EQ(read_host_file(folder / "f", 100), "second");
    EXPECT_EQ(std::distance(fs::directory_iterator(folder.str()), {}), 1);
}

TEST(CacheFileTest, TidyRemovesLeftoversAndOldFilesOnly) {
    const TemporaryFolder folder;
    for (const char* name : {"initrd-6.1-old", "initrd-6.1-new", "other-old"}) {
        std::ofstream(folder / name) << "x";
    }
    fs::create_directories(folder / ".tmp-build-1/sub");
    const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(24 * 30);
    fs::last_write_time(folder / "initrd-6.1-old", long_ago);
    fs::last_write_time(folder / "other-old", long_ago);
    tidy_folder(folder.str(), "initrd-6.1-", 14);
    EXPECT_FALSE(fs::exists(folder / "initrd-6.1-old"));
    EXPECT_FALSE(fs::exists(folder / ".tmp-build-1"));
    EXPECT_TRUE(fs::exists(folder / "initrd-6.1-new"));
    EXPECT_TRUE(fs::exists(folder / "other-old"));
}

TEST(CacheFileTest, Sha256OfKnownText) {
    EXPECT_EQ(sha256_hex("abc"),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(HostToolTest, OutputErrorsAndStatus) {
    EXPECT_EQ(run_tool({"sh", "-c", "echo out; echo err >&2"}, false), "out");
    const auto failed = run_tool({"sh", "-c", "echo why >&2; exit 3"}, false);
    EXPECT_THAT(failed.error().message(), testing::HasSubstr("exit status 3:\nwhy"));
    EXPECT_EQ(run_tool({"mimic-no-such-tool"}, false).error().code(),
              std::errc::no_such_file_or_directory);
    EXPECT_THAT(run_tool({"sh", "-c", "kill -9 $$"}, false).error().message(),
                testing::HasSubstr("signal 9"));
}

TEST(ResolveModulesTest, DependenciesComeFirstAndOnce) {
    const ModuleIndex index{
        "kernel/a/virtio.ko:\nkernel/a/virtio_ring.ko: kernel/a/virtio.ko\n"
        "kernel/p/virtio-pci.ko.xz: kernel/a/virtio_ring.ko kernel/a/virtio.ko\n"
        "kernel/c/virtio_console.ko: kernel/a/virtio_ring.ko kernel/a/virtio.ko\n",
        "kernel/d/vmd.ko\n"};
    const auto order = resolve_modules(index, {"virtio_pci", "virtio_console", "vmd"});
    ASSERT_TRUE(order);
    EXPECT_THAT(*order, ElementsAre("kernel/a/virtio.ko", "kernel/a/virtio_ring.ko",
                                    "kernel/p/virtio-pci.ko.xz", "kernel/c/virtio_console.ko"));
    EXPECT_EQ(resolve_modules(index, {"nvme"}).error().code(),
              std::errc::no_such_file_or_directory);
}

TEST(ExtractElfKernelTest, RefusesWhatIsNoKernel) {
    EXPECT_EQ(extract_elf_kernel("").error().code(), std::errc::illegal_byte_sequence);
    std::string image(0x1000, '\0');
    EXPECT_EQ(extract_elf_kernel(image).error().code(), std::errc::illegal_byte_sequence);
    std::memcpy(image.data() + 0x202, "HdrS", 4);
    EXPECT_FALSE(extract_elf_kernel(image));  // length 0
    const uint32_t beyond = 0xffffffff;
    std::memcpy(image.data() + 0x24c, &beyond, 4);
    EXPECT_EQ(extract_elf_kernel(image).error().code(), std::errc::illegal_byte_sequence);
    std::memcpy(image.data() + 0x248, &beyond, 4);
    EXPECT_EQ(extract_elf_kernel(image).error().code(), std::errc::illegal_byte_sequence);
}

TEST(ExtractElfKernelTest, PayloadThatIsNoElfIsNotSupported) {
    std::string image(0x2000, '\0');
    std::memcpy(image.data() + 0x202, "HdrS", 4);
    const uint32_t length = 100;
    std::memcpy(image.data() + 0x24c, &length, 4);
    std::memset(image.data() + 5 * 512, 'x', length);
    EXPECT_EQ(extract_elf_kernel(image).error().code(), std::errc::not_supported);
}

TEST(StderrProgressTest, PrintsOnlyWhatTakesLong) {
    testing::internal::CaptureStderr();
    {
        StderrProgress progress(std::chrono::seconds(1));
        progress.step("short");
        progress.step("long");
        std::this_thread::sleep_for(std::chrono::seconds(4));
        progress.step("");
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "mimic: long ...\n");
}

}  // namespace
}  // namespace mimic::guest_image
