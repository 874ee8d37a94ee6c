// SPDX-License-Identifier: Apache-2.0
// Measures of fairness, and what each VM is due.
#pragma once

#include <cstddef>
#include <vector>

#include "mediator/schedule/rule.h"
#include "mediator/schedule/simulate/load.h"

namespace mimic::mediator::schedule {

/// The smallest of values that should be equal over the largest; 1 for none, or all 0.
double min_max_ratio(const std::vector<double>& values);

/// The value below or at which `percent` of `values` lie (reordered); 0 for none. Nearest rank.
Time quantile(std::vector<Time>& values, unsigned percent);

/// What each VM of a load is due of `capacity`: weighted max-min. Nobody gets more than it asks for
/// (`demands`), what it leaves is shared by the others by weight.
std::vector<double> max_min_shares(const std::vector<double>& weights,
                                   const std::vector<double>& demands, double capacity);

}  // namespace mimic::mediator::schedule
