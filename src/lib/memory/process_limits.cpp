// SPDX-License-Identifier: Apache-2.0
#include "memory/process_limits.h"

#include <sys/resource.h>

#include <fstream>

#include "memory/sigbus_guard.h"

namespace mimic {
namespace {

size_t read_mapping_limit() {
    size_t limit = 0;
    std::ifstream file("/proc/sys/vm/max_map_count");
    constexpr size_t kDefault = 65530;  // of Linux
    return file >> limit ? limit : kDefault;
}

}  // namespace

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

bool descriptors_scarce(int fd) {
    rlimit limit{};
    if (fd < 0 || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    return static_cast<rlim_t>(fd) >= limit.rlim_cur / 4 * 3;
}

bool mappings_scarce() {
    static const size_t kLimit = read_mapping_limit();
    return guarded_ranges() >= kLimit / 2;
}

}  // namespace mimic
