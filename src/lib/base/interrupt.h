// SPDX-License-Identifier: Apache-2.0
// Interrupt: SIGINT, SIGTERM and SIGHUP as a question, for commands that must clean up before they
// end.
#pragma once

#include "base/result.h"
#include "base/task_runner.h"

namespace mimic {

/// Catches the three signals from now until the process ends. Blocking system calls return EINTR.
/// Call it once, before other threads start.
void catch_interrupts();

/// From now on the end of standard input counts as SIGTERM: whoever started us holds its other end,
/// and is gone, also if it was killed. What is read is dropped. Errors: the system has no thread
/// left. Call it once, after catch_interrupts().
Status interrupt_at_end_of_input();

/// Number of the first signal that came, or 0. Thread-safe.
int interrupted();

/// Sleeps for `time` or until a signal comes. Thread-safe, but the signal wakes one thread only:
/// keep `time` short.
void sleep_unless_interrupted(Duration time);

}  // namespace mimic
