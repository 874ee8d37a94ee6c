// SPDX-License-Identifier: Apache-2.0
// What a SocketQueue says in the packet of the original vGPU and in v1 and v2 of the public
// mediator: one request in flight.
#include <type_traits>

#include "compute/socket/socket_queue.h"

namespace mimic::compute {
namespace {

template <typename Header>
Header header_of(const Identity& identity, wire::Type type, uint32_t request_id, size_t length) {
    Header header{};
    header.magic = wire::kMagic;
    header.type = static_cast<uint32_t>(type);
    header.vm_id = identity.vm_id;
    header.request_id = request_id;
    header.pool_id = identity.pool_id;
    header.priority = identity.priority;
    header.payload_length = static_cast<decltype(header.payload_length)>(length);
    return header;
}

}  // namespace

void SocketQueue::send_legacy(Entry& entry) {
    const auto& identity = options_.identity;
    const size_t length = entry.request.size();
    if (options_.protocol == Protocol::kPacket)
        wire::append(stream_.out(),
                     wire::Packet{identity.vm_id,
                                  entry.tag,
                                  static_cast<uint32_t>(length),
                                  identity.pool_id,
                                  identity.priority,
                                  {}},
                     entry.request);
    else if (options_.protocol == Protocol::kV1)
        wire::append(stream_.out(),
                     header_of<wire::HeaderV1>(identity, wire::Type::kRequest, entry.tag, length),
                     entry.request);
    else
        wire::append(stream_.out(),
                     header_of<wire::HeaderV2>(identity, wire::Type::kRequest, entry.tag, length),
                     entry.request);
}

void SocketQueue::send_ping() {
    if (options_.protocol == Protocol::kV1)
        wire::append(stream_.out(),
                     header_of<wire::HeaderV1>(options_.identity, wire::Type::kPing, 0, 0));
    else
        wire::append(stream_.out(),
                     header_of<wire::HeaderV2>(options_.identity, wire::Type::kPing, 0, 0));
}

SocketQueue::Took SocketQueue::take_packet() {
    const auto message = wire::parse_packet_answer(stream_.in().bytes());
    if (message.found == wire::Found::kMore) return Took::kMore;
    if (message.found == wire::Found::kBad) return malformed(message.why);
    stream_.in().drop(message.size);  // the bytes stay until the next fill()
    Entry* const entry = table_.first();
    if (entry == nullptr || entry->state != InFlight::State::kSent ||
        message.header.request_id != entry->tag ||
        message.header.vm_id != options_.identity.vm_id) {
        unknown(message.header.request_id);
        return Took::kMessage;
    }
    answered_ = true;
    // The one public form of it always has a response, also to say what went wrong.
    const vgpu_error error = message.payload.empty() ? VGPU_ERROR_BACKEND : VGPU_OK;
    if (!finish(*entry, error, message.payload)) return Took::kEnded;
    // So that the next one goes in the same turn.
    return send_queued() ? Took::kMessage : Took::kEnded;
}

// Each connection is for one message and its answer.
template <typename Header>
SocketQueue::Took SocketQueue::take_legacy(const wire::Message<Header>& message) {
    if (message.found == wire::Found::kMore) return Took::kMore;
    if (message.found == wire::Found::kBad) return malformed(message.why);
    const auto type = static_cast<wire::Type>(message.header.type);
    if (state_ == State::kGreeting) {
        if (type == wire::Type::kPong || type == wire::Type::kQuarantined ||
            type == wire::Type::kBusy)
            ready();
        else
            lose("does not answer a PING");
        return Took::kEnded;
    }
    Entry* const entry = table_.first();
    if (entry == nullptr || entry->state != InFlight::State::kSent)
        return malformed("nothing was asked");
    vgpu_error error = VGPU_OK;
    if (type == wire::Type::kBusy) {
        error = VGPU_ERROR_RATE_LIMITED;
    } else if (type == wire::Type::kQuarantined) {
        error = VGPU_ERROR_QUARANTINED;
    } else if (type != wire::Type::kResponse) {
        return malformed("it is no answer");
    } else if (message.header.request_id != entry->tag ||
               message.header.vm_id != options_.identity.vm_id) {
        unknown(message.header.request_id);
        return malformed("it answers another request");
    }
    const std::vector<std::byte> response(message.payload.begin(), message.payload.end());
    close();
    state_ = State::kIdle;
    if (!finish(*entry, error, response)) return Took::kEnded;
    flush_soon();
    return Took::kEnded;
}

template SocketQueue::Took SocketQueue::take_legacy(const wire::Message<wire::HeaderV1>& message);
template SocketQueue::Took SocketQueue::take_legacy(const wire::Message<wire::HeaderV2>& message);

}  // namespace mimic::compute
