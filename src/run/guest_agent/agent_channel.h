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

/// Sends requests and returns their answers. Thread-bound; calls block until their deadline at
/// most.
class AgentChannel {
public:
    explicit AgentChannel(UniqueFd socket, size_t max_reply_bytes);

    /// Sends guest-sync-delimited and drops everything until its answer: whatever another client
    /// left behind. Asks again now and then, because a guest that restarts loses what was sent.
    /// Errors: timed_out, connection_reset.
    Status synchronize(TimePoint deadline);

    /// Executes a command of the agent and returns its "return" value. An "error" answer becomes an
    /// Error whose code is taken from its text (no_such_file_or_directory, permission_denied,
    /// is_a_directory, no_space_on_device, else operation_not_supported). Other errors: timed_out,
    /// connection_reset, protocol_error, message_size.
    Result<nlohmann::json> call(const char* command, const nlohmann::json& arguments,
                                TimePoint deadline);

    /// False after an error that leaves answers out of step; every later call then fails.
    bool usable() const { return usable_; }

private:
    Status send(std::string_view data, TimePoint deadline);
    Result<std::string> receive_line(TimePoint deadline);
    Result<nlohmann::json> receive(TimePoint deadline);
    Status wait_for(short events, TimePoint deadline);

    UniqueFd socket_;
    const size_t max_reply_bytes_;
    std::string buffer_;  // received, not yet returned
    size_t scanned_ = 0;  // of buffer_, known to hold no newline
    uint64_t last_id_ = 0;
    bool usable_ = true;
};

/// True if parsing `text` as JSON cannot make more than a few thousand values: 96 MiB of '[' would
/// otherwise become gigabytes. Pure.
bool json_is_small(std::string_view text);

}  // namespace mimic::guest_agent
