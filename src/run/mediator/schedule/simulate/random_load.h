// SPDX-License-Identifier: Apache-2.0
// Loads of a seed for property tests: clients of every depth that think, come and go, arrivals in
// bursts, weights that change, jobs of 1 to 20 ms that no rule knows beforehand.
#pragma once

#include <cstdint>

#include "mediator/schedule/simulate/load.h"

namespace mimic::mediator::schedule {

struct RandomLoadOptions {
    uint32_t backends = 1;
    bool parallel = false;  // VMs may use all backends at the same time
    bool homes = false;     // each VM has one
    bool classes = false;   // strict, and VMs of all of them
    bool changes = true;    // of weights
};

Load random_load(uint64_t seed, const RandomLoadOptions& options);

}  // namespace mimic::mediator::schedule
