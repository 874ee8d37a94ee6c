// SPDX-License-Identifier: Apache-2.0
// The agent's commands that we use, on top of AgentChannel. Each value of an answer is checked
// before it is used.
//
// QEMU serves one client of the agent's socket at a time, others wait in its backlog. So a long
// exec() hangs up while it sleeps between two looks, and several commands can run in one guest at
// the same time.
#include "guest_agent/guest_agent.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "base/unix_socket.h"
#include "guest_agent/agent_channel.h"
#include "guest_agent/base64.h"

namespace mimic::guest_agent {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kConnectRetry = milliseconds(20);
constexpr auto kFirstPoll = milliseconds(2);
constexpr auto kLongestPoll = milliseconds(250);
/// A pause at least this long is worth a new connection (two round trips).
constexpr auto kHangUpPause = milliseconds(100);
/// One call that should take milliseconds; a guest that hangs is told from a command that takes
/// long. An emulated guest on a busy machine was silent for half a minute.
constexpr auto kCall = seconds(120);
constexpr size_t kChunkBytes = 512u << 10;

/// An emulated CPU parses about 1 MiB a second.
Duration call_time(size_t bytes) {
    return kCall + seconds(bytes >> 18);
}

TimePoint steady_now() {
    return SteadyClock().now();
}

/// An integer of an answer, or nothing.
std::optional<int64_t> integer(const Json& object, const char* key) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end() || !found->is_number_integer()) {
        return std::nullopt;
    }
    if (found->is_number_unsigned() &&
        found->get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
        return std::nullopt;
    }
    return found->get<int64_t>();
}

bool flag(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_boolean() && found->get<bool>();
}

tl::unexpected<Error> malformed(const char* command) {
    return fail(std::errc::protocol_error, "the guest agent's answer to {} is malformed", command);
}

/// Decoded bytes under `key`; none if the key is not there.
Result<std::string> bytes(const Json& object, const char* key, const char* command) {
    const auto found = object.find(key);
    if (found == object.end()) return std::string();
    if (!found->is_string()) return malformed(command);
    std::optional<std::string> data = base64_decode(found->get_ref<const std::string&>());
    if (!data) return malformed(command);
    return std::move(*data);
}

Result<GuestAgent::ExecResult> exec_result(const Json& status) {
    constexpr const char* kCommand = "guest-exec-status";
    GuestAgent::ExecResult result;
    const auto code = integer(status, "exitcode");
    const auto signal = integer(status, "signal");
    if (!code && !signal) return malformed(kCommand);
    if (code && (*code < 0 || *code > 255)) return malformed(kCommand);
    if (signal && (*signal < 1 || *signal > 64)) return malformed(kCommand);
    result.exit_status = static_cast<int>(code.value_or(0));
    result.signal = static_cast<int>(signal.value_or(0));
    MIMIC_ASSIGN_OR_RETURN(result.out, bytes(status, "out-data", kCommand));
    MIMIC_ASSIGN_OR_RETURN(result.err, bytes(status, "err-data", kCommand));
    result.truncated = flag(status, "out-truncated") || flag(status, "err-truncated");
    if (result.out.size() + result.err.size() > GuestAgent::kMaxDataBytes) {
        return fail(std::errc::message_size, "the command printed more than {} MiB",
                    GuestAgent::kMaxDataBytes >> 20);
    }
    return result;
}

/// True while QEMU is not yet, or not any more, at the socket.
bool may_come(const Error& error) {
    return error.code() == std::errc::no_such_file_or_directory ||
           error.code() == std::errc::connection_refused || error.errno_value() == EAGAIN;
}

}  // namespace

GuestAgent::GuestAgent(UniqueFd socket, Duration doubt)
    : GuestAgent(std::string(), std::move(socket), doubt) {}

