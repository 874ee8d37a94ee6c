// SPDX-License-Identifier: Apache-2.0
#include "trace/merge.h"

#include <algorithm>
#include <utility>

namespace mimic::trace {

Merged merge_slices(std::vector<Slice> slices, size_t limit) {
    Merged merged;
    merged.taken.resize(slices.size());
    merged.until_ns = INT64_MAX;
    for (const Slice& slice : slices) {
        const int64_t known = slice.more && !slice.events.empty() ? slice.events.back().time_ns
                                                                  : slice.until_ns;
        merged.until_ns = std::min(merged.until_ns, known);
    }
    while (merged.events.size() < limit) {
        size_t first = slices.size();
        for (size_t i = 0; i < slices.size(); ++i) {
            if (merged.taken[i] == slices[i].events.size()) continue;
            const int64_t time = slices[i].events[merged.taken[i]].time_ns;
            if (time > merged.until_ns) continue;
            if (first == slices.size() || time < slices[first].events[merged.taken[first]].time_ns)
                first = i;
        }
        if (first == slices.size()) break;
        merged.events.push_back(std::move(slices[first].events[merged.taken[first]++]));
    }
    for (size_t i = 0; i < slices.size(); ++i)
        merged.more = merged.more || slices[i].more || merged.taken[i] < slices[i].events.size();
    if (merged.events.size() == limit && !merged.events.empty() && merged.more)
        merged.until_ns = merged.events.back().time_ns;
    return merged;
}

}  // namespace mimic::trace
