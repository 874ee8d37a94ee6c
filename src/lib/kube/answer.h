// SPDX-License-Identifier: Apache-2.0
// What an API server answered, as bytes, made into values. The server is untrusted: sizes, depth
// and types are checked here, once, before anything else looks. Pure; any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "kube/client.h"

namespace mimic::kube {

/// Levels of objects and lists that are taken. Writing JSON takes stack for each, so a server must
/// not choose their number. Arbitrary: an object's managedFields have about 20.
inline constexpr int kMaxDepth = 200;

/// Values that are taken for a byte budget: one takes tens of bytes of memory, and two of text.
inline constexpr size_t max_values(size_t max_bytes) {
    return 4096 + max_bytes / 8;
}

/// The object in `text`; null if it is something else, no JSON, deeper than kMaxDepth or of more
/// than `values` values.
nlohmann::json parse_object(std::string_view text, size_t values);

/// The member `key`; nullptr if `json` has none, or is no object.
const nlohmann::json* member(const nlohmann::json& json, const char* key);

/// The string `key`; "" if it is none.
std::string text_member(const nlohmann::json& json, const char* key);

/// metadata.`key` as text; "" if it is none: "name", "uid", "resourceVersion", "continue".
std::string metadata_text(const nlohmann::json& object, const char* key);

/// A Retry-After header: whole seconds, or an HTTP date (RFC 9110, 10.2.3). At most an hour, which
/// is arbitrary; nothing if it is neither.
std::optional<std::chrono::milliseconds> parse_retry_after(
    std::string_view text, std::chrono::system_clock::time_point now);

/// The error in an answer with `status`, from its Status object if it is one.
ApiError error_of(int status, std::string_view body,
                  std::optional<std::chrono::milliseconds> retry_after);

/// An error of ours that no repetition mends: status 400, reason "Refused".
ApiError refused(const std::string& message);

/// The lines of a watch, as the bytes come. Thread-bound.
class WatchStream {
public:
    /// `max_line`: bytes of one event.
    explicit WatchStream(size_t max_line) : max_line_(max_line) {}

    /// Takes what came next and calls `each` for each event that is whole now. An error ends the
    /// stream: one that the server told as an event of type ERROR (410: list again), or status 0
    /// for what is no event. Nothing may be taken after that.
    ApiResult<void> take(std::string_view bytes, const std::function<void(WatchEvent)>& each);

private:
    ApiResult<void> take_line(std::string_view line, const std::function<void(WatchEvent)>& each);

    size_t max_line_;
    std::string rest_;  // what is no whole line yet
};

}  // namespace mimic::kube
