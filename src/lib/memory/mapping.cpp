// SPDX-License-Identifier: Apache-2.0
#include "memory/mapping.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "memory/sigbus_guard.h"

namespace mimic {

Mapping::~Mapping() {
    if (base_ == nullptr) return;
    unguard_range(base_);
    ::munmap(base_, base_size_);
}

// Offsets and sizes of a mapping come in these: the pages of the machine, or those of the hugetlbfs
// that the file is on (2 MiB and 1 GiB on x86-64), of which nothing smaller can be mapped. Others
// give the machine's pages whatever their block size is.
Result<uint64_t> Mapping::unit_of(int fd) {
    struct statfs system {};
    if (::fstatfs(fd, &system) != 0) return fail_errno("fstatfs");
    const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    return system.f_type == HUGETLBFS_MAGIC ? std::max(page, static_cast<uint64_t>(system.f_bsize))
                                            : page;
}

Result<Mapping> Mapping::map(int fd, uint64_t offset, uint64_t size, int protection) {
    constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (size == 0 || size > kMax || offset > kMax - size)
        return fail(std::errc::invalid_argument, "mmap of {:#x} bytes at {:#x}", size, offset);
    struct stat info {};
    if (::fstat(fd, &info) != 0) return fail_errno("fstat");
    // What /dev/zero and other devices, sockets and eventfds say to mmap(2) is their driver's
    // matter: memory that is nobody's but ours, registers, nothing. Nor do they have an end that
    // could be checked.
    if (!S_ISREG(info.st_mode))
        return fail(std::errc::no_such_device, "mmap of what is no regular file (mode {:#o})",
                    info.st_mode & S_IFMT);
    if (offset + size > static_cast<uint64_t>(info.st_size))
        return fail(std::errc::invalid_argument, "mmap of {:#x} bytes at {:#x} of a file of {:#x}",
                    size, offset, info.st_size);
    MIMIC_ASSIGN_OR_RETURN(const uint64_t unit, unit_of(fd));
    const uint64_t slack = offset % unit;
    if (size > kMax - slack - unit)
        return fail(std::errc::invalid_argument, "mmap of {:#x} bytes at {:#x}", size, offset);
    const uint64_t whole = (size + slack + unit - 1) / unit * unit;  // munmap(2) wants it, too
    // MAP_NORESERVE: huge pages are set aside by the file's owner, or by nobody. A peer's file must
    // not draw on the machine's pool in our name, and not fail where that has nothing left.
    void* base = ::mmap(nullptr, whole, protection, MAP_SHARED | MAP_NORESERVE, fd,
                        static_cast<off_t>(offset - slack));
    if (base == MAP_FAILED) return fail_errno("mmap of {:#x} bytes at {:#x}", size, offset);
    Mapping mapping;
    mapping.base_ = base;
    mapping.base_size_ = whole;
    mapping.guard_ = guard_range(base, whole, unit);
    mapping.data_ = static_cast<std::byte*>(base) + slack;
    mapping.size_ = size;
    return mapping;
}

}  // namespace mimic