GuestAgent::GuestAgent(std::string path, UniqueFd socket, Duration doubt)
    : doubt_(doubt),
      path_(std::move(path)),
      channel_(std::make_unique<AgentChannel>(std::move(socket), kMaxReplyBytes, doubt_)) {}

GuestAgent::~GuestAgent() = default;

/// A call that may be carried out twice.
Result<Json> GuestAgent::ask(const char* command, const Json& arguments, TimePoint deadline) {
    for (;;) {
        Result<Json> answer = channel_->call(command, arguments, deadline);
        if (answer || answer.error().code() != kRequestLost) return answer;
    }
}

/// A call that may not: a lost request is sent again only if the agent that answers now was there
/// when it was sent. Then nobody has carried it out, for what an agent has answered in one short
/// line does arrive: QEMU takes all that is in a port's out-queue before the guest can reset it.
Result<Json> GuestAgent::ask_once(const char* command, const Json& arguments, TimePoint deadline) {
    for (;;) {
        const TimePoint asked = steady_now();
        Result<Json> answer = channel_->call(command, arguments, deadline);
        if (answer || answer.error().code() != kRequestLost) return answer;
        Result<Duration> age = age_of_agent();
        while (!age && age.error().code() == kRequestLost && steady_now() < deadline)
            age = age_of_agent();
        if (age && *age > steady_now() - asked) continue;
        return fail(kRequestLost,
                    "the guest agent was restarted, or lost a request; whether the guest has "
                    "carried out {} is not known",
                    command);
    }
}

/// How long the agent's process lives (proc(5): field 22 of stat, in ticks of 10 ms to user space,
/// and uptime count from the same moment).
Result<Duration> GuestAgent::age_of_agent() {
    MIMIC_ASSIGN_OR_RETURN(std::string stat, read_file("/proc/self/stat"));
    MIMIC_ASSIGN_OR_RETURN(const std::string uptime, read_file("/proc/uptime"));
    stat.erase(0, stat.rfind(')') + 1);  // a name may hold anything; npos + 1 is 0
    std::istringstream fields(stat);
    std::string field;
    for (int i = 3; i < 22; ++i) fields >> field;
    uint64_t ticks = 0;
    double seconds_up = 0;
    if (!(fields >> ticks) || !(std::istringstream(uptime) >> seconds_up))
        return malformed("guest-file-read");
    const double age = seconds_up - static_cast<double>(ticks) / 100;
    constexpr double kLongest = 1e9;  // a Duration holds nine times as much
    if (!(age >= 0 && age <= kLongest)) return malformed("guest-file-read");
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(age));
}

Result<std::unique_ptr<GuestAgent>> GuestAgent::connect(const std::string& socket, Duration timeout,
                                                        Duration silence) {
    std::unique_ptr<GuestAgent> agent(new GuestAgent(socket, UniqueFd(), kDoubt));
    agent->silence_ = silence;
    MIMIC_TRY(agent->reconnect(steady_now() + timeout, true));
    return agent;
}

/// A new connection, and an agent that answers on it. `early`: QEMU may not be there yet.
Status GuestAgent::reconnect(TimePoint deadline, bool early) {
    for (;;) {
        Result<UniqueFd> fd = unix_connect_now(path_);
        if (fd) {
            channel_ = std::make_unique<AgentChannel>(std::move(*fd), kMaxReplyBytes, doubt_);
            const Status synced = channel_->synchronize(
                std::min<TimePoint>(deadline, steady_now() + silence_));
            if (synced) return {};
            const std::errc code = synced.error().code();
            const bool was_silent = code == std::errc::timed_out && steady_now() < deadline;
            if (!was_silent && !(early && code == std::errc::connection_reset)) return synced;
            channel_ = std::make_unique<AgentChannel>(UniqueFd(), kMaxReplyBytes, doubt_);
        } else if (!(early ? may_come(fd.error()) : fd.error().errno_value() == EAGAIN)) {
            return tl::unexpected<Error>(std::move(fd).error().with_context("guest agent"));
        }
        if (steady_now() + kConnectRetry >= deadline) {
            return fail(std::errc::timed_out, "no guest agent at {}", path_);
        }
        std::this_thread::sleep_for(kConnectRetry);
    }
}

