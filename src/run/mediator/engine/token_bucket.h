// SPDX-License-Identifier: Apache-2.0
// TokenBucket: a limit of requests a second. Private to this folder.
#pragma once

#include <algorithm>

#include "base/task_runner.h"

namespace mimic::mediator {

/// Begins full. Thread-bound.
class TokenBucket {
public:
    /// `rate` tokens a second, up to `burst` of them (0: those of a second, but one at least).
    /// Rate 0: no limit. What is in it stays, as far as it fits: to be configured is no way to more
    /// tokens.
    void configure(double rate, double burst, TimePoint now) {
        const bool was_limited = is_limited();
        refill(now);
        rate_ = rate;
        burst_ = std::max(1.0, burst > 0 ? burst : rate);
        tokens_ = was_limited ? std::min(tokens_, burst_) : burst_;
    }

    bool is_limited() const { return rate_ > 0; }

    /// Takes one, if it is there or can be owed: `debt` at most.
    bool take(TimePoint now, double debt = 0) {
        if (!is_limited()) return true;
        refill(now);
        if (tokens_ + debt < 1) return false;
        tokens_ -= 1;
        return true;
    }

private:
    void refill(TimePoint now) {
        const double seconds = std::chrono::duration<double>(now - last_).count();
        last_ = now;
        tokens_ = std::min(burst_, tokens_ + std::max(0.0, seconds) * rate_);
    }

    double rate_ = 0;
    double burst_ = 0;
    double tokens_ = 0;
    TimePoint last_{};
};

}  // namespace mimic::mediator
