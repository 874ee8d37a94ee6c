// SPDX-License-Identifier: Apache-2.0
#include "compute/codec.h"

namespace mimic::compute::wire {
namespace {

constexpr uint16_t kKnownFlags = kFlagShared | kFlagAgain | kFlagRoom;

template <typename Header>
Message<Header> bad(Message<Header> message, const char* why) {
    message.found = Found::kBad;
    message.why = why;
    return message;
}

/// False: more bytes must come.
template <typename Header>
bool take_header(std::span<const std::byte> bytes, Message<Header>& message) {
    if (bytes.size() < sizeof message.header) return false;
    std::memcpy(&message.header, bytes.data(), sizeof message.header);
    return true;
}

template <typename Header>
Message<Header> with_payload(std::span<const std::byte> bytes, Message<Header> message,
                             size_t length) {
    if (bytes.size() - sizeof(Header) < length) return message;
    message.found = Found::kMessage;
    message.size = sizeof(Header) + length;
    message.payload = bytes.subspan(sizeof(Header), length);
    return message;
}

/// What is wrong with a header of v1 or v2; nullptr: nothing.
template <typename Header>
const char* legacy_error(const Header& header, bool hello_allowed) {
    if (header.magic != kMagic) return "a wrong magic";
    const auto type = static_cast<Type>(header.type);
    const bool from_client = type == Type::kRequest || type == Type::kPing || type == Type::kHello;
    // What a mediator puts there has no meaning.
    if (from_client && !is_identity(header.pool_id, header.priority))
        return "a pool or priority that cannot be";
    switch (type) {
        case Type::kRequest:
        case Type::kResponse:
            return header.payload_length == 0 || header.payload_length > kMaxLegacyPayload
                       ? "a wrong length"
                       : nullptr;
        case Type::kPing:
        case Type::kPong:
        case Type::kBusy:
        case Type::kQuarantined:
            return header.payload_length != 0 ? "a wrong length" : nullptr;
        case Type::kHello:
            if (!hello_allowed) break;
            return header.payload_length != sizeof(Hello) ? "a wrong length" : nullptr;
    }
    return "an unknown type";
}

template <typename Header>
Message<Header> parse_legacy(std::span<const std::byte> bytes, bool hello_allowed) {
    Message<Header> message;
    if (!take_header(bytes, message)) return message;
    if (const char* const why = legacy_error(message.header, hello_allowed))
        return bad(message, why);
    return with_payload(bytes, message, message.header.payload_length);
}

bool is_data_frame(const Frame& frame) {
    return frame.type == static_cast<uint16_t>(FrameType::kRequest) ||
           frame.type == static_cast<uint16_t>(FrameType::kResponse);
}

const char* shared_error(const Frame& frame, const FrameLimits& limits) {
    if ((frame.flags & kFlagShared) == 0)
        return frame.data_offset != 0 || frame.data_length != 0 ? "a range without its flag"
                                                                : nullptr;
    return frame.data_length == 0 ||
                   !lies_within(frame.data_offset, frame.data_length, limits.shared_bytes)
               ? "a range outside the shared memory"
               : nullptr;
}

const char* request_error(const Frame& frame, const FrameLimits& limits) {
    const uint64_t whole = uint64_t{frame.length} + frame.data_length;
    if (frame.status != 0) return "a status in a request";
    if (whole == 0 || whole > VGPU_MAX_MESSAGE) return "a wrong length";
    if (frame.room_length > VGPU_MAX_MESSAGE) return "too much room";
    if ((frame.flags & kFlagRoom) == 0)
        return frame.room_offset != 0 ? "room without its flag" : nullptr;
    return frame.room_length == 0 ||
                   !lies_within(frame.room_offset, frame.room_length, limits.shared_bytes)
               ? "room outside the shared memory"
               : nullptr;
}

const char* response_error(const Frame& frame) {
    const uint64_t whole = uint64_t{frame.length} + frame.data_length;
    if ((frame.flags & (kFlagAgain | kFlagRoom)) != 0) return "a flag of requests";
    if (frame.room_offset != 0 || frame.room_length != 0) return "room in a response";
    if (whole > VGPU_MAX_MESSAGE) return "a wrong length";
    return frame.status != VGPU_OK && whole != 0 ? "an error with data" : nullptr;
}

const char* frame_error(const Frame& frame, const FrameLimits& limits) {
    if (frame.magic != kMagic) return "a wrong magic";
    if (frame.type < static_cast<uint16_t>(FrameType::kRequest) ||
        frame.type > static_cast<uint16_t>(FrameType::kForget))
        return "an unknown type";
    if ((frame.flags & ~kKnownFlags) != 0) return "unknown flags";
    if (!is_data_frame(frame))
        return frame.flags != 0 || frame.length != 0 || frame.status != 0 ||
                       frame.data_offset != 0 || frame.data_length != 0 || frame.room_offset != 0 ||
                       frame.room_length != 0
                   ? "a field that means nothing here"
                   : nullptr;
    if (frame.length > limits.max_payload) return "too many inline bytes";
    if (const char* const why = shared_error(frame, limits)) return why;
    return frame.type == static_cast<uint16_t>(FrameType::kRequest) ? request_error(frame, limits)
                                                                    : response_error(frame);
}

}  // namespace

bool is_identity(char pool_id, uint8_t priority) {
    return pool_id >= 'A' && pool_id <= 'Z' && priority <= 2;
}

Message<Packet> parse_packet(std::span<const std::byte> bytes) {
    Message<Packet> message;
    if (!take_header(bytes, message)) return message;
    const Packet& packet = message.header;
    if (packet.length == 0 || packet.length > kMaxLegacyPayload)
        return bad(message, "a wrong length");
    if (!is_identity(packet.pool_id, packet.priority))
        return bad(message, "a pool or priority that cannot be");
    return with_payload(bytes, message, packet.length);
}

Message<PacketAnswer> parse_packet_answer(std::span<const std::byte> bytes) {
    Message<PacketAnswer> message;
    if (!take_header(bytes, message)) return message;
    if (message.header.length > kMaxLegacyPayload) return bad(message, "a wrong length");
    return with_payload(bytes, message, message.header.length);
}

Message<HeaderV1> parse_v1(std::span<const std::byte> bytes) {
    return parse_legacy<HeaderV1>(bytes, false);
}

Message<HeaderV2> parse_v2(std::span<const std::byte> bytes) {
    return parse_legacy<HeaderV2>(bytes, true);
}

std::optional<Hello> hello_of(const Message<HeaderV2>& message) {
    if (message.found != Found::kMessage || message.payload.size() != sizeof(Hello) ||
        message.header.type != static_cast<uint32_t>(Type::kHello))
        return std::nullopt;
    Hello hello;
    std::memcpy(&hello, message.payload.data(), sizeof hello);
    return hello;
}

Form probe(std::span<const std::byte> bytes, bool quiet) {
    HeaderV1 header;
    if (bytes.size() >= sizeof header.magic) {
        uint32_t magic = 0;
        std::memcpy(&magic, bytes.data(), sizeof magic);
        if (magic != kMagic) return Form::kBad;
    }
    if (bytes.size() < sizeof header) return Form::kMore;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.type == static_cast<uint32_t>(Type::kHello)) return Form::kV3;
    if (header.payload_length != 0) return Form::kV1;
    if (header.type != static_cast<uint32_t>(Type::kPing)) return Form::kV2;
    // A PING: v2 goes on with a length of 0, v1 with the magic of the next message, or not at all.
    if (bytes.size() > sizeof header)
        return bytes[sizeof header] == std::byte{0} ? Form::kV2 : Form::kV1;
    return quiet ? Form::kV1 : Form::kMore;
}

Message<Frame> parse_frame(std::span<const std::byte> bytes, const FrameLimits& limits) {
    Message<Frame> message;
    if (!take_header(bytes, message)) return message;
    if (const char* const why = frame_error(message.header, limits)) return bad(message, why);
    return with_payload(bytes, message, message.header.length);
}

}  // namespace mimic::compute::wire