Status GuestAgent::ping(Duration timeout) {
    MIMIC_TRY(ask("guest-ping", Json::object(), steady_now() + timeout));
    return {};
}

Status GuestAgent::yield_and_sleep(Duration pause, TimePoint deadline) {
    pause = std::min<Duration>(pause, std::max<Duration>(deadline - steady_now(), Duration(0)));
    const bool hang_up = !path_.empty() && pause >= kHangUpPause;
    if (hang_up) channel_ = std::make_unique<AgentChannel>(UniqueFd(), kMaxReplyBytes, doubt_);
    std::this_thread::sleep_for(pause);
    if (!hang_up) return {};
    // Others may be served before us.
    return reconnect(std::max(deadline, steady_now() + seconds(5)), false);
}

Status GuestAgent::pause(Duration how_long) {
    return yield_and_sleep(how_long, TimePoint::max());
}

Result<int64_t> GuestAgent::start(const std::vector<std::string>& argv, std::string_view input) {
    return start_by(argv, input, steady_now() + call_time(input.size()));
}

Result<std::optional<GuestAgent::ExecResult>> GuestAgent::poll(int64_t pid) {
    return poll_by(pid, steady_now() + call_time(kMaxDataBytes));
}

Result<int64_t> GuestAgent::start_by(const std::vector<std::string>& argv, std::string_view input,
                                     TimePoint deadline) {
    if (argv.empty()) return fail(std::errc::invalid_argument, "no command given");
    if (input.size() > kMaxInputBytes) {
        return fail(std::errc::message_size, "input for the command exceeds {} MiB",
                    kMaxInputBytes >> 20);
    }
    Json arguments = {{"path", argv.front()},
                      {"arg", std::vector<std::string>(argv.begin() + 1, argv.end())},
                      {"capture-output", true}};
    if (!input.empty()) arguments["input-data"] = base64_encode(input);
    MIMIC_ASSIGN_OR_RETURN(const Json started, ask_once("guest-exec", arguments, deadline));
    const auto pid = integer(started, "pid");
    if (!pid) return malformed("guest-exec");
    return *pid;
}

Result<std::optional<GuestAgent::ExecResult>> GuestAgent::poll_by(int64_t pid, TimePoint deadline) {
    MIMIC_ASSIGN_OR_RETURN(const Json status, ask("guest-exec-status", {{"pid", pid}}, deadline));
    if (!status.is_object()) return malformed("guest-exec-status");
    if (!flag(status, "exited")) return std::nullopt;
    MIMIC_ASSIGN_OR_RETURN(ExecResult result, exec_result(status));
    return result;
}

Result<GuestAgent::ExecResult> GuestAgent::exec(const std::vector<std::string>& argv,
                                                std::string_view input, Duration timeout) {
    const TimePoint deadline = steady_now() + timeout;
    MIMIC_ASSIGN_OR_RETURN(
        const int64_t pid,
        start_by(argv, input, std::min(deadline, steady_now() + call_time(input.size()))));
    Duration pause = kFirstPoll;
    for (;;) {
        MIMIC_ASSIGN_OR_RETURN(
            auto result, poll_by(pid, std::min(deadline, steady_now() + call_time(kMaxDataBytes))));
        if (result) return std::move(*result);
        if (steady_now() >= deadline)
            return fail(std::errc::timed_out, "{} did not end in time", argv[0]);
        MIMIC_TRY(yield_and_sleep(pause, deadline));
        pause = std::min<Duration>(pause + pause / 2, kLongestPoll);
    }
}

