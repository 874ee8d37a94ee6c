// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/device_memory.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace mimic::mock_accel {

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::create(const std::string& name, uint64_t size) {
    // The kernel takes names of at most 249 bytes.
    UniqueFd fd(::memfd_create(name.substr(0, 200).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) return fail_errno("memfd_create");
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return fail_errno("ftruncate");
    // Without F_SEAL_SEAL a client could forbid writing, and so clear(), for good.
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return fail_errno("fcntl(F_ADD_SEALS)");
    }
    // A shared mapping of a memfd reserves nothing; MAP_NORESERVE would change nothing.
    MIMIC_ASSIGN_OR_RETURN(Mapping mapping,
                           Mapping::map(fd.get(), 0, size, PROT_READ | PROT_WRITE));
    return std::unique_ptr<DeviceMemory>(new DeviceMemory(std::move(fd), std::move(mapping)));
}

void DeviceMemory::clear() {
    if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                    static_cast<off_t>(bytes().size())) == 0) {
        return;
    }
    std::ranges::fill(bytes(), std::byte{0});
}

}  // namespace mimic::mock_accel
