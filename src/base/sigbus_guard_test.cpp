// SPDX-License-Identifier: Apache-2.0
#include "base/sigbus_guard.h"

#include <sys/mman.h>

#include <csignal>

#include <gtest/gtest.h>

#include "base/mapping.h"
#include "base/unique_fd.h"

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
