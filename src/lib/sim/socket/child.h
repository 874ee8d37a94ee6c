// SPDX-License-Identifier: Apache-2.0
// Child: the program that serves a simulator's socket, when a user gave a command for it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "base/unique_fd.h"

namespace mimic::sim {

/// A program and what it started, in a process group of its own. Its input is empty, what it prints
/// goes to our standard error. It dies with this process, and with the thread that started it.
/// Thread-bound.
class Child {
public:
    Child() = default;
    Child(Child&&) = default;
    Child& operator=(Child&& other) noexcept;
    ~Child();

    /// Starts `command`, looked up in PATH. Errors: those of fork(2) and pidfd_open(2). A program
    /// that cannot be run is a child that ends at once.
    static Result<Child> start(const std::vector<std::string>& command);

    /// Whether it still runs; takes its exit status when it has ended.
    bool running();
    /// How it ended, in words. Once running() is false.
    std::string how_it_ended() const;

    /// Asks it to end (SIGTERM), and later makes it (SIGKILL), without waiting here: tasks on
    /// `runner` see to it, and their destruction does if they never run.
    static void end(Child child, TaskRunner& runner);

private:
    void kill_now();

    UniqueFd process_;  // pidfd; none: not running
    pid_t id_ = 0;
    int status_ = 0;
};

}  // namespace mimic::sim
