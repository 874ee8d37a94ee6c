// SPDX-License-Identifier: Apache-2.0
// See QEMU's qga/qapi-schema.json: a request is one JSON object and a newline; so is an answer. An
// answer to guest-sync-delimited comes behind a 0xff byte, and a 0xff byte sent resets the agent's
// parser.
#include "guest_agent/agent_channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <random>
#include <vector>

#include "base/terminal_text.h"

namespace mimic::guest_agent {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr char kDelimiter = static_cast<char>(0xff);
constexpr size_t kMaxShown = 300;    // characters of what a guest wrote, in an error
constexpr size_t kMaxValues = 4096;  // arbitrary; the answers that we ask for hold ten
constexpr auto kFirstSyncWait = milliseconds(1000);
constexpr auto kLongestSyncWait = milliseconds(8000);

TimePoint now() {
    return SteadyClock().now();
}

/// What the agent's parser says of the byte that resets it ("JSON parse error, stray '?'", since
/// QEMU 3.1; "Invalid JSON syntax" before), without an id. It says so when it gets there, maybe
/// after the call that the sync was sent for has had its answer. Our own requests are valid.
bool is_of_parser(const Json& answer) {
    const auto error = answer.find("error");
    if (error == answer.end() || !error->is_object()) return false;
    const auto text = error->find("desc");
    if (text == error->end() || !text->is_string()) return false;
    const auto& words = text->get_ref<const std::string&>();
    return words.starts_with("JSON parse error") || words.starts_with("Invalid JSON");
}

/// What a system call in the guest said, found in the agent's prose.
std::errc code_of(std::string_view text) {
    constexpr std::pair<std::string_view, std::errc> kTexts[] = {
        {"No such file or directory", std::errc::no_such_file_or_directory},
        {"Permission denied", std::errc::permission_denied},
        {"Is a directory", std::errc::is_a_directory},
        {"Not a directory", std::errc::not_a_directory},
        {"No space left on device", std::errc::no_space_on_device},
        {"Read-only file system", std::errc::read_only_file_system},
        {"Exec format error", std::errc::executable_format_error},
    };
    for (const auto& [part, code] : kTexts) {
        if (text.find(part) != std::string_view::npos) return code;
    }
    return std::errc::operation_not_supported;
}

}  // namespace

bool json_is_small(std::string_view text) {
    size_t values = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == ',' || c == '[' || c == '{') {
            if (++values > kMaxValues) return false;
        }
    }
    return true;
}

AgentChannel::AgentChannel(UniqueFd socket, size_t max_reply_bytes, Duration doubt)
    : socket_(std::move(socket)),
      max_reply_bytes_(max_reply_bytes),
      doubt_(doubt),
      // Answers that wait for a client that is gone must not be taken for ours.
      last_id_(std::random_device()()) {}

