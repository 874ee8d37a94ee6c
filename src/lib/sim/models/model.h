// SPDX-License-Identifier: Apache-2.0
// Model: the latency model of a ModelSpec at work, with its own resources and random numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/builtin/spec.h"
#include "sim/models/calendar.h"
#include "sim/models/formulas.h"
#include "sim/sst_protocol.h"

namespace mimic::sim {

/// splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
/// Ours, so that a seed means the same with every standard library. Thread-compatible.
class SplitMix {
public:
    explicit SplitMix(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

private:
    uint64_t state_;
};

/// What a COMPUTE asks for. Members of `work` that are 0 are derived from `units`.
struct Work {
    uint64_t units = 0;
    sst_work work{};
};

/// When a COMPUTE begins and ends.
struct Service {
    SimTime start = 0;
    SimTime finish = 0;
    // kTooMuch: it would take longer than kLongest. kAtTheEnd: simulated time ends before it. Then
    // nothing was reserved.
    enum class Verdict : uint8_t { kServed, kTooMuch, kAtTheEnd } verdict = Verdict::kServed;
};

/// What all models of a device share.
struct Device {
    Servers& units;
    SimTime launch = 0;
    uint64_t hz = 0;
};

/// Thread-compatible.
class Model {
public:
    /// `spec` has no find_error() and its file's points in `points`.
    Model(ModelSpec spec, uint64_t seed);

    /// Reserves what a request that comes at `time` needs: one of the device's units for the launch
    /// and its work, or one of the model's own servers (contention). `time` must not go back.
    Service serve(const Work& work, SimTime time, const Device& device);

    /// As it was made.
    void reset();

    /// CONFIGURE's ns per unit. nullptr: the kind has none.
    SimTime* per_unit();

    const ModelSpec& spec() const { return spec_; }

private:
    // Of the work alone, alone on the machine.
    SimTime work_time(const Work& work, uint64_t hz);

    const ModelSpec spec_;
    const uint64_t seed_;
    uint64_t spread_;   // jitter in 2^-32
    uint64_t penalty_;  // in 1/1000
    SimTime per_unit_;
    SplitMix random_;
    Servers servers_;  // contention
    Bus bus_;          // bandwidth
    size_t next_ = 0;  // sequence
};

}  // namespace mimic::sim
