// SPDX-License-Identifier: Apache-2.0
#include "compute/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace mimic::compute {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Result<std::span<std::byte>> map(int fd, size_t size) {
    void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return fail_errno("mapping {} bytes of shared memory", size);
    return std::span(static_cast<std::byte*>(at), size);
}

}  // namespace

Result<SharedMemory> SharedMemory::create(size_t size) {
    if (size == 0 || size > UINT32_MAX)
        return fail(std::errc::invalid_argument, "shared memory of {} bytes", size);
    UniqueFd fd(::memfd_create("mimic-mediator", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) return fail_errno("memfd_create");
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
        return fail_errno("shared memory of {} bytes", size);
    if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return fail_errno("sealing shared memory");
    MIMIC_ASSIGN_OR_RETURN(const auto bytes, map(fd.get(), size));
    return SharedMemory(std::move(fd), bytes);
}

Result<SharedMemory> SharedMemory::open(UniqueFd fd, size_t size) {
    struct stat status {};
    const int seals = ::fcntl(fd.get(), F_GET_SEALS);
    if (size == 0 || seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(fd.get(), &status) != 0 ||
        static_cast<uint64_t>(status.st_size) < size)
        return fail(std::errc::invalid_argument, "no sealed memory of {} bytes", size);
    MIMIC_ASSIGN_OR_RETURN(const auto bytes, map(fd.get(), size));
    return SharedMemory(std::move(fd), bytes);
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : fd_(std::move(other.fd_)), bytes_(std::exchange(other.bytes_, {})) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

SharedMemory::~SharedMemory() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace mimic::compute
