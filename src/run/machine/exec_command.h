// SPDX-License-Identifier: Apache-2.0
// `mimic exec`: a command in a guest with our streams and our terminal. By the machine's stream
// port; without one, or without a program in the guest that serves it, by qemu-guest-agent.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "guest_agent/guest_agent.h"
#include "streams/guest_command.h"
#include "streams/raw_terminal.h"

namespace mimic::machine {

/// Standard input of a command in a guest.
enum class Input {
    kIfPiped,  // ours, unless it is a terminal: who sits there does not type for each command of a
               // script
    kNone,
    kAlways,
};

struct ExecOptions {
    std::vector<std::string> argv;
    std::vector<std::string> environment{};  // NAME=VALUE
    std::string folder{};                    // in the guest; empty: its choice
    Input input = Input::kIfPiped;
    bool terminal = false;  // the command gets one in the guest, and ours is raw meanwhile
};

/// Runs it in the guest of the machine in `run_dir` and returns its exit status, 128 + n if signal
/// n ended it; kExecFailed, kExecNotExecutable or kExecNotFound (guest_commands.h) with a message
/// if it did not run. Its output is printed as it comes, byte for byte, as with ssh(1): also what a
/// terminal obeys. SIGINT, SIGTERM, SIGHUP and SIGQUIT go to the command; the third ends us. Main
/// thread only.
int run_exec(const std::string& run_dir, const ExecOptions& options);

/// Writes `data` to `fd`, which is left blocking as others have it, too. Whoever reads it may take
/// his time: `check` is asked each second and when `wake_fd` (-1: none) is readable, and its error
/// ends the wait. Errors: also those of write(2).
Status write_patiently(int fd, std::string_view data, const std::function<Status()>& check,
                       int wake_fd = -1);

/// The command as the stream port takes it: with our terminal's kind and size, and our input as
/// `options` say. What becomes of its output is the caller's.
streams::CommandSpec command_spec(const ExecOptions& options);

/// Our terminal, raw, if the command is to be typed to; else nothing. Errors: those of
/// RawTerminal::enter().
Result<std::unique_ptr<streams::RawTerminal>> raw_terminal(const ExecOptions& options);

/// Refuses to type (-it) what does not come from a terminal: invalid_argument.
Status check_terminal(const ExecOptions& options);

/// The size of our terminal; zero: there is none.
stream_window window_of_terminal();

/// A connection to the guest's agent. Errors: those of GuestAgent::connect(), with what may be
/// missing in an image of the user's.
Result<std::unique_ptr<guest_agent::GuestAgent>> connect_to_agent(const std::string& run_dir);

/// How long to wait for a program in the guest at the stream port of the machine in `run_dir`: it
/// starts with the agent in our guests, and may not be there at all in an image of the user's.
Duration stream_patience(const std::string& run_dir);

/// The command of `options` for an agent, which knows neither folder nor environment.
std::vector<std::string> agent_argv(const ExecOptions& options);

/// `error` of a guest's agent; connection_aborted, as of a stream port, if the machine ended:
/// nobody else closes an agent's socket.
Error agent_error(Error error);

/// The exit status of `mimic exec` for a command that did not run.
int exec_failure(const Error& error);

}  // namespace mimic::machine
