// SPDX-License-Identifier: Apache-2.0
#include "kube/answer.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/terminal_text.h"

namespace mimic::kube {
namespace {

constexpr size_t kMaxMessage = 300;
constexpr std::chrono::milliseconds kMaxRetryAfter = std::chrono::hours(1);

// Whether `text` stays within both bounds. Looks at brackets and separators outside of strings
// only; whether it is JSON is for the parser to say.
bool within(std::string_view text, size_t values) {
    int depth = 0;
    size_t count = 1;
    bool in_string = false;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"') in_string = true;
        if (c == '{' || c == '[') {
            if (++depth > kMaxDepth) return false;
            ++count;
        } else if (c == '}' || c == ']') {
            --depth;
        } else if (c == ',' || c == ':') {
            ++count;
        }
        if (count > values) return false;
    }
    return true;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' ||
                             text.back() == '\n'))
        text.remove_suffix(1);
    return text;
}

ApiError no_answer(std::string message) {
    return {0, "", std::move(message), std::nullopt};
}

std::optional<std::chrono::milliseconds> retry_seconds(const nlohmann::json& status) {
    const auto* const details = member(status, "details");
    if (details == nullptr) return std::nullopt;
    const auto* const seconds = member(*details, "retryAfterSeconds");
    if (seconds == nullptr || !seconds->is_number_unsigned() || seconds->get<uint64_t>() == 0)
        return std::nullopt;
    // Bounded before it is multiplied.
    return std::min<std::chrono::milliseconds>(
        std::chrono::seconds(std::min<uint64_t>(seconds->get<uint64_t>(), 3600)), kMaxRetryAfter);
}

}  // namespace

nlohmann::json parse_object(std::string_view text, size_t values) {
    if (!within(text, values)) return nullptr;
    auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return nullptr;
    return json;
}

const nlohmann::json* member(const nlohmann::json& json, const char* key) {
    if (!json.is_object()) return nullptr;
    const auto found = json.find(key);
    return found == json.end() ? nullptr : &*found;
}

std::string text_member(const nlohmann::json& json, const char* key) {
    const auto* const found = member(json, key);
    return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

std::string metadata_text(const nlohmann::json& object, const char* key) {
    const auto* const metadata = member(object, "metadata");
    return metadata != nullptr ? text_member(*metadata, key) : std::string();
}

std::optional<std::chrono::milliseconds> parse_retry_after(
    std::string_view text, std::chrono::system_clock::time_point now) {
    text = trimmed(text);
    if (text.empty() || text.size() > 64) return std::nullopt;
    const bool digits = std::all_of(text.begin(), text.end(),
                                    [](char c) { return c >= '0' && c <= '9'; });
    if (digits) {
        uint64_t seconds = 0;
        const auto end = text.data() + text.size();
        if (std::from_chars(text.data(), end, seconds).ec != std::errc())
            return kMaxRetryAfter;  // only more than 64 bits get here
        return std::chrono::seconds(std::min<uint64_t>(seconds, 3600));
    }
    // The one form that senders may use: "Sun, 06 Nov 1994 08:49:37 GMT".
    std::tm time{};
    const std::string date(text);
    const char* const end = ::strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time);
    if (end == nullptr || *end != '\0') return std::nullopt;
    // In seconds: the year 9999 has no system_clock time in nanoseconds.
    const int64_t wait = ::timegm(&time) - std::chrono::system_clock::to_time_t(now);
    return std::chrono::seconds(std::clamp<int64_t>(wait, 0, 3600));
}

ApiError error_of(int status, std::string_view body,
                  std::optional<std::chrono::milliseconds> retry_after) {
    ApiError error{status, "", "", retry_after};
    // A Status object is small; who answers with megabytes did not send one.
    const auto json = parse_object(body.substr(0, size_t{64} << 10), 4096);
    if (text_member(json, "kind") == "Status") {
        error.reason = terminal_text(text_member(json, "reason"), 64);
        error.message = terminal_text(text_member(json, "message"), kMaxMessage);
        if (!error.retry_after) error.retry_after = retry_seconds(json);
    }
    if (error.message.empty()) {
        // "404 page not found" of the server itself, or HTML of something in between.
        error.message = fmt::format("HTTP {}", status);
        const auto text = terminal_text(trimmed(body.substr(0, 512)), 120);
        if (!text.empty()) error.message += ": " + text;
    }
    return error;
}

ApiError refused(const std::string& message) {
    return {400, "Refused", terminal_text(message, kMaxMessage), std::nullopt};
}

ApiResult<void> WatchStream::take(std::string_view bytes,
                                  const std::function<void(WatchEvent)>& each) {
    while (!bytes.empty()) {
        const size_t end = bytes.find('\n');
        if (rest_.size() + std::min(end, bytes.size()) > max_line_)
            return tl::unexpected(
                no_answer(fmt::format("the watch sent an event of more than {} bytes", max_line_)));
        if (end == std::string_view::npos) {
            rest_ += bytes;
            return {};
        }
        ApiResult<void> taken;
        if (rest_.empty()) {
            taken = take_line(bytes.substr(0, end), each);
        } else {
            rest_ += bytes.substr(0, end);
            taken = take_line(rest_, each);
            rest_.clear();
        }
        if (!taken) return taken;
        bytes.remove_prefix(end + 1);
    }
    return {};
}

ApiResult<void> WatchStream::take_line(std::string_view line,
                                       const std::function<void(WatchEvent)>& each) {
    line = trimmed(line);
    if (line.empty()) return {};
    auto json = parse_object(line, max_values(max_line_));
    WatchEvent event;
    event.type = text_member(json, "type");
    const auto* const object = member(json, "object");
    if (object == nullptr || !object->is_object())
        return tl::unexpected(no_answer("the watch sent something that is no event"));
    if (event.type == "ERROR") {
        const auto* const code = member(*object, "code");
        const int status = code != nullptr && code->is_number_unsigned() &&
                                   code->get<uint64_t>() >= 400 && code->get<uint64_t>() <= 599
                               ? code->get<int>()
                               : 0;
        ApiError error{status, terminal_text(text_member(*object, "reason"), 64),
                       terminal_text(text_member(*object, "message"), kMaxMessage),
                       retry_seconds(*object)};
        if (error.message.empty()) error.message = "the watch ended with an error";
        return tl::unexpected(std::move(error));
    }
    if (event.type != "ADDED" && event.type != "MODIFIED" && event.type != "DELETED" &&
        event.type != "BOOKMARK")
        return tl::unexpected(no_answer("the watch sent an event of an unknown type"));
    event.object = std::move(json["object"]);
    each(std::move(event));
    return {};
}

}  // namespace mimic::kube
