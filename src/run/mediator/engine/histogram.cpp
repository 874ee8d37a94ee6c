// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>

#include "mediator/engine/engine.h"

namespace mimic::mediator {

void Histogram::add(Duration value) {
    const auto ns = static_cast<uint64_t>(std::max<Duration::rep>(0, value.count()));
    const auto bucket = static_cast<size_t>(std::bit_width(ns / 1000));
    ++buckets[std::min(bucket, kBuckets - 1)];
    ++count;
    sum_ns += ns;
}

Duration Histogram::percentile(double p) const {
    if (count == 0) return {};
    const double wanted = std::clamp(p, 0.0, 1.0) * static_cast<double>(count);
    const auto rank = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(wanted)));
    uint64_t seen = 0;
    size_t bucket = 0;
    for (; bucket + 1 < kBuckets; ++bucket) {
        seen += buckets[bucket];
        if (seen >= rank) break;
    }
    return std::chrono::microseconds(int64_t{1} << bucket);
}

}  // namespace mimic::mediator
