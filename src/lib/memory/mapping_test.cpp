// SPDX-License-Identifier: Apache-2.0
// Mapping of files with pages of 4 KiB, 2 MiB and 1 GiB, and of what is no file. A machine that has
// no huge page left maps them all the same: only touching one needs it.
#include "memory/mapping.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/unique_fd.h"

namespace mimic {
namespace {

constexpr uint64_t kMiB = 1 << 20;

struct HugeSize {
    const char* name;
    uint64_t bytes;
    unsigned flag;
};

class HugePages : public ::testing::TestWithParam<HugeSize> {
protected:
    void SetUp() override {
        fd.reset(::memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | GetParam().flag));
        if (!fd && errno == ENODEV) GTEST_SKIP() << "this CPU has no pages of " << GetParam().name;
        ASSERT_TRUE(fd) << errno;
        ASSERT_EQ(::ftruncate(fd.get(), static_cast<off_t>(4 * page)), 0);
    }

    // Whether the machine has a free page of this size, which it then keeps for the file.
    bool reserve(uint64_t offset) const {
        void* const mapped = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(),
                                    static_cast<off_t>(offset));
        if (mapped == MAP_FAILED) return false;
        ::munmap(mapped, page);
        return true;
    }

    const uint64_t page = GetParam().bytes;
    UniqueFd fd;
};

// QEMU's q35 and pc map RAM from 1 MiB on, with the same offset in the file.
TEST_P(HugePages, MapsAnyPartOfTheFile) {
    const struct {
        uint64_t offset;
        uint64_t size;
    } parts[] = {{0x100000, page - 0x100000},
                 {0x100000, 3 * page},
                 {0xc0000, 0x20000},
                 {page, page},
                 {page + 1, 1},
                 {0, 4 * page},
                 {4 * page - 1, 1}};
    for (const auto& part : parts) {
        SCOPED_TRACE(part.offset);
        const auto mapping = Mapping::map(fd.get(), part.offset, part.size, PROT_READ | PROT_WRITE);
        ASSERT_TRUE(mapping) << mapping.error().message();
        EXPECT_EQ(mapping->bytes().size(), part.size);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(mapping->bytes().data()) % page, part.offset % page);
    }
}

TEST_P(HugePages, RefusesBytesBeyondTheFile) {
    for (const uint64_t offset : {4 * page - 0x100000, 4 * page, uint64_t{INT64_MAX} - page})
        EXPECT_EQ(Mapping::map(fd.get(), offset, 0x200000, PROT_READ).error().code(),
                  std::errc::invalid_argument);
}

TEST_P(HugePages, ShowsTheBytesAtTheOffset) {
    if (!reserve(page)) GTEST_SKIP() << "no free page of " << GetParam().name;
    void* const whole = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(),
                               static_cast<off_t>(page));
    ASSERT_NE(whole, MAP_FAILED);
    static_cast<char*>(whole)[kMiB] = 'x';
    const auto mapping = Mapping::map(fd.get(), page + kMiB, 4096, PROT_READ | PROT_WRITE).value();
    EXPECT_EQ(static_cast<char>(mapping.bytes()[0]), 'x');
    mapping.bytes()[1] = std::byte{'y'};
    EXPECT_EQ(static_cast<char*>(whole)[kMiB + 1], 'y');
    ::munmap(whole, page);
}

INSTANTIATE_TEST_SUITE_P(Sizes, HugePages,
                         ::testing::Values(HugeSize{"2M", 2 * kMiB, MFD_HUGE_2MB},
                                           HugeSize{"1G", 1024 * kMiB, MFD_HUGE_1GB}),
                         [](const auto& param) { return param.param.name; });

// The guest memory of a VMM is a file; its other descriptors have no business here.
TEST(Mapping, TakesRegularFilesOnly) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const UniqueFd others[] = {UniqueFd(::open("/dev/zero", O_RDWR | O_CLOEXEC)),
                               UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)),
                               UniqueFd(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                               UniqueFd(::eventfd(0, EFD_CLOEXEC)),
                               UniqueFd(pair[0]),
                               UniqueFd(pair[1]),
                               UniqueFd(pipe[0]),
                               UniqueFd(pipe[1])};
    for (const UniqueFd& fd : others) {
        ASSERT_TRUE(fd);
        EXPECT_EQ(Mapping::map(fd.get(), 0, 4096, PROT_READ).error().code(),
                  std::errc::no_such_device);
    }
    std::string name = "/tmp/mimic-mapping-XXXXXX";
    const UniqueFd file(::mkostemp(name.data(), O_CLOEXEC));
    ASSERT_TRUE(file);
    ::unlink(name.c_str());
    ASSERT_EQ(::ftruncate(file.get(), 8192), 0);
    EXPECT_TRUE(Mapping::map(file.get(), 4096, 4096, PROT_READ | PROT_WRITE));
}

TEST(Mapping, StartsAtAnUnalignedOffset) {
    UniqueFd fd(::memfd_create("t", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(fd.get(), 8192), 0);
    ASSERT_EQ(::pwrite(fd.get(), "xyz", 3, 4100), 3);
    auto mapping = Mapping::map(fd.get(), 4100, 3, PROT_READ).value();
    EXPECT_EQ(mapping.bytes().size(), 3u);
    EXPECT_EQ(static_cast<char>(mapping.bytes()[2]), 'z');
}

TEST(Mapping, RefusesBytesBeyondTheFile) {
    UniqueFd fd(::memfd_create("t", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(fd.get(), 4096), 0);
    EXPECT_FALSE(Mapping::map(fd.get(), 0, 8192, PROT_READ));
    EXPECT_FALSE(Mapping::map(fd.get(), ~0ull, 2, PROT_READ));
    EXPECT_FALSE(Mapping::map(fd.get(), 0, 0, PROT_READ));
}

}  // namespace
}  // namespace mimic
