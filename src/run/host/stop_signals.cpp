// SPDX-License-Identifier: Apache-2.0
#include "host/stop_signals.h"

#include <signal.h>

namespace mimic::host {

StopSignals::StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    struct sigaction hang_up = {};
    // Linux keeps a signal that is blocked although it is ignored, so that sigwait() would find it.
    if (::sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN) {
        sigaddset(&set_, SIGHUP);
    }
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
}

int StopSignals::wait() const {
    int number = 0;
    ::sigwait(&set_, &number);
    return number;
}

}  // namespace mimic::host
