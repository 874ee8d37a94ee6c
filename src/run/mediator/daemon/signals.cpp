// SPDX-License-Identifier: Apache-2.0
#include "mediator/daemon/signals.h"

#include <pthread.h>

namespace mimic::mediator {
namespace {

constexpr int kEnd = SIGUSR1;  // to our own thread: it ends

}  // namespace

Signals::Signals() {
    ::sigemptyset(&set_);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, kEnd}) ::sigaddset(&set_, number);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
}

void Signals::stop() {
    if (!thread_.joinable()) return;
    ::pthread_kill(thread_.native_handle(), kEnd);
    thread_.join();
}

void Signals::start(std::function<void(int number)> on_signal) {
    thread_ = std::thread([this, on_signal = std::move(on_signal)] {
        for (;;) {
            int number = 0;
            if (::sigwait(&set_, &number) != 0) continue;
            if (number == kEnd) return;
            on_signal(number);
        }
    });
}

}  // namespace mimic::mediator
