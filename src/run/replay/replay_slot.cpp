// SPDX-License-Identifier: Apache-2.0
#include "replay/replay_slot.h"

#include <utility>

namespace mimic::replay {

bool VirtualTime::run_one(TimePoint limit) {
    if (tasks_.empty() || tasks_.begin()->first > limit) return false;
    advance(tasks_.begin()->first);
    const Task task = std::move(tasks_.begin()->second);
    tasks_.erase(tasks_.begin());
    task();
    return true;
}

}  // namespace mimic::replay
