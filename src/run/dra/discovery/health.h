// SPDX-License-Identifier: Apache-2.0
// HealthJudge: from what devices' files say to how devices are: taints for the scheduler, health
// for the kubelet's stream. Remembers what one look cannot tell: that error counters grew, and who
// was there before.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/task_runner.h"
#include "dra/discovery/scan.h"

namespace mimic::dra {

/// Thread-bound.
class HealthJudge {
public:
    struct Options {
        /// How long a device must report no new errors until it is good again.
        Duration aer_hold = std::chrono::seconds(60);
        /// How long one that left is listed.
        Duration keep_gone = std::chrono::seconds(60);
    };

    HealthJudge(const slices::DraFacts& facts, const Options& options)
        : facts_(facts), options_(options) {}

    /// `devices` with health and taints, and those that left a short while ago. Counters that a
    /// device has when it is seen first are its past, and no error.
    std::vector<KnownDevice> judge(const std::vector<Sighting>& devices, TimePoint now);

private:
    struct Memory {
        KnownDevice last;
        bool seen = false;  // in this look
        bool left = false;
        TimePoint left_at{};
        std::optional<AerCounters> counters;
        AerCounters grown{};  // since the last quiet time
        bool has_errors = false;
        TimePoint last_error{};
    };

    void judge_one(const Sighting& sighting, TimePoint now, KnownDevice* device);
    void note_errors(const Sighting& sighting, TimePoint now, Memory* memory) const;
    std::vector<KnownDevice> take_gone(TimePoint now);

    const slices::DraFacts& facts_;  // a constant of the program
    const Options options_;
    std::map<std::string, Memory> memory_;  // by name in the class folder
};

}  // namespace mimic::dra
