// SPDX-License-Identifier: Apache-2.0
// Virtual time: service divided by weight, in integers, so that a run is the same on every machine.
//
// One nanosecond of service at weight 1 is 2^20 units; a job is charged with a floor, so it is
// wrong by less than one unit, and 2^20 jobs by less than a nanosecond at weight 1. 128 bits hold
// 2^44 jobs of the longest Time (292 years) at weight 1, so no sum here overflows and nothing is
// wrapped.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "mediator/schedule/rule.h"

namespace mimic::mediator::schedule {

__extension__ using Virtual = __int128;

inline constexpr int kVirtualShift = 20;

/// Longest job that is charged: 13 days. What a backend reports above that is cut to it.
inline constexpr Time kLongestJob = Time{1} << 50;

inline Time clamp_job(Time took) {
    return std::clamp<Time>(took, 0, kLongestJob);
}

/// `cost` in ns (0 .. kLongestJob times a few thousand) of a VM or group of `weight` >= 1.
inline Virtual virtual_cost(Time cost, uint64_t weight) {
    // A division of 128 bits takes a multiple of one of 64, and most jobs are below 4.8 hours.
    if (cost < (Time{1} << (63 - kVirtualShift)))
        return static_cast<int64_t>((static_cast<uint64_t>(cost) << kVirtualShift) / weight);
    return (static_cast<Virtual>(cost) << kVirtualShift) / static_cast<Virtual>(weight);
}

}  // namespace mimic::mediator::schedule
