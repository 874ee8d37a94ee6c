// SPDX-License-Identifier: Apache-2.0
// Timed region reads, shared by the benchmarks that compare two servers.
#pragma once

#include <cstdlib>

#include "bench/measure.h"
#include "bench/servers.h"
#include "bench/wire.h"

namespace mimic::bench {

inline constexpr size_t kReadReplySize = 36;

/// p50 and p99 of a series, in microseconds.
struct Latency {
    double p50;
    double p99;
};

/// `count` synchronous 4-byte reads, of BAR0 unless `request` says otherwise.
inline Latency measure_reads(const Child& child, int count, const Bytes& request = region_read(0)) {
    std::vector<double> samples;
    samples.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
        const uint64_t start = now_ns();
        if (!round_trip(child.fd(), request, kReadReplySize)) std::exit(1);
        samples.push_back(static_cast<double>(now_ns() - start) / 1000);
    }
    return {quantile(samples, 0.5), quantile(samples, 0.99)};
}

}  // namespace mimic::bench
