// SPDX-License-Identifier: Apache-2.0
#include "base/interrupt.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>

namespace mimic {
namespace {

std::atomic<int> first_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);  // used in a signal handler

void on_signal(int number) {
    int none = 0;
    first_signal.compare_exchange_strong(none, number);
}

void wait_for_end_of_input() {
    std::array<char, 4096> dropped{};
    ssize_t count = 0;
    do {
        count = ::read(STDIN_FILENO, dropped.data(), dropped.size());
    } while (count > 0 || (count < 0 && errno == EINTR));
    ::kill(::getpid(), SIGTERM);
}

}  // namespace

void catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = on_signal;
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
}

Status interrupt_at_end_of_input() {
    // The thread inherits the mask: signals are for those who wait for something else.
    sigset_t ours;
    sigset_t before;
    sigemptyset(&ours);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ours, number);
    ::pthread_sigmask(SIG_BLOCK, &ours, &before);
    Status started;
    try {
        // Nothing can end its read but the other side; it ends with the process.
        std::thread(wait_for_end_of_input).detach();
    } catch (const std::system_error& error) {
        started = fail(std::errc::resource_unavailable_try_again, "cannot watch standard input: {}",
                       error.what());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
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
