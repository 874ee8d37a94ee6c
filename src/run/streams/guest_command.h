// SPDX-License-Identifier: Apache-2.0
// GuestCommand: a command in a guest, by the stream port of its machine (relay.h): its streams as
// they come, its end.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/stream.h"
#include "base/task_runner.h"
#include "streams/frames.h"

namespace mimic::streams {

/// What is to run, and what becomes of its streams.
struct CommandSpec {
    std::vector<std::string> argv;
    std::vector<std::string> environment{};  // NAME=VALUE; on top of the guest's own
    std::string folder{};                    // empty: the guest's choice
    bool terminal = false;  // its streams are a new terminal; all output is stream 1
    stream_window window{};
    int input = -1;  // descriptor that is read and sent; borrowed. -1: /dev/null
    /// Gets what the command wrote to `stream`, 1 or 2. May block: nobody else waits for it. An
    /// error ends the command.
    std::function<Status(int stream, std::string_view data)> output{};
    /// Asked several times a second while it starts: true ends that with `interrupted`.
    std::function<bool()> cancelled{};
};

/// How a command ended.
struct CommandEnd {
    int status = 0;  // exit status, valid if signal is 0
    int signal = 0;
    /// As a shell has it: 128 + signal.
    int shell_status() const { return signal != 0 ? 128 + signal : status; }
};

/// How long a guest that has answered before may take to start a command. A busy host may stop an
/// emulated guest for 20 s.
inline constexpr Duration kStartAnswer = std::chrono::seconds(60);

/// Ends the command in the guest (SIGHUP, then SIGKILL) when it is destroyed first. Thread-bound.
class GuestCommand {
public:
    /// Starts it by the relay's socket at `path`. Waits `patience` at most for a program in the
    /// guest to answer. Errors: not_supported (the machine has no stream port, or nothing answers
    /// there); no_such_file_or_directory, permission_denied, executable_format_error and others of
    /// execve(2) in the guest; invalid_argument for a folder that cannot be entered;
    /// argument_list_too_long; resource_unavailable_try_again; those of step(); host_unreachable
    /// (the guest's program does not say within `answer` that it runs); interrupted.
    static Result<std::unique_ptr<GuestCommand>> start(const std::string& path, CommandSpec spec,
                                                       Duration patience,
                                                       Duration answer = kStartAnswer);

    /// Carries its streams, until it ends, `wake_fd` is readable (-1: none) or `wait` is over.
    /// Returns how it ended, or nothing. Errors: connection_aborted (the machine ended),
    /// connection_reset (the guest's program lost its streams), protocol_error, those of reading
    /// the input and of `output`.
    Result<std::optional<CommandEnd>> step(Duration wait, int wake_fd = -1);

    /// A signal for the command's process group, by Linux' number.
    void signal(int number);
    /// The size of its terminal.
    void resize(stream_window window);

private:
    GuestCommand(CommandSpec spec, UniqueFd socket)
        : spec_(std::move(spec)), stream_(std::move(socket)) {}

    static Result<std::unique_ptr<GuestCommand>> try_start(const std::string& path,
                                                           const CommandSpec& spec,
                                                           std::string_view request,
                                                           Duration answer);
    void send(uint8_t type, uint8_t stream, std::span<const std::byte> payload);
    void flush();
    Status receive();
    Status take_one(const Frame& frame);
    Status on_opened(const Frame& frame);
    Status on_data(const Frame& frame);
    Status read_input();
    bool wants_input() const;

    CommandSpec spec_;
    Stream stream_;
    bool opened_ = false;
    bool input_ended_ = false;
    uint32_t input_credit_ = 0;
    std::array<uint32_t, 3> taken_{};  // of streams 1 and 2, not granted again yet
    std::optional<CommandEnd> end_;
};

/// step() until the end.
Result<CommandEnd> run_to_end(GuestCommand& command);

/// start() and step() until the end.
Result<CommandEnd> run_command(const std::string& path, CommandSpec spec, Duration patience);

}  // namespace mimic::streams