Status AgentChannel::wait_for(short events, TimePoint deadline) {
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - now()).count();
        if (left <= 0) return fail(std::errc::timed_out, "the guest agent did not answer in time");
        pollfd fd{socket_.get(), events, 0};
        const int ready = ::poll(&fd, 1, static_cast<int>(std::min<int64_t>(left, 60'000)));
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return fail_errno("poll the guest agent's socket");
    }
}

Status AgentChannel::send(std::string_view data, TimePoint deadline) {
    while (!data.empty()) {
        const ssize_t count = ::send(socket_.get(), data.data(), data.size(),
                                     MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0) {
            data.remove_prefix(static_cast<size_t>(count));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            MIMIC_TRY(wait_for(POLLOUT, deadline));
        } else if (errno != EINTR) {
            return fail(std::errc::connection_reset, "the guest agent's socket was closed");
        }
    }
    return {};
}

Result<std::string> AgentChannel::receive_line(TimePoint deadline) {
    std::array<char, 65536> chunk;
    for (;;) {
        const size_t end = buffer_.find('\n', scanned_);
        if (end != std::string::npos) {
            std::string line = buffer_.substr(0, end);
            buffer_.erase(0, end + 1);
            scanned_ = 0;
            return line;
        }
        scanned_ = buffer_.size();
        if (buffer_.size() > max_reply_bytes_) {
            return fail(std::errc::message_size, "the guest agent's answer exceeds {} MiB",
                        max_reply_bytes_ >> 20);
        }
        MIMIC_TRY(wait_for(POLLIN, deadline));
        const ssize_t count = ::recv(socket_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
        if (count > 0) {
            buffer_.append(chunk.data(), static_cast<size_t>(count));
        } else if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            return fail(std::errc::connection_reset, "the guest agent's socket was closed");
        }
    }
}

Result<Json> AgentChannel::receive(TimePoint deadline) {
    // A guest that never stops talking must not keep us either.
    if (now() >= deadline) {
        return fail(std::errc::timed_out, "the guest agent did not answer in time");
    }
    MIMIC_ASSIGN_OR_RETURN(std::string line, receive_line(deadline));
    line.erase(0, line.find_last_of(kDelimiter) + 1);  // npos + 1 is 0
    if (!json_is_small(line)) {
        return fail(std::errc::protocol_error, "the guest agent's answer has too many parts");
    }
    Json answer = Json::parse(line, nullptr, false);
    if (!answer.is_object()) {
        return fail(std::errc::protocol_error, "the guest agent answered '{}'",
                    terminal_text(line, kMaxShown));
    }
    return answer;
}

/// Its answer names the request by id, and to agents that repeat none by what it returns.
Result<uint64_t> AgentChannel::send_sync(TimePoint deadline) {
    // The agent's numbers are signed 64-bit; 32 bits are enough.
    const uint64_t id = ++last_id_ & 0x7fffffff;
    const Json request = {
        {"execute", "guest-sync-delimited"}, {"arguments", {{"id", id}}}, {"id", id}};
    MIMIC_TRY(send(kDelimiter + request.dump() + "\n", deadline));
    return id;
}

Status AgentChannel::synchronize(TimePoint deadline) {
    Duration wait = kFirstSyncWait;
    while (now() < deadline) {
        MIMIC_ASSIGN_OR_RETURN(const uint64_t id, send_sync(deadline));
        const TimePoint next = std::min(deadline, now() + wait);
        wait = std::min<Duration>(wait * 2, kLongestSyncWait);
        for (;;) {
            Result<Json> answer = receive(next);
            if (answer) {
                const auto value = answer->find("return");
                if (value != answer->end() && value->is_number() && *value == id) {
                    repeats_ids_ = answer->contains("id");
                    usable_ = true;
                    return {};
                }
            } else if (answer.error().code() == std::errc::timed_out) {
                break;
            } else if (answer.error().code() != std::errc::protocol_error) {
                return tl::unexpected<Error>(std::move(answer).error());
            }
            // Else something that was meant for another, or half a line: not ours.
            if (now() >= next) break;
        }
    }
    usable_ = false;
    return fail(std::errc::timed_out, "no guest agent answers");
}

/// The agent answers in order. So once a sync that was sent behind the request is answered, the
/// request's own answer is here or will never come. Nor is our own answer the end while one of a
/// sync is on its way: who hangs up then makes QEMU lose an entry of the port's out-queue, and
/// after as many as it has (128) the agent can say nothing more until the guest boots again
/// (QEMU 11.1.3).
Result<Json> AgentChannel::await(uint64_t id, TimePoint deadline) {
    std::vector<uint64_t> syncs;  // sent behind the request; few, their distance doubles
    std::optional<Json> ours;
    bool is_named = false;  // ours
    Duration wait = doubt_;
    TimePoint next = now() + wait;
    for (;;) {
        Result<Json> answer = receive(std::min(deadline, next));
        if (!answer) {
            if (answer.error().code() != std::errc::timed_out) return answer;
            if (now() >= deadline) return ours && is_named ? std::move(*ours) : std::move(answer);
            MIMIC_ASSIGN_OR_RETURN(const uint64_t sync, send_sync(deadline));
            syncs.push_back(sync);
            next = now() + wait;
            wait = std::min<Duration>(wait * 2, kLongestSyncWait);
            continue;
        }
        const auto answered = answer->find("id");
        const auto value = answer->find("return");
        const bool has_id = answered != answer->end();
        if (has_id) repeats_ids_ = true;
        const auto& name = has_id ? answered : value;
        const auto is_name_of = [&](uint64_t one) { return name != answer->end() && *name == one; };
        if (std::any_of(syncs.begin(), syncs.end(), is_name_of)) {
            if (!is_name_of(syncs.back())) continue;
            // One without an id is ours only where the agent repeats none.
            if (ours && (is_named || !repeats_ids_)) return std::move(*ours);
            usable_ = true;
            return fail(kRequestLost, "the guest has lost a request to its agent");
        }
        if (has_id && *answered != id) continue;
        // Nothing without an id is ours where the agent repeats them.
        if (!has_id && (repeats_ids_ || is_of_parser(*answer))) continue;
        if (syncs.empty()) return answer;
        if (ours) continue;
        ours = std::move(*answer);
        is_named = has_id;
    }
}

Result<Json> AgentChannel::call(const char* command, const Json& arguments, TimePoint deadline) {
    if (!usable_) {
        return fail(std::errc::protocol_error, "the connection to the guest agent is out of step");
    }
    const uint64_t id = ++last_id_ & 0x7fffffff;
    Json request = {{"execute", command}, {"id", id}};
    if (!arguments.empty()) request["arguments"] = arguments;
    usable_ = false;  // until a whole answer is here
    MIMIC_TRY(send(request.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", deadline));
    MIMIC_ASSIGN_OR_RETURN(Json answer, await(id, deadline));
    usable_ = true;
    if (const auto value = answer.find("return"); value != answer.end()) return std::move(*value);
    std::string text = "an answer without a result";
    if (const auto error = answer.find("error"); error != answer.end() && error->is_object()) {
        const auto reason = error->find("desc");
        if (reason != error->end() && reason->is_string()) text = reason->get<std::string>();
    }
    return fail(code_of(text), "{}", terminal_text(text, kMaxShown));
}

}  // namespace mimic::guest_agent
