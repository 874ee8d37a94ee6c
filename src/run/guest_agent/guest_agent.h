// SPDX-License-Identifier: Apache-2.0
// GuestAgent: a client of qemu-guest-agent over the UNIX socket of its virtio port. The protocol is
// JSON lines (QEMU docs, interop/qemu-ga-ref); the peer is the guest and thus hostile: every answer
// is bounded and parsed strictly, and every call has a deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "base/task_runner.h"
#include "base/unique_fd.h"

namespace mimic::guest_agent {

class AgentChannel;

/// One connection to one guest. Thread-bound; calls block until their answer or deadline. A guest
/// that loses a request (AgentChannel::call()) is asked again; a command only if it cannot have
/// begun, else start() fails with no_message, as read_file() and write_file() do. After an
/// error with code timed_out, protocol_error or connection_reset the connection is of no further
/// use.
class GuestAgent {
public:
    /// Largest answer line that is accepted. A command's output is base64 inside it: 64 MiB become
    /// 86 MiB.
    static constexpr size_t kMaxReplyBytes = 96u << 20;
    /// Largest input of a command that is handed over at once; qemu-guest-agent's JSON parser
    /// refuses tokens above 64 MiB, and base64 adds a third.
    static constexpr size_t kMaxInputBytes = 32u << 20;
    /// Largest output (stdout plus stderr) or file content that is returned.
    static constexpr size_t kMaxDataBytes = 64u << 20;

    struct ExecResult {
        int exit_status = 0;  // valid if signal is 0
        int signal = 0;       // the signal that ended it, or 0
        std::string out;
        std::string err;
        bool truncated = false;  // the agent cut the output (16 MiB a stream)
    };

    /// Connects to `socket` and waits, at most `timeout` in all, until an agent answers there: a
    /// guest may still boot. A connection on which nobody answers for `silence` is given up for
    /// another, also later, between two looks of exec(). Errors: timed_out, those of connect(2) but
    /// "not there yet" ones.
    static Result<std::unique_ptr<GuestAgent>> connect(const std::string& socket, Duration timeout,
                                                       Duration silence = kSilence);

    /// Arbitrary. A guest agent that had been silent for 30 s on one connection was seen to answer
    /// on the next.
    static constexpr Duration kSilence = std::chrono::seconds(15);

    /// An answer that takes this long may never come. Arbitrary: an agent answers in milliseconds,
    /// and one that does not is only asked for a sign of life.
    static constexpr Duration kDoubt = std::chrono::seconds(2);

    /// Speaks over a connected stream socket; for tests. Nothing is sent.
    explicit GuestAgent(UniqueFd socket, Duration doubt = kDoubt);

    /// Asks whether the agent is alive. Errors: timed_out, connection_reset, protocol_error.
    Status ping(Duration timeout);

    /// Runs `argv` (argv[0] is searched in the guest's PATH) with `input` as its standard input and
    /// waits for its end. Errors: those of ping(); no_such_file_or_directory or permission_denied
    /// if the guest could not start it; message_size if the output is larger than kMaxDataBytes. A
    /// command that is not done by `timeout` keeps running in the guest.
    Result<ExecResult> exec(const std::vector<std::string>& argv, std::string_view input,
                            Duration timeout);

    /// The two halves of exec(): starts it, and looks whether it has ended; nothing: not yet.
    /// Errors: those of exec().
    Result<int64_t> start(const std::vector<std::string>& argv, std::string_view input);
    Result<std::optional<ExecResult>> poll(int64_t pid);

    /// Sleeps; for a long pause it lets other clients have the agent.
    Status pause(Duration how_long);

    /// Content of a regular file. Errors: those of ping(), of open(2) in the guest, file_too_large.
    Result<std::string> read_file(const std::string& path);

    /// Creates or replaces a file; `mode` are permission bits. Errors: those of ping(), of open(2)
    /// and write(2) in the guest. After an error the file may hold a part.
    Status write_file(const std::string& path, std::string_view data, unsigned mode);

    /// Asks the guest to power off and does not wait until it has. Errors: those of ping().
    Status shutdown(Duration timeout);

    ~GuestAgent();
    GuestAgent(const GuestAgent&) = delete;
    GuestAgent& operator=(const GuestAgent&) = delete;

private:
    GuestAgent(std::string path, UniqueFd socket, Duration doubt);
    Result<nlohmann::json> ask(const char* command, const nlohmann::json& arguments,
                               TimePoint deadline);
    Result<nlohmann::json> ask_once(const char* command, const nlohmann::json& arguments,
                                    TimePoint deadline);
    Result<Duration> age_of_agent();
    Status reconnect(TimePoint deadline, bool early);
    Status yield_and_sleep(Duration pause, TimePoint deadline);
    Result<int64_t> start_by(const std::vector<std::string>& argv, std::string_view input,
                             TimePoint deadline);
    Result<std::optional<ExecResult>> poll_by(int64_t pid, TimePoint deadline);
    Result<int64_t> open_file(const std::string& path, const char* mode, TimePoint deadline);
    Status close_file(int64_t handle);

    const Duration doubt_;
    Duration silence_ = kSilence;
    std::string path_;  // of the socket; empty if we were given a connected one
    std::unique_ptr<AgentChannel> channel_;
};

}  // namespace mimic::guest_agent
