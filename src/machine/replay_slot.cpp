// SPDX-License-Identifier: Apache-2.0
#include "machine/replay_slot.h"

#include <utility>

namespace mimic::machine {

bool VirtualTime::run_one(TimePoint limit) {
    if (tasks_.empty() || tasks_.begin()->first > limit) return false;
    advance(tasks_.begin()->first);
    const Task task = std::move(tasks_.begin()->second);
    tasks_.erase(tasks_.begin());
    task();
    return true;
}

}  // namespace mimic::machine
