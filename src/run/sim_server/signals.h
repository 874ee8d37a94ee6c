// SPDX-License-Identifier: Apache-2.0
// StopSignals: the signals that end mimic-sim.
#pragma once

#include <csignal>

namespace mimic::sim_server {

/// Make one before the first thread. SIGINT, SIGTERM and SIGHUP then wait for wait().
class StopSignals {
public:
    StopSignals() {
        ::sigemptyset(&set_);
        for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set_, number);
        ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    }

    /// Waits for one of them and returns its number.
    int wait() const {
        int number = 0;
        ::sigwait(&set_, &number);
        return number;
    }

private:
    sigset_t set_{};
};

}  // namespace mimic::sim_server
