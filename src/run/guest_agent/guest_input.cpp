// SPDX-License-Identifier: Apache-2.0
// In the guest there are, while the command runs:
//
//     cat (one for each part) ──► FIFO "in" ──► the command
//     a shell that keeps "in" open, so that the command sees no end between two parts, until
//     somebody opens the FIFO "end"
//
// A part is on its way until its cat has ended; the next one is read only then. So the guest's pipe
// holds us back, and a cat that fails says that nobody reads any more.
#include "guest_agent/guest_input.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>

namespace mimic::guest_agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kFirstWait = milliseconds(50);  // for input that is there, or about to be
constexpr auto kFirstPause = milliseconds(2);
constexpr auto kLongestPause = milliseconds(200);
constexpr auto kHelper = seconds(60);  // for a shell that needs milliseconds
constexpr auto kAnyTime = std::chrono::hours(24 * 365);

// Each gets the folder as $1, the second the command behind it.
constexpr const char* kMake = R"(mkdir -m 700 "$1" && mkfifo -m 600 "$1/in" "$1/end")";
// Opening a FIFO for both waits for nobody. 4: for the time until others have it; 5: the command's
// input; 6: what keeps it open.
constexpr const char* kRun = R"(d=$1; shift
exec 4<>"$d/in" 5<"$d/in" || exit 125
{ exec 6>"$d/in" 4>&- 5<&-; read -r x <"$d/end"; } </dev/null >/dev/null 2>&1 &
exec 4>&-
exec "$@" <&5 5<&-)";
constexpr const char* kPut = R"(exec cat >"$1/in")";
constexpr const char* kEnd = R"(: >"$1/end")";
// Whoever still waits to write to "in" gets a reader, and then none.
constexpr const char* kEndAndRemove = R"(exec 5<>"$1/in"; : >"$1/end"; rm -rf "$1")";
constexpr const char* kRemove = R"(rm -rf "$1")";

std::vector<std::string> shell(const char* script, const std::string& folder) {
    return {"/bin/sh", "-c", script, "sh", folder};
}

bool is_good(const GuestAgent::ExecResult& result) {
    return result.exit_status == 0 && result.signal == 0;
}

// One command and its input.
class Feeder {
public:
    Feeder(GuestAgent& agent, InputSource& input)
        : agent_(agent),
          input_(input),
          folder_(fmt::format("/tmp/.mimic-exec-{:08x}{:08x}", std::random_device()(),
                              std::random_device()())) {}

    Result<GuestAgent::ExecResult> run(const std::vector<std::string>& argv,
                                       InputSource::Part part) {
        MIMIC_ASSIGN_OR_RETURN(const auto made, agent_.exec(shell(kMake, folder_), {}, kHelper));
        if (!is_good(made)) {
            return fail(std::errc::not_supported,
                        "the guest cannot make a FIFO for standard input: {}", made.err);
        }
        auto result = feed(argv, std::move(part));
        // A connection that is out of step cannot be told anything. Errors: the guest keeps a
        // folder.
        if (result || !is_fatal(result.error())) {
            const char* const script = started_ && !ended_ ? kEndAndRemove : kRemove;
            [[maybe_unused]] const auto removed = agent_.exec(shell(script, folder_), {}, kHelper);
        }
        return result;
    }

private:
    static bool is_fatal(const Error& error) {
        return error.code() == std::errc::timed_out ||
               error.code() == std::errc::connection_reset ||
               error.code() == std::errc::protocol_error;
    }

    Result<GuestAgent::ExecResult> feed(const std::vector<std::string>& argv,
                                        InputSource::Part part) {
        std::vector<std::string> command = shell(kRun, folder_);
        command.insert(command.end(), argv.begin(), argv.end());
        MIMIC_ASSIGN_OR_RETURN(const int64_t pid, agent_.start(command, {}));
        started_ = true;
        MIMIC_TRY(put(part));
        Duration pause = kFirstPause;
        for (;;) {
            MIMIC_ASSIGN_OR_RETURN(auto result, agent_.poll(pid));
            if (result) return std::move(*result);
            MIMIC_ASSIGN_OR_RETURN(const bool moved, go_on());
            if (moved) {
                pause = kFirstPause;
            } else {
                MIMIC_TRY(agent_.pause(pause));
                pause = std::min<Duration>(pause + pause / 2, kLongestPause);
            }
        }
    }

    // The next part, when the last one is with the command. True if something happened.
    Result<bool> go_on() {
        if (put_) {
            MIMIC_ASSIGN_OR_RETURN(const auto done, agent_.poll(*put_));
            if (!done) return false;
            put_.reset();
            if (!is_good(*done)) is_read_ = false;
            if (last_ || !is_read_) MIMIC_TRY(end());
            return true;
        }
        if (ended_) return false;
        MIMIC_ASSIGN_OR_RETURN(const auto part, input_.read(Duration::zero()));
        if (part.data.empty() && !part.ended) return false;
        MIMIC_TRY(put(part));
        return true;
    }

    Status put(const InputSource::Part& part) {
        last_ = part.ended;
        if (part.data.empty()) return last_ ? end() : Status();
        MIMIC_ASSIGN_OR_RETURN(put_, agent_.start(shell(kPut, folder_), part.data));
        return {};
    }

    // The command is to see the end of its input.
    Status end() {
        if (ended_) return {};
        ended_ = true;
        MIMIC_ASSIGN_OR_RETURN([[maybe_unused]] const auto told,
                               agent_.exec(shell(kEnd, folder_), {}, kHelper));
        return {};
    }

    GuestAgent& agent_;
    InputSource& input_;
    const std::string folder_;
    std::optional<int64_t> put_;  // the cat of the part that is on its way
    bool started_ = false;
    bool last_ = false;    // that part is the last one
    bool is_read_ = true;  // a command that closes its input still runs
    bool ended_ = false;
};

}  // namespace

Result<InputSource::Part> DescriptorInput::read(Duration patience) {
    Part part;
    std::string buffer(65536, '\0');
    while (part.data.size() < kInputPart) {
        pollfd readable{.fd = fd_, .events = POLLIN, .revents = 0};
        const auto wait = std::chrono::ceil<milliseconds>(patience).count();
        const int ready = ::poll(&readable, 1, static_cast<int>(wait));
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0) return part;
        const size_t room = std::min(buffer.size(), kInputPart - part.data.size());
        const ssize_t count = ::read(fd_, buffer.data(), room);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) return part;
        if (count < 0) return fail_errno("read standard input");
        if (count == 0) {
            part.ended = true;
            return part;
        }
        part.data.append(buffer.data(), static_cast<size_t>(count));
    }
    return part;
}

Result<GuestAgent::ExecResult> exec_with_input(GuestAgent& agent,
                                               const std::vector<std::string>& argv,
                                               InputSource& input) {
    if (argv.empty()) return fail(std::errc::invalid_argument, "no command given");
    MIMIC_ASSIGN_OR_RETURN(auto first, input.read(kFirstWait));
    if (first.ended) return agent.exec(argv, first.data, kAnyTime);
    return Feeder(agent, input).run(argv, std::move(first));
}

}  // namespace mimic::guest_agent
