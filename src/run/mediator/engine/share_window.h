// SPDX-License-Identifier: Apache-2.0
// ShareWindow: what a VM got in the last ten seconds, and for how long it wanted more. Private to
// this folder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/task_runner.h"

namespace mimic::mediator {

/// Ten slots of a second each. Costs nothing while nothing happens: time that passed is accounted
/// for when somebody asks. Thread-bound.
class ShareWindow {
public:
    static constexpr size_t kSlots = 10;

    struct Sum {
        Duration service{};
        Duration backlogged{};
    };

    /// It has requests that were not answered, or none any more.
    void set_backlogged(bool backlogged, TimePoint now);
    /// It had a backend for so long.
    void add_service(Duration took, TimePoint now);
    /// Of the last ten seconds.
    Sum sum(TimePoint now);

private:
    struct Slot {
        int64_t second = -1;
        Sum sum;
    };

    Slot& slot(int64_t second);
    void account(TimePoint now);

    std::array<Slot, kSlots> slots_{};
    bool backlogged_ = false;
    TimePoint since_{};  // accounted for until then
};

}  // namespace mimic::mediator
