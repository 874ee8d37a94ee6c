// SPDX-License-Identifier: Apache-2.0
// Interrupt: SIGINT, SIGTERM and SIGHUP as a question, for commands that must clean up before they
// end.
#pragma once

#include "base/task_runner.h"

namespace mimic {

/// Catches the three signals from now until the process ends. Blocking system calls return EINTR.
/// Call it once, before other threads start.
void catch_interrupts();

/// Number of the first signal that came, or 0. Thread-safe.
int interrupted();

/// Sleeps for `time` or until a signal comes. Thread-safe, but the signal wakes one thread only:
/// keep `time` short.
void sleep_unless_interrupted(Duration time);

}  // namespace mimic
