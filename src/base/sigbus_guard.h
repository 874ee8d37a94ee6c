// SPDX-License-Identifier: Apache-2.0
// A peer owns the files behind its guest memory and may truncate them after we mapped them;
// touching such a page raises SIGBUS and would end the process with every other device in it. The
// guard puts anonymous zero pages there instead. Mapping (mapping.h) registers what it maps.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace mimic {

/// Installs the handler for this process; safe to call more than once. A SIGBUS that is not about a
/// missing page (BUS_ADRERR) of a guarded range keeps its default effect. Errors: those of
/// sigaction(2). Thread-safe.
Status install_sigbus_guard();

/// Adds and removes a mapped range, page aligned. Ranges are disjoint, as mappings are. The caller
/// does not unmap it before it is removed. Thread-safe.
void guard_range(void* base, size_t size);
void unguard_range(void* base);

/// Faults mended since the process started, a page each except where only the whole range can be
/// replaced. Thread-safe.
uint64_t sigbus_pages_replaced();

}  // namespace mimic
