// SPDX-License-Identifier: Apache-2.0
// What a backend's process gives up for good before it takes its first job.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace mimic::mediator::backend {

/// A build with a sanitizer, whose shadow memory is terabytes of address space and whose library
/// needs some calls of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

/// Who computes here.
enum class Confinement : uint8_t {
    kCompute,  // code of ours: memory, clocks, the sockets that are open. Anything else: SIGSYS
    kDriver,   // a driver's library, too: files, devices, threads. What starts programs, reaches
               // other processes or the network: SIGSYS; what is on no list: EPERM
};

/// Resource limits: no core files, few descriptors, and so much address space (0: no limit).
/// Errors: those of setrlimit(2).
Status limit_process(uint64_t address_space_bytes);

/// Closes all descriptors but 0, 1 and 2. Errors: those of close_range(2).
Status close_descriptors();

/// No new privileges, no dumps, no debuggers, and a seccomp filter for all threads that there are.
/// For good. Errors: those of prctl(2) and seccomp(2).
Status confine(Confinement how);

}  // namespace mimic::mediator::backend
