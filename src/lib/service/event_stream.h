// SPDX-License-Identifier: Apache-2.0
// EventStream: what a client gets for GET /v1/events, as the bytes come: the head of an HTTP
// answer, then server-sent events (HTML, section 9.2), of which one of ours has a type, data and an
// id.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace mimic::service {

/// An event that another process sent. Its data is an object with a number "time_us", and else
/// whatever that process liked; that of "dropped" may be anything.
struct StreamEvent {
    std::string type;  // letters and '-'
    std::optional<uint64_t> id;
    nlohmann::ordered_json data;
};

/// The request for a stream, continued behind event `after` if it is given. HTTP/1.0: the answer
/// then comes without chunks and ends with the connection.
std::string event_stream_request(std::optional<uint64_t> after);

/// One stream. A peer is believed nothing: memory is bounded, and what is no event ends it.
class EventStream {
public:
    /// What may come without a whole event in it, in bytes. Arbitrary.
    static constexpr size_t kMaxEvent = size_t{64} << 10;

    /// Takes what came next and calls `each` for each event that is whole now. False for another
    /// answer than a stream, or something that is no event: nothing more is taken.
    bool take(std::string_view bytes, const std::function<void(StreamEvent)>& each);

    /// Whether the head has passed: from then on no event is missed.
    bool subscribed() const { return subscribed_; }

private:
    bool take_head();

    std::string received_;  // what is no whole event yet
    bool subscribed_ = false;
};

}  // namespace mimic::service
