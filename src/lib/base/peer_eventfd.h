// SPDX-License-Identifier: Apache-2.0
// Eventfds that a peer has passed, to be told of interrupts. The peer shares them: it may make them
// blocking, fill them, or pass something else in their place.
#pragma once

#include "base/result.h"

namespace mimic {

/// Errors: EINVAL if `fd` is no eventfd (eight bytes written to a file or a socket would do harm);
/// those of readlink(2). Thread-safe.
Status check_peer_eventfd(int fd);

/// Adds one to the counter of `fd`, unless it is full: whoever waits has an unread event then. Does
/// not wait, but for a peer that makes the descriptor blocking and fills it between our look and
/// our write (SECURITY.md). Thread-safe.
void signal_peer_eventfd(int fd);

}  // namespace mimic
