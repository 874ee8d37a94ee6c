// SPDX-License-Identifier: Apache-2.0
// simulate(): plays a load against a rule in virtual time, with the very code that the mediator
// schedules by. The same load, rule and seed give the same result, to the last nanosecond.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "mediator/schedule/rule.h"
#include "mediator/schedule/simulate/load.h"

namespace mimic::mediator::schedule {

/// More jobs than this in one run are refused: each takes memory for its latency.
inline constexpr uint64_t kMaxSimulatedJobs = 5'000'000;

/// Told of everything that happens, at its time; for property tests. Default: looks away.
class SimulationWatcher {
public:
    virtual ~SimulationWatcher() = default;
    virtual void submitted(VmId /*vm*/, JobId /*job*/, Time /*now*/) {}
    virtual void started(VmId /*vm*/, JobId /*job*/, BackendIndex /*backend*/, Time /*now*/) {}
    virtual void ended(VmId /*vm*/, JobId /*job*/, Time /*took*/, Time /*now*/) {}
    virtual void share_set(VmId /*vm*/, const Share& /*share*/, Time /*now*/) {}
    /// All that happens at `now` has happened, and every backend that can work does.
    virtual void settled(Time /*now*/) {}
};

struct SimulationOptions {
    RuleName rule = RuleName::kFair;
    uint32_t pieces = 100;  // of the duration, for the series
    uint64_t most_jobs = kMaxSimulatedJobs;
    SimulationWatcher* watcher = nullptr;
};

/// A part of the duration.
struct SimulatedPiece {
    Time service = 0;  // on backends, in this part of the duration
    Time p50 = 0;      // latency of jobs that ended in it; 0 where none did
    Time p99 = 0;
};

struct SimulatedVm {
    VmId id = 0;
    uint32_t weight = 0;    // at the end
    Time service = 0;       // on backends until the end, also of jobs that had not ended
    double normalised = 0;  // service over the weight that the VM had meanwhile
    uint64_t submitted = 0;
    uint64_t done = 0;
    Time p50 = 0;  // from arrival to end, of jobs that ended
    Time p99 = 0;
    Time longest_gap = 0;  // in which it had jobs and none ran
    std::vector<SimulatedPiece> pieces;
};

struct SimulationResult {
    RuleName rule = RuleName::kFair;
    Time duration = 0;
    uint64_t decisions = 0;        // jobs that were started
    uint64_t switches = 0;         // ... on a backend that served another VM before
    Time busy = 0;                 // of all backends
    Time idle_with_work = 0;       // of backends that could have run a job that waited
    std::vector<SimulatedVm> vms;  // in the order of the load

    /// Part of the time with work in which backends worked; 1 where there never was any.
    double conservation() const;
};

/// Errors: argument_out_of_domain for more than options.most_jobs.
Result<SimulationResult> simulate(const Load& load, const SimulationOptions& options);

}  // namespace mimic::mediator::schedule
