// SPDX-License-Identifier: Apache-2.0
// How long things take, as pure functions of integers: the same everywhere, bit for bit. Times are
// picoseconds, rounded up. All saturate at kTooLong. Thread-safe.
#pragma once

#include <cstdint>
#include <span>

#include "sim/builtin/spec.h"
#include "sim/simulator.h"

namespace mimic::sim {

inline constexpr uint64_t kPicosecondsPerSecond = 1'000'000'000'000;
/// Nothing that is asked of a model may take longer: 10,000 s.
inline constexpr SimTime kLongest = 10'000 * kPicosecondsPerSecond;
inline constexpr SimTime kTooLong = kLongest + 1;
/// The end of simulated time: 106 days. Nothing completes after it.
inline constexpr SimTime kEnd = uint64_t{1} << 63;

/// a + b, a x b.
SimTime add_times(SimTime a, SimTime b);
SimTime multiply_time(SimTime time, uint64_t factor);

/// `amount` at `rate` a second. rate 0: no time.
SimTime time_of(uint64_t amount, uint64_t rate);

/// Whole cycles of a clock of `hz` in `time`; hz is at most 10^12. cycles_in(time_of(n, hz), hz) is
/// n while that is not too long.
uint64_t cycles_in(SimTime time, uint64_t hz);

/// Roofline: attainable performance is the lower of `peak` (operations a second) and `bandwidth`
/// (bytes a second) times the operational intensity, so the time is the longer of the two.
/// Williams, Waterman, Patterson: "Roofline: An Insightful Visual Performance Model for Multicore
/// Architectures", CACM 52(4), 2009.
SimTime roofline_time(uint64_t operations, uint64_t bytes, uint64_t peak, uint64_t bandwidth);

/// C[m][n] = A[m][k] x B[k][n].
struct Gemm {
    uint64_t m = 0;
    uint64_t n = 0;
    uint64_t k = 0;
};

/// Cycles of `gemm` on a systolic array: (2 R + C + T - 2) x ceil(S_R / R) x ceil(S_C / C), where
/// S_R and S_C are what the dataflow lays over rows and columns and T what it takes one after the
/// other: m, n, k (output stationary), k, n, m (weight), k, m, n (input). The analytical runtime of
/// Samajdar et al.: "A Systematic Methodology for Characterizing Scalability of DNN Accelerators
/// using SCALE-Sim", ISPASS 2020. Saturates at 2^64 - 1.
uint64_t systolic_cycles(const Gemm& gemm, uint32_t rows, uint32_t columns, Dataflow dataflow);

/// The time of `units` by measured points in order of units: that of the first below it, on a line
/// between two, on the line of the last two above (not falling). Points must not be empty.
SimTime interpolate(std::span<const TablePoint> points, uint64_t units);

/// `time` times (1 - spread .. 1 + spread), where `spread` is in 2^-32 and `random` has 64 bits.
SimTime jittered(SimTime time, uint64_t spread, uint64_t random);

/// `time` times (1 + `thousandths` / 1000), at most kLongest.
SimTime slowed(SimTime time, uint64_t thousandths);

}  // namespace mimic::sim
