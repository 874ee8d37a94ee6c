// SPDX-License-Identifier: Apache-2.0
// QmpClient: QEMU's control channel, JSON lines over a UNIX socket (QEMU docs, interop/qmp-spec).
// QEMU is our child but runs a hostile guest, so answers are bounded and every call has a deadline.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task_runner.h"
#include "base/unique_fd.h"

namespace mimic::machine {

/// One connection, capabilities negotiated. Thread-bound; calls block until the answer or their
/// deadline. After an error other than invalid_argument the connection is of no further use.
class QmpClient {
public:
    /// Errors: those of connect(2), timed_out, protocol_error.
    static Result<std::unique_ptr<QmpClient>> connect(const std::string& socket, Duration timeout);

    /// Runs a command without arguments; the result is its "return" member as JSON text. Events
    /// that come in between are dropped. Errors: invalid_argument with QEMU's description if it
    /// refuses; timed_out, connection_reset, protocol_error.
    Result<std::string> execute(std::string_view command, Duration timeout);

    /// The same with arguments, a JSON object as text; it must be valid UTF-8. Errors: those of
    /// execute(); invalid_argument, too, if the text is no JSON object, and nothing is sent.
    Result<std::string> execute(std::string_view command, std::string_view arguments,
                                Duration timeout);

    /// What query-status says: "running", "paused", "guest-panicked" ...
    Result<std::string> status(Duration timeout);

    /// Ends QEMU at once. A connection that is cut before the answer counts as success.
    Status quit(Duration timeout);

    /// Presses the power button; whether the guest obeys is its affair.
    Status system_powerdown(Duration timeout);

private:
    explicit QmpClient(UniqueFd socket) : socket_(std::move(socket)) {}
    Result<std::string> read_line(TimePoint deadline);
    Status send_line(std::string_view line, TimePoint deadline);

    UniqueFd socket_;
    std::string received_;  // bytes after the last whole line
};

}  // namespace mimic::machine
