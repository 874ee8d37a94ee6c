// SPDX-License-Identifier: Apache-2.0
// Latencies: durations counted in buckets of about 1.6 %, so that any number of them takes the same
// room.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mimic::mediator::load {

/// Nanoseconds. Thread-bound.
class Latencies {
public:
    void add(uint64_t ns) {
        ++buckets_[bucket_of(ns)];
        ++count_;
        most_ = std::max(most_, ns);
    }
    uint64_t count() const { return count_; }
    uint64_t most() const { return most_; }

    /// The duration below or at which the fraction `p` (0 .. 1) of all lies, at most one bucket too
    /// much; 0 where nothing was counted.
    uint64_t percentile(double p) const {
        const auto wanted = static_cast<uint64_t>(p * static_cast<double>(count_));
        uint64_t seen = 0;
        for (size_t i = 0; i < buckets_.size(); ++i) {
            seen += buckets_[i];
            if (seen > wanted || seen == count_) return std::min(most_, end_of(i));
        }
        return most_;
    }

private:
    // The first 2^kBits durations have a bucket each; above, each power of two has 2^kBits / 2.
    static constexpr unsigned kBits = 7;

    static size_t bucket_of(uint64_t ns) {
        const auto width = static_cast<unsigned>(std::bit_width(ns));
        if (width <= kBits) return static_cast<size_t>(ns);
        const unsigned shift = width - kBits;
        return (size_t{shift} << (kBits - 1)) + static_cast<size_t>(ns >> shift);
    }
    /// The largest duration of a bucket.
    static uint64_t end_of(size_t bucket) {
        if (bucket < size_t{1} << kBits) return bucket;
        const size_t shift = (bucket >> (kBits - 1)) - 1;
        const uint64_t top = bucket - (shift << (kBits - 1));
        return ((top + 1) << shift) - 1;
    }

    std::vector<uint64_t> buckets_ = std::vector<uint64_t>(bucket_of(UINT64_MAX) + 1);
    uint64_t count_ = 0;
    uint64_t most_ = 0;
};

}  // namespace mimic::mediator::load
