// SPDX-License-Identifier: Apache-2.0
// merge_slices(): events of several rings (the loops of a process, the processes of a machine) as
// one list by time.
#pragma once

#include <cstdint>
#include <vector>

#include "trace/event.h"

namespace mimic::trace {

/// What one ring said: its events from some number on.
struct Slice {
    std::vector<Event> events;  // by time
    bool more = false;          // the ring has further ones
    int64_t until_ns = 0;       // else: it has none before this time
};

struct Merged {
    std::vector<Event> events;
    std::vector<size_t> taken;  // of each slice
    bool more = false;          // some slice has further ones, taken or not
    int64_t until_ns = 0;       // nothing before this time is missing
};

/// At most `limit` events, by time; those of one slice stay in their order. Events that another
/// ring may still precede are left for the next time.
Merged merge_slices(std::vector<Slice> slices, size_t limit);

}  // namespace mimic::trace
