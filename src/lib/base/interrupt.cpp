// SPDX-License-Identifier: Apache-2.0
#include "base/interrupt.h"

#include <poll.h>

#include <atomic>
#include <csignal>

namespace mimic {
namespace {

std::atomic<int> first_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);  // used in a signal handler

void on_signal(int number) {
    int none = 0;
    first_signal.compare_exchange_strong(none, number);
}

}  // namespace

void catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = on_signal;
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
}

int interrupted() {
    return first_signal.load();
}

void sleep_unless_interrupted(Duration time) {
    if (interrupted() != 0) return;
    ::poll(nullptr, 0,
           static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(time).count()));
}

}  // namespace mimic
