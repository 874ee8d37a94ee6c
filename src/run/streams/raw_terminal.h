// SPDX-License-Identifier: Apache-2.0
// RawTerminal: our terminal as it has to be while a program elsewhere reads it key by key.
#pragma once

#include <sys/types.h>

#include <memory>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic::streams {

/// Restores the terminal when it is destroyed; a child process does if we end in any other way, be
/// it SIGKILL. Main thread.
class RawTerminal {
public:
    /// Makes the terminal `fd` raw. Errors: those of tcgetattr(3), pipe(2), fork(2).
    static Result<std::unique_ptr<RawTerminal>> enter(int fd);
    ~RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

private:
    RawTerminal(UniqueFd alive, pid_t guard) : alive_(std::move(alive)), guard_(guard) {}

    UniqueFd alive_;  // the guard acts when it is closed
    const pid_t guard_;
};

}  // namespace mimic::streams
