// SPDX-License-Identifier: Apache-2.0
#include "sim/models/model.h"

#include <cmath>
#include <utility>

namespace mimic::sim {
namespace {

bool has_gemm(const sst_work& work) {
    return work.m != 0 || work.n != 0 || work.k != 0;
}

// Saturating; an operand near 2^64 takes too long at any rate.
uint64_t times(uint64_t a, uint64_t b) {
    uint64_t product = 0;
    return __builtin_mul_overflow(a, b, &product) ? ~uint64_t{0} : product;
}

// The shape of `work`, sides that are 0 filled in from the model's.
Gemm gemm_of(const sst_work& work, const ModelSpec& spec) {
    const auto side = [](uint32_t asked, uint32_t said, uint32_t array) {
        return asked != 0 ? asked : said != 0 ? said : array;
    };
    return {side(work.m, spec.m, spec.rows), side(work.n, spec.n, spec.columns),
            side(work.k, spec.k, spec.rows)};
}

uint64_t operations_of(const Work& work, const ModelSpec& spec) {
    if (work.work.operations != 0) return work.work.operations;
    if (!has_gemm(work.work)) return times(work.units, spec.operations_per_unit);
    const Gemm gemm = gemm_of(work.work, spec);
    return times(2, times(gemm.m, times(gemm.n, gemm.k)));
}

uint64_t bytes_of(const Work& work, const ModelSpec& spec) {
    if (work.work.bytes != 0) return work.work.bytes;
    if (!has_gemm(work.work)) return times(work.units, spec.bytes_per_unit);
    const Gemm gemm = gemm_of(work.work, spec);
    return times(spec.element_bytes, gemm.m * gemm.k + gemm.k * gemm.n + gemm.m * gemm.n);
}

}  // namespace

Model::Model(ModelSpec spec, uint64_t seed)
    : spec_(std::move(spec)),
      seed_(seed),
      spread_(static_cast<uint64_t>(std::llround(std::ldexp(spec_.jitter, 32)))),
      penalty_(static_cast<uint64_t>(std::llround(spec_.penalty * 1000))),
      per_unit_(spec_.per_unit),
      random_(seed),
      servers_(spec_.shared) {}

void Model::reset() {
    per_unit_ = spec_.per_unit;
    random_ = SplitMix(seed_);
    servers_.clear();
    bus_.clear();
    next_ = 0;
}

SimTime* Model::per_unit() {
    const bool has = spec_.kind == ModelKind::kLinear || spec_.kind == ModelKind::kContention;
    return has ? &per_unit_ : nullptr;
}

SimTime Model::work_time(const Work& work, uint64_t hz) {
    switch (spec_.kind) {
        case ModelKind::kFixed:
            return 0;
        case ModelKind::kLinear:
        case ModelKind::kContention:
            return multiply_time(per_unit_, work.units);
        case ModelKind::kBandwidth:
            return time_of(bytes_of(work, spec_), spec_.bandwidth);
        case ModelKind::kRoofline:
            return roofline_time(operations_of(work, spec_), bytes_of(work, spec_), spec_.peak,
                                 spec_.bandwidth);
        case ModelKind::kSystolic: {
            const uint64_t cycles = systolic_cycles(gemm_of(work.work, spec_), spec_.rows,
                                                    spec_.columns, spec_.dataflow);
            return time_of(has_gemm(work.work) ? cycles : times(work.units, cycles), hz);
        }
        case ModelKind::kTable:
            if (spec_.lookup == Lookup::kUnits) return interpolate(spec_.points, work.units);
            return spec_.points[next_++ % spec_.points.size()].time;
    }
    return 0;
}

Service Model::serve(const Work& work, SimTime time, const Device& device) {
    const SimTime launch = device.launch;
    const SimTime alone = work_time(work, device.hz);
    const SimTime before = add_times(launch, spec_.latency);
    SimTime working = add_times(alone, spec_.kind == ModelKind::kBandwidth ? 0 : spec_.latency);
    // One number a request, whatever becomes of it, so that the n-th of a seed is always the same.
    if (spread_ != 0) working = jittered(working, spread_, random_.next());
    if (working > kLongest || before > kLongest) return {.verdict = Service::Verdict::kTooMuch};

    Servers& servers = spec_.kind == ModelKind::kContention ? servers_ : device.units;
    const SimTime start = servers.next(time);
    // What is added to it below is far less than what is left after the end.
    if (start > kEnd || bus_.free() > kEnd) return {.verdict = Service::Verdict::kAtTheEnd};
    servers.begin();
    SimTime finish = start + launch + working;
    if (spec_.kind == ModelKind::kContention) {
        finish = start + launch +
                 (penalty_ == 0 ? working : slowed(working, penalty_ * servers.busy_at(start)));
    } else if (spec_.kind == ModelKind::kBandwidth) {
        finish = bus_.transfer(start + before, working);
    }
    servers.serve_until(finish);
    return {.start = start, .finish = finish};
}

}  // namespace mimic::sim
