// SPDX-License-Identifier: Apache-2.0
// For tests: a clock of which no two looks are the same.
#pragma once

#include "base/task_runner.h"

namespace mimic::replay {

/// A microsecond later each time.
class SteppingClock final : public Clock {
public:
    TimePoint now() const override { return TimePoint(Duration(++ticks_ * 1000)); }

private:
    mutable int64_t ticks_ = 0;
};

}  // namespace mimic::replay
