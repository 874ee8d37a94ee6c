// SPDX-License-Identifier: Apache-2.0
// Units of Time.
#pragma once

#include "mediator/schedule/rule.h"

namespace mimic::mediator::schedule {

inline constexpr Time kUs = 1'000;
inline constexpr Time kMs = 1'000'000;
inline constexpr Time kS = 1'000'000'000;

}  // namespace mimic::mediator::schedule
