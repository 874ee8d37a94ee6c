// SPDX-License-Identifier: Apache-2.0
#include "sim/models/formulas.h"

#include <algorithm>

namespace mimic::sim {
namespace {

__extension__ using Wide = unsigned __int128;

SimTime bounded(Wide time) {
    return time > kLongest ? kTooLong : static_cast<SimTime>(time);
}

Wide divide_up(Wide a, Wide b) {
    return a / b + (a % b != 0 ? 1 : 0);
}

}  // namespace

SimTime add_times(SimTime a, SimTime b) {
    return bounded(Wide{a} + b);
}

SimTime multiply_time(SimTime time, uint64_t factor) {
    return bounded(Wide{time} * factor);
}

SimTime time_of(uint64_t amount, uint64_t rate) {
    if (rate == 0) return 0;
    return bounded(divide_up(Wide{amount} * kPicosecondsPerSecond, rate));
}

uint64_t cycles_in(SimTime time, uint64_t hz) {
    return static_cast<uint64_t>(Wide{time} * hz / kPicosecondsPerSecond);
}

SimTime roofline_time(uint64_t operations, uint64_t bytes, uint64_t peak, uint64_t bandwidth) {
    return std::max(time_of(operations, peak), time_of(bytes, bandwidth));
}

uint64_t systolic_cycles(const Gemm& gemm, uint32_t rows, uint32_t columns, Dataflow dataflow) {
    if (gemm.m == 0 || gemm.n == 0 || gemm.k == 0) return 0;
    uint64_t over_rows = gemm.k;
    uint64_t over_columns = gemm.n;
    uint64_t in_turn = gemm.m;
    if (dataflow == Dataflow::kOutputStationary) {
        over_rows = gemm.m;
        in_turn = gemm.k;
    } else if (dataflow == Dataflow::kInputStationary) {
        over_columns = gemm.m;
        in_turn = gemm.n;
    }
    const Wide fold = Wide{2} * rows + columns + in_turn - 2;
    // Each factor is below 2^64; a fold times 2^64 still fits, and is saturated before the next.
    const Wide most = ~uint64_t{0};
    const Wide some = std::min(most, fold * divide_up(over_rows, rows));
    return static_cast<uint64_t>(std::min(most, some * divide_up(over_columns, columns)));
}

SimTime interpolate(std::span<const TablePoint> points, uint64_t units) {
    const auto after = std::upper_bound(
        points.begin(), points.end(), units,
        [](uint64_t value, const TablePoint& point) { return value < point.units; });
    if (after == points.begin()) return std::min(points.front().time, kTooLong);
    const bool beyond = after == points.end();
    const TablePoint& a = beyond && points.size() > 1 ? points[points.size() - 2] : after[-1];
    if (beyond && points.size() == 1) return std::min(a.time, kTooLong);
    const TablePoint& b = beyond ? points.back() : *after;
    const uint64_t along = units - a.units;
    const uint64_t width = b.units - a.units;
    if (b.time >= a.time) {
        return bounded(a.time + divide_up(Wide{b.time - a.time} * along, width));
    }
    if (beyond) return std::min(b.time, kTooLong);
    return bounded(a.time - Wide{a.time - b.time} * along / width);
}

SimTime jittered(SimTime time, uint64_t spread, uint64_t random) {
    if (spread == 0) return time;
    constexpr uint64_t kOne = uint64_t{1} << 32;
    const uint64_t factor = kOne - spread +
                            static_cast<uint64_t>((Wide{random} * (2 * spread + 1)) >> 64);
    return bounded(Wide{time} * factor >> 32);
}

SimTime slowed(SimTime time, uint64_t thousandths) {
    return std::min(kLongest, bounded(Wide{time} * (Wide{1000} + thousandths) / 1000));
}

}  // namespace mimic::sim
