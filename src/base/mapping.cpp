// SPDX-License-Identifier: Apache-2.0
#include "base/mapping.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <limits>

#include "base/sigbus_guard.h"

namespace mimic {

Mapping::~Mapping() {
    if (base_ == nullptr) return;
    unguard_range(base_);
    ::munmap(base_, base_size_);
}

Result<Mapping> Mapping::map(int fd, uint64_t offset, uint64_t size, int protection) {
    const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    const uint64_t slack = offset % page;
    constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (size == 0 || size > kMax || offset > kMax - size || slack > kMax - size)
        return fail(std::errc::invalid_argument, "mmap of {:#x} bytes at {:#x}", size, offset);
    struct stat info {};
    if (::fstat(fd, &info) != 0) return fail_errno("fstat");
    if (S_ISREG(info.st_mode) && offset + size > static_cast<uint64_t>(info.st_size))
        return fail(std::errc::invalid_argument, "mmap of {:#x} bytes at {:#x} of a file of {:#x}",
                    size, offset, info.st_size);
    void* base = ::mmap(nullptr, size + slack, protection, MAP_SHARED, fd,
                        static_cast<off_t>(offset - slack));
    if (base == MAP_FAILED) return fail_errno("mmap of {:#x} bytes at {:#x}", size, offset);
    Mapping mapping;
    mapping.base_ = base;
    // What mmap rounded to: on hugetlbfs whole huge pages, and munmap(2) insists on the same.
    struct statfs system {};
    const bool huge = ::fstatfs(fd, &system) == 0 && system.f_type == HUGETLBFS_MAGIC;
    const uint64_t unit = huge ? static_cast<uint64_t>(system.f_bsize) : page;
    mapping.base_size_ = (size + slack + unit - 1) / unit * unit;
    mapping.guard_ = guard_range(base, mapping.base_size_, unit);
    mapping.data_ = static_cast<std::byte*>(base) + slack;
    mapping.size_ = size;
    return mapping;
}

}  // namespace mimic
