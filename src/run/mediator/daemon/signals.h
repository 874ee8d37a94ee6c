// SPDX-License-Identifier: Apache-2.0
// Signals of a mediator, taken by a thread that waits for them.
#pragma once

#include <csignal>
#include <functional>
#include <thread>

namespace mimic::mediator {

/// Make one before the first other thread: SIGTERM, SIGINT and SIGHUP then come to it alone, and
/// SIGPIPE to nobody.
class Signals {
public:
    Signals();
    ~Signals() { stop(); }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    /// Calls `on_signal` for each, on a thread of its own, until this is destroyed.
    void start(std::function<void(int number)> on_signal);

    /// Ends the thread: `on_signal` is not called any more. What comes now has no effect.
    void stop();

private:
    sigset_t set_{};
    std::thread thread_;
};

}  // namespace mimic::mediator
