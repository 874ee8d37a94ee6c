// SPDX-License-Identifier: Apache-2.0
// v1 and v2 of the public mediator: one request or PING a connection. And how the first bytes of a
// connection to the framed socket tell who speaks.
#include "mediator/server/connection.h"
#include "mediator/server/server_core.h"

namespace mimic::mediator {
namespace {

// After so long nothing more follows a PING of v1 (wire.h).
constexpr Duration kQuiet = std::chrono::milliseconds(50);

}  // namespace

bool Connection::take_first() {
    const auto bytes = stream_.in().bytes();
    switch (wire::probe(bytes, quiet_)) {
        case wire::Form::kMore:
            if (bytes.size() == sizeof(wire::HeaderV1) && !quiet_timer_.is_pending())
                quiet_timer_.start(server_.loop(), kQuiet, [this] {
                    quiet_ = true;
                    take_messages();
                });
            return false;
        case wire::Form::kV1:
            form_ = Form::kV1;
            return take_legacy(wire::parse_v1(bytes));
        case wire::Form::kV2:
            form_ = Form::kV2;
            return take_legacy(wire::parse_v2(bytes));
        case wire::Form::kV3:
            return take_hello();
        case wire::Form::kBad:
            malformed("a wrong magic");
            return false;
    }
    return false;
}

template <typename Header>
bool Connection::take_legacy(const wire::Message<Header>& message) {
    if (message.found == wire::Found::kMore) return false;
    const Header& header = message.header;
    legacy_ = {
        header.magic,    header.type, header.vm_id,         header.request_id, header.pool_id,
        header.priority, 0,           header.payload_length};
    if (message.found == wire::Found::kBad) {
        malformed(message.why);  // and no answer, as the public one
        return false;
    }
    switch (static_cast<wire::Type>(header.type)) {
        case wire::Type::kPing:
            send_legacy(wire::Type::kPong);
            break;
        case wire::Type::kRequest:
            take_legacy_request(message.payload);
            break;
        default:
            malformed("a type that a client does not send");
            break;
    }
    stream_.in().drop(message.size);
    return false;
}

void Connection::take_legacy_request(std::span<const std::byte> payload) {
    const Client client{legacy_.vm_id, 0, legacy_.pool_id, static_cast<Priority>(legacy_.priority),
                        uid_};
    if (!server_.has_place_for(client.vm)) return send_legacy(wire::Type::kBusy);
    if (const vgpu_error error = admit(client); error != VGPU_OK) return answer_legacy({error, {}});
    Asked asked;
    asked.id = ++last_id_;
    asked.room = wire::kMaxLegacyPayload;
    asked.charge = payload.size() + asked.room;
    submit(asked, false, payload, {});
}

void Connection::answer_legacy(const Answer& answer) {
    switch (answer.error) {
        case VGPU_OK:
            return send_legacy(wire::Type::kResponse, answer.response);
        case VGPU_ERROR_RATE_LIMITED:
        case VGPU_ERROR_QUEUE_FULL:
            return send_legacy(wire::Type::kBusy);
        case VGPU_ERROR_QUARANTINED:
            return send_legacy(wire::Type::kQuarantined);
        default:
            break;
    }
    vgpu_response error{};
    error.version = VGPU_PROTOCOL_VERSION;
    error.status = answer.error;
    send_legacy(wire::Type::kResponse, wire::bytes_of(error));
}

// The one answer of the connection, which may come long after the request.
void Connection::send_legacy(wire::Type type, std::span<const std::byte> payload) {
    end_when_sent_ = true;
    legacy_.type = static_cast<uint32_t>(type);
    legacy_.payload_length = static_cast<uint32_t>(payload.size());
    if (form_ == Form::kV2) return wire::append(stream_.out(), legacy_, payload);
    const wire::HeaderV1 header{legacy_.magic,
                                legacy_.type,
                                legacy_.vm_id,
                                legacy_.request_id,
                                legacy_.pool_id,
                                legacy_.priority,
                                static_cast<uint16_t>(payload.size())};
    wire::append(stream_.out(), header, payload);
}

template bool Connection::take_legacy(const wire::Message<wire::HeaderV1>& message);
template bool Connection::take_legacy(const wire::Message<wire::HeaderV2>& message);

}  // namespace mimic::mediator
