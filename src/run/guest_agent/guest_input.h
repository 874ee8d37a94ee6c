// SPDX-License-Identifier: Apache-2.0
// A command in a guest that gets our input as it comes: of any length, with as much of it in memory
// as one message to the agent holds.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "guest_agent/guest_agent.h"

namespace mimic::guest_agent {

/// What is sent to the agent at once; an emulated CPU needs about half a second for it.
inline constexpr size_t kInputPart = 512u << 10;

/// The input of a command.
class InputSource {
public:
    virtual ~InputSource() = default;

    struct Part {
        std::string data;    // at most kInputPart bytes; may be empty
        bool ended = false;  // behind `data` comes no more
    };

    /// What there is. Waits at most `patience` for the first byte of it. Errors: those of read(2).
    virtual Result<Part> read(Duration patience) = 0;
};

/// Reads a descriptor, which it borrows: a pipe, a file, anything that poll(2) knows.
class DescriptorInput final : public InputSource {
public:
    explicit DescriptorInput(int fd) : fd_(fd) {}
    Result<Part> read(Duration patience) override;

private:
    const int fd_;
};

/// GuestAgent::exec() with `input`, until the command ends, however long that takes; what it has
/// not read by then is dropped. Input that is short and has ended goes along with the command. Else
/// a shell of the guest runs the command with a FIFO as its standard input, in a folder of /tmp
/// that is removed at the end; then a command that cannot be started is no error but has exit
/// status 126 or 127, as a shell has it. Errors: those of exec() and of `input`; not_supported if
/// the guest cannot make a FIFO.
Result<GuestAgent::ExecResult> exec_with_input(GuestAgent& agent,
                                               const std::vector<std::string>& argv,
                                               InputSource& input);

}  // namespace mimic::guest_agent