Result<int64_t> GuestAgent::open_file(const std::string& path, const char* mode,
                                      TimePoint deadline) {
    MIMIC_ASSIGN_OR_RETURN(const Json handle,
                           ask("guest-file-open", {{"path", path}, {"mode", mode}}, deadline));
    if (!handle.is_number_integer()) return malformed("guest-file-open");
    return handle.get<int64_t>();
}

Status GuestAgent::close_file(int64_t handle) {
    MIMIC_TRY(ask("guest-file-close", {{"handle", handle}}, steady_now() + kCall));
    return {};
}

Result<std::string> GuestAgent::read_file(const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(const int64_t handle, open_file(path, "r", steady_now() + kCall));
    std::string data;
    const auto read_all = [&]() -> Status {
        for (;;) {
            MIMIC_ASSIGN_OR_RETURN(
                const Json part,
                channel_->call("guest-file-read", {{"handle", handle}, {"count", kChunkBytes}},
                               steady_now() + kCall));
            if (!part.is_object()) return malformed("guest-file-read");
            MIMIC_ASSIGN_OR_RETURN(const std::string chunk,
                                   bytes(part, "buf-b64", "guest-file-read"));
            if (data.size() + chunk.size() > kMaxDataBytes) {
                return fail(std::errc::file_too_large, "{} in the guest is larger than {} MiB",
                            path, kMaxDataBytes >> 20);
            }
            data += chunk;
            if (flag(part, "eof")) return {};
            // A guest that never says "end" and sends nothing would keep us here.
            if (chunk.empty()) return malformed("guest-file-read");
        }
    };
    const Status done = read_all();
    // The first error is the one to tell.
    const Status closed = channel_->usable() ? close_file(handle) : Status();
    if (!done) return tl::unexpected<Error>(done.error());
    if (!closed) return tl::unexpected<Error>(closed.error());
    return data;
}

Status GuestAgent::write_file(const std::string& path, std::string_view data, unsigned mode) {
    MIMIC_ASSIGN_OR_RETURN(const int64_t handle, open_file(path, "w", steady_now() + kCall));
    const auto write_all = [&]() -> Status {
        while (!data.empty()) {
            const std::string_view chunk = data.substr(0, kChunkBytes);
            MIMIC_ASSIGN_OR_RETURN(
                const Json part,
                channel_->call("guest-file-write",
                               {{"handle", handle}, {"buf-b64", base64_encode(chunk)}},
                               steady_now() + kCall));
            const auto count = integer(part, "count");
            if (!count || *count <= 0 || static_cast<uint64_t>(*count) > chunk.size()) {
                return malformed("guest-file-write");
            }
            data.remove_prefix(static_cast<size_t>(*count));
        }
        // The agent writes through stdio: a full disk shows here at the latest.
        MIMIC_TRY(ask("guest-file-flush", {{"handle", handle}}, steady_now() + kCall));
        return {};
    };
    const Status done = write_all();
    const Status closed = channel_->usable() ? close_file(handle) : Status();
    if (!done) return done;
    MIMIC_TRY(closed);
    MIMIC_ASSIGN_OR_RETURN(
        const ExecResult changed,
        exec({"chmod", fmt::format("{:o}", mode & 07777), "--", path}, {}, kCall));
    if (changed.exit_status != 0 || changed.signal != 0) {
        return fail(std::errc::operation_not_permitted, "chmod of {} in the guest failed", path);
    }
    return {};
}

Status GuestAgent::shutdown(Duration timeout) {
    // It has an answer only when it fails, and then at once; the guest may also be gone before we
    // look.
    const Duration patience = std::min<Duration>(timeout, milliseconds(300));
    const Result<Json> answer = channel_->call("guest-shutdown", {{"mode", "powerdown"}},
                                               steady_now() + patience);
    if (answer || answer.error().code() == std::errc::timed_out ||
        answer.error().code() == std::errc::connection_reset) {
        return {};
    }
    return tl::unexpected<Error>(answer.error());
}

}  // namespace mimic::guest_agent
