// SPDX-License-Identifier: Apache-2.0
// Random: numbers of a seed, the same on every machine and with every standard library (whose
// distributions are not). splitmix64 (Steele, Lea, Flood, 2014).
#pragma once

#include <cstdint>

namespace mimic::mediator::schedule {

class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t value = (state_ += 0x9e3779b97f4a7c15u);
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
        value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
        return value ^ (value >> 31);
    }

    /// 0 .. `count` - 1; `count` >= 1. Off by less than count / 2^64 from even.
    uint64_t below(uint64_t count) {
        __extension__ using Wide = unsigned __int128;
        return static_cast<uint64_t>((static_cast<Wide>(next()) * count) >> 64);
    }

    int64_t between(int64_t from, int64_t to) {
        return from + static_cast<int64_t>(below(static_cast<uint64_t>(to - from) + 1));
    }

private:
    uint64_t state_;
};

}  // namespace mimic::mediator::schedule
