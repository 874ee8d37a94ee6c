// SPDX-License-Identifier: Apache-2.0
// AgentChannel: one stream of JSON lines to a guest agent, with deadlines on everything and limits
// on what is read.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "base/task_runner.h"
#include "base/unique_fd.h"

namespace mimic::guest_agent {

/// The error of a request that the guest has lost: its agent answers what was sent later. Linux'
/// virtio_console throws away what has come to a port and was not read when its device freezes
/// (virtcons_freeze() of drivers/char/virtio_console.c), and an agent that restarts does as much.
inline constexpr std::errc kRequestLost = std::errc::no_message;

/// Sends requests and returns their answers. Thread-bound; calls block until their deadline at
/// most.
class AgentChannel {
public:
    /// `doubt` is how long an answer may take before call() asks for a sign of life.
    AgentChannel(UniqueFd socket, size_t max_reply_bytes, Duration doubt);

    /// Sends guest-sync-delimited and drops everything until its answer: whatever another client
    /// left behind. Asks again now and then, because a guest that restarts loses what was sent.
    /// Errors: timed_out, connection_reset.
    Status synchronize(TimePoint deadline);

    /// Executes a command of the agent and returns its "return" value. An "error" answer becomes an
    /// Error whose code is taken from its text (no_such_file_or_directory, permission_denied,
    /// is_a_directory, no_space_on_device, else operation_not_supported). When no answer comes it
    /// asks for a sign of life, again and again, and fails with kRequestLost as soon as
    /// there is one: then the guest has not seen the request, or an agent that is gone has. Other
    /// errors: timed_out, connection_reset, protocol_error, message_size.
    Result<nlohmann::json> call(const char* command, const nlohmann::json& arguments,
                                TimePoint deadline);

    /// False after an error that leaves answers out of step; every later call then fails.
    bool usable() const { return usable_; }

private:
    Status send(std::string_view data, TimePoint deadline);
    Result<uint64_t> send_sync(TimePoint deadline);
    Result<nlohmann::json> await(uint64_t id, TimePoint deadline);
    Result<std::string> receive_line(TimePoint deadline);
    Result<nlohmann::json> receive(TimePoint deadline);
    Status wait_for(short events, TimePoint deadline);

    UniqueFd socket_;
    const size_t max_reply_bytes_;
    const Duration doubt_;
    std::string buffer_;  // received, not yet returned
    size_t scanned_ = 0;  // of buffer_, known to hold no newline
    uint64_t last_id_ = 0;
    bool usable_ = true;
    bool repeats_ids_ = false;  // the agent is known to; those older than QEMU 4.0 do not
};

/// True if parsing `text` as JSON cannot make more than a few thousand values: 96 MiB of '[' would
/// otherwise become gigabytes. Pure.
bool json_is_small(std::string_view text);

}  // namespace mimic::guest_agent
