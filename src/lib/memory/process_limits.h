// SPDX-License-Identifier: Apache-2.0
// What the kernel lets one process have, and how clients that share it share that: each gets a
// first part in any case, and more only while half (of mappings) or a quarter (of descriptors) is
// left for the others.
#pragma once

#include <cstddef>

namespace mimic {

/// Raises the soft limit of open descriptors (RLIMIT_NOFILE) to the hard one: 1,024 are few for a
/// process with a thousand devices. For the start of a process that serves.
void raise_descriptor_limit();

/// Whether `fd`, which was just made or received, shows that three quarters of the descriptors that
/// this process may have are in use: the kernel gives the lowest free number, so all below it are.
/// Thread-safe.
bool descriptors_scarce(int fd);

/// Whether the process holds mappings of files (guarded_ranges()) worth half of the mappings that
/// it may have (vm.max_map_count, read once). The other half is for threads, the allocator, and a
/// first part for each client. Thread-safe.
bool mappings_scarce();

}  // namespace mimic
