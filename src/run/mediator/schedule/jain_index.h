// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

namespace mimic::mediator::schedule {

/// Jain's index of values that should be equal: (sum)^2 / (n x sum of squares), from 1/n to 1. 1
/// for none, or all 0.
double jain_index(std::span<const double> values);

}  // namespace mimic::mediator::schedule
