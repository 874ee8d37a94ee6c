// SPDX-License-Identifier: Apache-2.0
// v3: a Hello, then frames.
#include <sys/random.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <fcntl.h>

#include "mediator/server/connection.h"
#include "mediator/server/server_core.h"

namespace mimic::mediator {
namespace {

constexpr uint32_t kCapabilities = wire::kCapBatch | wire::kCapSharedMemory | wire::kCapResume;

// Names nobody can guess: who knows one gets what its session keeps.
uint64_t random_session() {
    uint64_t session = 0;
    while (session == 0) {
        if (::getrandom(&session, sizeof session, 0) != sizeof session) session = 0;
    }
    return session;
}

}  // namespace

bool Connection::take_hello() {
    const auto message = wire::parse_v2(stream_.in().bytes());
    if (message.found == wire::Found::kMore) return false;
    const auto hello = wire::hello_of(message);
    if (!hello) {
        malformed(message.why);
        return false;
    }
    wire::Hello answer{};
    answer.version = wire::kVersion3;
    answer.status = greet(message.header, *hello, answer);
    if (answer.status != VGPU_OK) end_when_sent_ = true;
    wire::HeaderV2 header = message.header;
    header.payload_length = sizeof answer;
    wire::append(stream_.out(), header, wire::bytes_of(answer));
    stream_.in().drop(message.size);
    form_ = Form::kV3;
    return true;
}

vgpu_error Connection::greet(const wire::HeaderV2& header, const wire::Hello& hello,
                             wire::Hello& answer) {
    if (hello.version < wire::kVersion3) return VGPU_ERROR_UNSUPPORTED;
    // Short answers are inline whatever was agreed on.
    if (hello.max_payload < wire::kInlineAnswer) return VGPU_ERROR_INVALID_LENGTH;
    if (!server_.has_place_for(header.vm_id)) return VGPU_ERROR_QUEUE_FULL;
    answer.capabilities = hello.capabilities & kCapabilities;
    resumes_ = (answer.capabilities & wire::kCapResume) != 0;
    const bool returns = resumes_ && hello.session != 0;
    answer.session = returns ? hello.session : random_session();
    const Client client{header.vm_id,   answer.session,
                        header.pool_id, static_cast<Priority>(header.priority),
                        uid_,           returns};
    if (const vgpu_error error = admit(client); error != VGPU_OK) {
        answer.capabilities = 0;
        answer.session = 0;
        return error;
    }
    max_in_flight_ = (answer.capabilities & wire::kCapBatch) != 0 ? server_.options().max_in_flight
                                                                  : 1;
    answer.max_in_flight = max_in_flight_;
    answer.max_payload = std::min(hello.max_payload, server_.options().max_payload);
    limits_.max_payload = answer.max_payload;
    if ((answer.capabilities & wire::kCapSharedMemory) != 0)
        offer_shared_memory(hello.shared_bytes, answer);
    if (answer.shared_bytes == 0) answer.capabilities &= ~wire::kCapSharedMemory;
    return VGPU_OK;
}

// Where there is none to be had, all goes inline.
void Connection::offer_shared_memory(uint32_t wanted, wire::Hello& answer) {
    const ServerOptions& options = server_.options();
    const uint64_t left = options.shared_total - std::min(options.shared_total, server_.shared());
    const uint64_t size = std::min<uint64_t>(std::min(wanted, options.max_shared_bytes), left);
    if (size == 0) return;
    auto shared = compute::SharedMemory::create(size);
    if (!shared) return;
    UniqueFd theirs(::fcntl(shared->fd(), F_DUPFD_CLOEXEC, 0));
    if (!theirs) return;
    stream_.attach(std::move(theirs));
    shared_ = std::move(*shared);
    server_.shared() += shared_.size();
    answer.shared_bytes = limits_.shared_bytes = static_cast<uint32_t>(size);
}

bool Connection::take_frame() {
    const auto message = wire::parse_frame(stream_.in().bytes(), limits_);
    if (message.found == wire::Found::kMore) return false;
    if (message.found == wire::Found::kBad) {
        malformed(message.why);
        return false;
    }
    const wire::Frame& frame = message.header;
    switch (static_cast<wire::FrameType>(frame.type)) {
        case wire::FrameType::kRequest:
            if (!take_request(message)) return false;
            break;
        case wire::FrameType::kPing: {
            wire::Frame pong = frame;
            pong.type = static_cast<uint16_t>(wire::FrameType::kPong);
            wire::append(stream_.out(), pong);
            break;
        }
        case wire::FrameType::kAcknowledge:
            server_.engine().acknowledge(key_, frame.request_id);
            break;
        case wire::FrameType::kCancel:
            server_.engine().cancel(key_, frame.request_id);
            break;
        case wire::FrameType::kForget:
            server_.engine().forget(key_);
            break;
        case wire::FrameType::kResponse:
        case wire::FrameType::kPong:
            malformed("a type that a client does not send");
            return false;
    }
    stream_.in().drop(message.size);
    return true;
}

bool Connection::take_request(const wire::Message<wire::Frame>& message) {
    const wire::Frame& frame = message.header;
    if (!asked_.empty() && asked_.contains(frame.request_id)) {
        malformed("the id of a request that is in flight");
        return false;
    }
    Asked asked;
    asked.id = frame.request_id;
    asked.flags = frame.flags;
    asked.room_offset = frame.room_offset;
    asked.room = frame.room_length;
    asked.charge = message.size + frame.data_length;
    if ((frame.flags & wire::kFlagRoom) == 0) {
        asked.room = std::min<size_t>(asked.room, limits_.max_payload);
        asked.charge += asked.room;
    }
    const bool again = (frame.flags & wire::kFlagAgain) != 0;
    if ((frame.flags & wire::kFlagShared) == 0) {
        submit(asked, again, message.payload, {});
        return true;
    }
    // A copy: the peer may change what it shares at any time.
    std::vector<std::byte> bytes(message.payload.size() + frame.data_length);
    const auto shared = shared_.at(frame.data_offset, frame.data_length);
    std::copy(message.payload.begin(), message.payload.end(), bytes.begin());
    std::memcpy(bytes.data() + message.payload.size(), shared.data(), shared.size());
    const std::span<const std::byte> view = bytes;
    submit(asked, again, view, std::move(bytes));  // a vector that moves keeps its bytes in place
    return true;
}

void Connection::answer_frame(const Asked& asked, const Answer& answer) {
    wire::Frame frame{};
    frame.magic = wire::kMagic;
    frame.type = static_cast<uint16_t>(wire::FrameType::kResponse);
    frame.request_id = asked.id;
    frame.status = answer.error;
    if (answer.error != VGPU_OK) return wire::append(stream_.out(), frame);
    const auto response = answer.response;
    const bool is_long = response.size() > wire::kInlineAnswer;
    if (response.size() > asked.room) {
        frame.status = VGPU_ERROR_INVALID_LENGTH;
        return wire::append(stream_.out(), frame);
    }
    if (!is_long || (asked.flags & wire::kFlagRoom) == 0) {
        frame.length = static_cast<uint32_t>(response.size());
        return wire::append(stream_.out(), frame, response);
    }
    std::memcpy(shared_.at(asked.room_offset, response.size()).data(), response.data(),
                response.size());
    frame.flags = wire::kFlagShared;
    frame.data_offset = asked.room_offset;
    frame.data_length = static_cast<uint32_t>(response.size());
    wire::append(stream_.out(), frame);
}

}  // namespace mimic::mediator
