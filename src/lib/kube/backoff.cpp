// SPDX-License-Identifier: Apache-2.0
#include "kube/backoff.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace mimic::kube {

using std::chrono::milliseconds;

Backoff::Backoff(const BackoffOptions& options, std::minstd_rand::result_type seed)
    : options_(options), random_(seed) {
    options_.first = std::max(options_.first, milliseconds(1));
    options_.longest = std::max(options_.longest, options_.first);
}

milliseconds Backoff::next(std::optional<milliseconds> retry_after) {
    milliseconds wait = options_.first;
    for (unsigned i = 0; i < failures_ && wait < options_.longest; ++i) wait *= 2;
    wait = std::min(wait, options_.longest);
    if (failures_ < 64) ++failures_;  // no wait grows for so long
    const auto random_up_to = [this](milliseconds most) {
        return milliseconds(
            std::uniform_int_distribution<milliseconds::rep>(0, most.count())(random_));
    };
    wait -= random_up_to(wait / 2);
    if (retry_after && *retry_after > wait) {
        // Spread upwards then: sooner is what the server does not want.
        wait = *retry_after + random_up_to(std::min(*retry_after, options_.longest) / 4);
    }
    return wait;
}

bool wait_for(milliseconds time, const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any condition;
    std::unique_lock lock(mutex);
    condition.wait_for(lock, stop, time, [] { return false; });
    return !stop.stop_requested();
}

}  // namespace mimic::kube
