// SPDX-License-Identifier: Apache-2.0
// A peer owns the files behind its guest memory and may truncate them after we mapped them; touching such a page raises
// SIGBUS and would end the process with every other device in it. The guard puts an anonymous zero page there instead.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace mimic {

/// Installs the handler for this process; safe to call more than once. A SIGBUS that is not about a missing page of a
/// mapping (BUS_ADRERR) keeps its default effect. Errors: those of sigaction(2). Thread-safe.
Status install_sigbus_guard();

/// Pages replaced since the process started. Thread-safe.
uint64_t sigbus_pages_replaced();

}  // namespace mimic
