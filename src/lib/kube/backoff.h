// SPDX-License-Identifier: Apache-2.0
// How long to wait before the same thing is tried again.
#pragma once

#include <chrono>
#include <optional>
#include <random>
#include <stop_token>

namespace mimic::kube {

struct BackoffOptions {
    std::chrono::milliseconds first{100};
    std::chrono::milliseconds longest = std::chrono::seconds(30);
};

/// Waits that double from `first` to `longest`, each shortened by up to a half at random, so that
/// those who failed together do not come back together. Thread-bound; owns no time.
class Backoff {
public:
    /// The same seed gives the same waits.
    explicit Backoff(const BackoffOptions& options = {},
                     std::minstd_rand::result_type seed = std::random_device()());

    /// The wait before the next try: no shorter than what the server asked for, if it did.
    std::chrono::milliseconds next(std::optional<std::chrono::milliseconds> retry_after = {});

    /// It worked: the next wait is the first again.
    void reset() { failures_ = 0; }

    /// Calls of next() since the last reset().
    unsigned failures() const { return failures_; }

private:
    BackoffOptions options_;
    std::minstd_rand random_;
    unsigned failures_ = 0;
};

/// Sleeps on this thread. False, and at once, if a stop is requested.
bool wait_for(std::chrono::milliseconds time, const std::stop_token& stop);

}  // namespace mimic::kube
