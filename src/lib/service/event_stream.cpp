// SPDX-License-Identifier: Apache-2.0
#include "service/event_stream.h"

#include <fmt/format.h>

#include <algorithm>

#include "service/event_hub.h"
#include "service/peer_json.h"

namespace mimic::service {
namespace {

constexpr size_t kMaxType = 32;  // arbitrary

// The value of line `name` ("data: ") of an event; empty if it has none.
std::string_view line_of(std::string_view event, std::string_view name) {
    while (!event.empty()) {
        const std::string_view line = event.substr(0, event.find('\n'));
        if (line.starts_with(name)) return line.substr(name.size());
        event.remove_prefix(std::min(line.size() + 1, event.size()));
    }
    return {};
}

bool is_type(std::string_view text) {
    return !text.empty() && text.size() <= kMaxType &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
}

// False for what is no event of ours.
bool take_event(std::string_view block, const std::function<void(StreamEvent)>& each) {
    if (block.size() > EventStream::kMaxEvent) return false;
    const std::string_view type = line_of(block, "event: ");
    if (type.empty()) return true;  // a comment, or "retry"
    StreamEvent event{std::string(type), event_id(line_of(block, "id: ")),
                      parse_peer_json(line_of(block, "data: "))};
    // The reader was too slow for the rest. That event alone has no time.
    if (type != "dropped" && !uint_member(event.data, "time_us")) return false;
    if (!is_type(type)) return false;
    each(std::move(event));
    return true;
}

}  // namespace

std::string event_stream_request(std::optional<uint64_t> after) {
    std::string text = "GET /v1/events HTTP/1.0\r\nHost: localhost\r\n";
    if (after) text += fmt::format("Last-Event-ID: {}\r\n", *after);
    return text + "\r\n";
}

bool EventStream::take(std::string_view bytes, const std::function<void(StreamEvent)>& each) {
    received_ += bytes;
    if (!take_head()) return false;
    size_t at = 0;
    bool good = true;
    if (subscribed_) {
        for (size_t end = 0; good && (end = received_.find("\n\n", at)) != std::string::npos;
             at = end + 2)
            good = take_event(std::string_view(received_).substr(at, end - at), each);
    }
    received_.erase(0, at);
    return good && received_.size() <= kMaxEvent;
}

// False for another answer than a stream, such as "too many of them".
bool EventStream::take_head() {
    if (subscribed_) return true;
    const size_t end = received_.find("\r\n\r\n");
    if (end == std::string::npos) return true;
    if (!received_.starts_with("HTTP/1.") || received_.find(" 200 ") != 8) return false;
    received_.erase(0, end + 4);
    subscribed_ = true;
    return true;
}

}  // namespace mimic::service
