// SPDX-License-Identifier: Apache-2.0
// A client of the control API: one request a call, over the UNIX socket of a process.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"

namespace mimic::service {

struct ClientRequest {
    std::string socket_path;
    std::string method = "GET";
    std::string path;  // "/v1/devices", percent-encoded
    std::string body{};
    Duration timeout = std::chrono::seconds(10);
};

struct ClientAnswer {
    int status = 0;
    std::string body;
};

/// Sends the request and waits for the answer. Errors: connection_refused if nobody listens there;
/// timed_out; connection_reset if the process ended before it had answered; message_size for an
/// answer of more than 16 MiB; protocol_error for one that is no HTTP. Blocks. Thread-safe.
Result<ClientAnswer> send_request(const ClientRequest& request);

/// Sends all at once and waits until each has its answer or its error, in their order; so the wait
/// is that of the slowest. Blocks. Thread-safe.
std::vector<Result<ClientAnswer>> send_requests(const std::vector<ClientRequest>& requests);

/// `text` as one element of a path.
std::string percent_encode(std::string_view text);

}  // namespace mimic::service
