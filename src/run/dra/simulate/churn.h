// SPDX-License-Identifier: Apache-2.0
// Churn: which device of a fleet falls ill or recovers next. The same seed gives the same order on
// any machine, so that a run can be repeated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <set>
#include <utility>

#include "dra/simulate/fleet.h"

namespace mimic::dra {

/// Thread-bound.
class Churn {
public:
    /// The fleet is borrowed; the owner of both ends this first.
    Churn(const Fleet& fleet, uint64_t seed);

    struct Step {
        size_t node;
        size_t device;
        DeviceState state;
    };

    /// The next change. Half of them make a device ill, until a tenth of all are (or one, of few):
    /// then the one that has been ill for longest recovers first. No device is changed to what it
    /// is. Nothing to change (a fleet without devices): state kHealthy of a device 0 of node 0.
    Step next();

private:
    Step fall_ill();
    Step recover();

    const Fleet& fleet_;
    std::mt19937_64 random_;  // its numbers are laid down by the language; distributions' are not
    std::deque<std::pair<size_t, size_t>> order_;  // of those that are ill, longest first
    std::set<std::pair<size_t, size_t>> ill_;
    size_t limit_;
};

}  // namespace mimic::dra
