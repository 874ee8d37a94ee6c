// SPDX-License-Identifier: Apache-2.0
#include "memory/sigbus_guard.h"

#include <sys/mman.h>

#include <array>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "memory/mapping.h"

namespace mimic {
namespace {

constexpr size_t kPage = 4096;

UniqueFd file_of(size_t pages) {
    UniqueFd fd(::memfd_create("t", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(pages * kPage)), 0);
    return fd;
}

TEST(SigbusGuard, LostPagesOfAMappingReadZeroAndTheOthersStay) {
    ASSERT_TRUE(install_sigbus_guard());
    const UniqueFd fd = file_of(4);
    ASSERT_EQ(::pwrite(fd.get(), "a", 1, 0), 1);
    const auto mapping = Mapping::map(fd.get(), 0, 4 * kPage, PROT_READ | PROT_WRITE).value();
    volatile std::byte* bytes = mapping.bytes().data();
    ASSERT_EQ(::ftruncate(fd.get(), kPage), 0);
    const uint64_t before = sigbus_pages_replaced();
    EXPECT_EQ(static_cast<std::byte>(bytes[2 * kPage]), std::byte{0});
    bytes[4 * kPage - 1] = std::byte{1};
    EXPECT_EQ(static_cast<std::byte>(bytes[0]), std::byte{'a'});
    EXPECT_EQ(sigbus_pages_replaced(), before + 2);
}

TEST(SigbusGuard, ReadOnlyMappingIsMendedToo) {
    ASSERT_TRUE(install_sigbus_guard());
    const UniqueFd fd = file_of(1);
    const auto mapping = Mapping::map(fd.get(), 100, 200, PROT_READ).value();
    ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
    EXPECT_EQ(static_cast<std::byte>(*static_cast<volatile std::byte*>(mapping.bytes().data())),
              std::byte{0});
}

TEST(SigbusGuard, SaysWhichBytesAreLost) {
    ASSERT_TRUE(install_sigbus_guard());
    const UniqueFd fd = file_of(4);
    // Not from a page's start: offsets count from the first byte that was asked for.
    const auto mapping = Mapping::map(fd.get(), 100, 4 * kPage - 100, PROT_READ).value();
    volatile std::byte* bytes = mapping.bytes().data();
    ASSERT_EQ(::ftruncate(fd.get(), 2 * kPage), 0);
    EXPECT_FALSE(mapping.lost(0, mapping.bytes().size())) << "nobody has touched them yet";
    (void)bytes[3 * kPage];
    EXPECT_TRUE(mapping.lost(0, mapping.bytes().size()));
    EXPECT_TRUE(mapping.lost(4 * kPage - 101, 1));
    EXPECT_TRUE(mapping.lost(3 * kPage - 101, 2));
    EXPECT_FALSE(mapping.lost(0, 3 * kPage - 100));
}

size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    size_t lines = 0;
    for (std::string line; std::getline(maps, line); ++lines) {
    }
    return lines;
}

// Each lost page that is replaced alone takes a mapping and splits another: 34,000 of them would
// need more than a process may have (65,530).
TEST(SigbusGuard, ManyLostPagesOfOneRangeCostAFewMappings) {
    ASSERT_TRUE(install_sigbus_guard());
    constexpr size_t kPages = 68000;
    const UniqueFd fd = file_of(kPages);
    const auto mapping = Mapping::map(fd.get(), 0, kPages * kPage, PROT_READ | PROT_WRITE).value();
    volatile std::byte* bytes = mapping.bytes().data();
    ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
    const size_t before = mappings();
    for (size_t page = 0; page < kPages; page += 2)
        EXPECT_EQ(static_cast<std::byte>(bytes[page * kPage]), std::byte{0});
    EXPECT_LT(mappings(), before + 64);
    EXPECT_TRUE(mapping.lost(kPage, 1)) << "the whole range was given up";
}

// Nor do few of each of many ranges.
TEST(SigbusGuard, LostPagesOfManyRangesCostABoundedNumberOfMappings) {
    ASSERT_TRUE(install_sigbus_guard());
    constexpr size_t kPages = 16;
    constexpr size_t kRanges = 5000;
    const UniqueFd fd = file_of(kPages);
    std::vector<Mapping> all;
    const size_t before = mappings();
    for (size_t i = 0; i < kRanges; ++i)
        all.push_back(Mapping::map(fd.get(), 0, kPages * kPage, PROT_READ).value());
    ASSERT_EQ(guarded_ranges(), kRanges);
    ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
    for (const Mapping& mapping : all) {
        volatile std::byte* bytes = mapping.bytes().data();
        for (size_t page = 0; page < kPages / 2; page += 2) (void)bytes[page * kPage];
    }
    EXPECT_LT(mappings(), before + kRanges + 2 * 4096 + 64);
    all.clear();
    EXPECT_LT(mappings(), before + 64);
    EXPECT_EQ(guarded_ranges(), 0u);
    // What those ranges used is free for others.
    const UniqueFd other = file_of(4);
    const auto mapping = Mapping::map(other.get(), 0, 4 * kPage, PROT_READ).value();
    ASSERT_EQ(::ftruncate(other.get(), 0), 0);
    (void)*static_cast<volatile std::byte*>(mapping.bytes().data());
    EXPECT_FALSE(mapping.lost(kPage, 3 * kPage)) << "only the page that was touched";
}

// Takes mappings until the kernel gives no more. Nothing here may allocate at the end.
void exhaust_mappings() {
    constexpr size_t kStep = 64 * kPage;
    for (bool more = true; more;) {
        void* const area = ::mmap(nullptr, kStep, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED) break;
        // Every other page of another kind: each is a mapping of its own.
        for (size_t at = kPage; more && at < kStep; at += 2 * kPage)
            more = ::mprotect(static_cast<char*>(area) + at, kPage, PROT_READ) == 0;
    }
    while (::mmap(nullptr, kPage, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
    }
}

// The kernel counts a process's mappings before it replaces one, so at the limit not even one for
// one is possible. Ends with 0 if all lost pages of several ranges read as zero there.
void lose_pages_at_the_limit() {
    constexpr size_t kRanges = 4;
    std::array<UniqueFd, kRanges> files;
    std::array<Mapping, kRanges> mapped;
    for (size_t i = 0; i < kRanges; ++i) {
        files[i] = file_of(64);
        mapped[i] = Mapping::map(files[i].get(), 0, 64 * kPage, PROT_READ | PROT_WRITE).value();
    }
    exhaust_mappings();
    if (::mmap(nullptr, kPage, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        ::_exit(2);
    for (size_t i = 0; i < kRanges; ++i) {
        if (::ftruncate(files[i].get(), 0) != 0) ::_exit(3);
        volatile std::byte* bytes = mapped[i].bytes().data();
        for (size_t page = 0; page < 64; ++page) {
            if (static_cast<std::byte>(bytes[page * kPage]) != std::byte{0}) ::_exit(4);
            bytes[page * kPage] = std::byte{1};
        }
        if (!mapped[i].lost(0, kPage)) ::_exit(5);
    }
    ::_exit(0);
}

TEST(SigbusGuardDeathTest, LostPagesDoNotEndAProcessWithoutMappingsLeft) {
    ASSERT_TRUE(install_sigbus_guard());
    EXPECT_EXIT(lose_pages_at_the_limit(), testing::ExitedWithCode(0), "");
}

// A page of the program itself that is lost must not silently become zeros.
TEST(SigbusGuardDeathTest, FaultOutsideGuardedRangesStillEndsTheProcess) {
    ASSERT_TRUE(install_sigbus_guard());
    const UniqueFd fd = file_of(1);
    void* page = ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd.get(), 0);
    ASSERT_NE(page, MAP_FAILED);
    ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
    EXPECT_EXIT((void)*static_cast<volatile char*>(page), testing::KilledBySignal(SIGBUS), "");
    ::munmap(page, kPage);
}

}  // namespace
}  // namespace mimic
