// SPDX-License-Identifier: Apache-2.0
// The packet of the original vGPU, on a socket of one VM.
#include "mediator/server/connection.h"
#include "mediator/server/server_core.h"

namespace mimic::mediator {

bool Connection::take_packet() {
    const auto message = wire::parse_packet(stream_.in().bytes());
    if (message.found == wire::Found::kMore) return false;
    packet_ = message.header;
    if (message.found == wire::Found::kBad) {
        const bool is_length = packet_.length == 0 || packet_.length > wire::kMaxLegacyPayload;
        // Whoever sent it may be waiting in a read.
        answer_packet({is_length ? VGPU_ERROR_INVALID_LENGTH : VGPU_ERROR_INVALID_REQUEST, {}});
        if (packet_.vm_id == vm_ && is_length) admit_packet();  // for whose fault it is
        malformed(message.why);
        return false;
    }
    const vgpu_error error = packet_.vm_id == vm_ ? admit_packet() : VGPU_ERROR_DENIED;
    if (error != VGPU_OK) {
        answer_packet({error, {}});
        end_when_sent_ = true;
        return false;
    }
    Asked asked;
    asked.id = ++last_id_;
    asked.room = wire::kMaxLegacyPayload;
    asked.charge = message.size + asked.room;
    submit(asked, false, message.payload, {});
    stream_.in().drop(message.size);
    return true;
}

// The device says its pool and priority with each request, so they may change.
vgpu_error Connection::admit_packet() {
    const Client client{*vm_, 0, packet_.pool_id, static_cast<Priority>(packet_.priority), uid_};
    if (key_ != 0 && client == client_) return VGPU_OK;
    if (key_ != 0) server_.engine().left(std::exchange(key_, 0), false);
    return admit(client);
}

// In the one public form: who asked what, a length, a response. An error is a response, too.
void Connection::answer_packet(const Answer& answer) {
    vgpu_response error{};
    error.version = VGPU_PROTOCOL_VERSION;
    error.status = answer.error;
    const auto response = answer.error == VGPU_OK ? answer.response : wire::bytes_of(error);
    const wire::PacketAnswer head{packet_.vm_id, packet_.request_id,
                                  static_cast<uint32_t>(response.size())};
    wire::append(stream_.out(), head, response);
}

}  // namespace mimic::mediator
