// SPDX-License-Identifier: Apache-2.0
// Process: owns one child process. Children are started with nothing of ours but what is named: no
// stray descriptors, default signal handling, an empty signal mask.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "base/unique_fd.h"

namespace mimic::machine {

/// How a process ended.
struct ExitState {
    int code = 0;    // exit status, if signal is 0
    int signal = 0;  // the signal that ended it, or 0

    bool ok() const { return code == 0 && signal == 0; }

    /// "ended with exit status 1" or "was killed by signal 9 (Killed)".
    std::string str() const;
};

struct SpawnOptions {
    std::vector<std::string> argv;  // argv[0] is searched in PATH if it has no slash
    std::vector<std::pair<std::string, std::string>> environment;  // added to ours
    int stdin_fd = -1;                                             // borrowed; -1: /dev/null
    int stdout_fd = -1;                                            // borrowed; -1: inherited
    int stderr_fd = -1;
    std::vector<std::pair<int, int>> pass_fds;  // {descriptor here (borrowed), its number there, >=
                                                // 3}

    /// SIGKILL to the child when the *thread* that spawned it ends, however it does.
    bool die_with_parent = false;
    /// A session and process group of its own: no terminal, no SIGINT from the keyboard.
    bool new_session = false;
};

/// Owner of a child process; kills and reaps it when destroyed. Thread-bound.
class Process {
public:
    /// Starts a child. Errors: those of fork(2) and execve(2), ENOENT for a program that is not
    /// there.
    static Result<Process> spawn(const SpawnOptions& options);

    Process() = default;
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;
    ~Process();

    pid_t pid() const { return pid_; }
    /// Becomes readable when the child ends. -1 without a child.
    int pidfd() const { return pidfd_.get(); }
    bool running() const { return pid_ > 0; }

    /// The exit state if the child has ended; it is reaped then and running() is false.
    std::optional<ExitState> poll();
    /// Same, after waiting at most `timeout`.
    std::optional<ExitState> wait(Duration timeout);

    /// Sends a signal; nothing happens if the child has ended.
    void signal(int number) const;

    /// SIGTERM, after `grace` SIGKILL; reaps. Empty if there was no child.
    std::optional<ExitState> stop(Duration grace);

    /// Gives the child up: it lives on and its parent's parent reaps it.
    pid_t release();

private:
    pid_t pid_ = -1;
    UniqueFd pidfd_;
};

/// Result of a command that ran to its end.
struct Captured {
    ExitState exit;
    std::string out;
    std::string err;
};

/// Runs a command with empty input and returns what it printed, at most 1 MiB a stream (the rest is
/// dropped). Kills it after `timeout` and fails with timed_out. Errors: those of Process::spawn().
/// Blocks.
Result<Captured> run_capture(const std::vector<std::string>& argv, Duration timeout);

/// When process `pid` started, in clock ticks since boot (field 22 of /proc/PID/stat), so that a
/// number that was used again is told from the process that was meant. Empty if there is none, or
/// if it is a zombie.
std::optional<uint64_t> process_start_time(pid_t pid);

/// This program's own file. Never empty.
std::string self_path();

}  // namespace mimic::machine
