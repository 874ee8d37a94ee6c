// SPDX-License-Identifier: Apache-2.0
// Small statistics and process helpers shared by the benchmarks.
#pragma once

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace mimic::bench {

/// CLOCK_MONOTONIC in nanoseconds.
inline uint64_t now_ns() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

/// The q-th quantile (0..1) of `samples`, which are reordered. Empty: 0.
inline double quantile(std::vector<double>& samples, double q) {
    if (samples.empty()) return 0;
    const auto at = static_cast<size_t>(q * static_cast<double>(samples.size() - 1));
    std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(at),
                     samples.end());
    return samples[at];
}

inline double median(std::vector<double> samples) {
    return quantile(samples, 0.5);
}

/// Keeps the calling thread on one CPU; false if that CPU is not ours.
inline bool pin_to(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

/// CPUs that this process may use.
inline std::vector<int> usable_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}

}  // namespace mimic::bench
