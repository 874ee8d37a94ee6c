// SPDX-License-Identifier: Apache-2.0
// StopSignals: the signals that end a program which serves until then.
#pragma once

#include <csignal>

namespace mimic::host {

/// Make one before the first thread, on the main thread, and keep it until the program ends.
class StopSignals {
public:
    /// From now on SIGINT, SIGTERM and SIGHUP wait for wait() instead of ending the process; a
    /// SIGHUP that is ignored (nohup) stays so. SIGPIPE is ignored: a peer that goes away is an
    /// error of write(2).
    StopSignals();

    /// Waits for one of them and returns its number.
    int wait() const;

private:
    sigset_t set_{};
};

}  // namespace mimic::host
