// SPDX-License-Identifier: Apache-2.0
// Takes messages of wire.h out of bytes that a peer sent, and puts them into bytes. Pure functions:
// no state, no allocation but in a ByteQueue, never a read beyond what they are given. Both sides
// of the sockets and the fuzzers use them. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "base/stream.h"
#include "compute/vgpu_protocol.h"
#include "compute/wire.h"

namespace mimic::compute::wire {

enum class Found : uint8_t {
    kMore,     // the message is not whole yet
    kMessage,  // there it is
    kBad,      // no message of this form begins so: the connection cannot go on
};

/// The first message of some bytes.
template <typename Header>
struct Message {
    Found found = Found::kMore;
    const char* why = "";                // kBad: what is wrong, for a log
    size_t size = 0;                     // kMessage: of header and payload
    Header header{};                     // also when only the payload is still to come
    std::span<const std::byte> payload;  // kMessage: within the bytes
};

/// Whether a device may say so: a pool 'A' .. 'Z' and a priority 0 .. 2.
bool is_identity(char pool_id, uint8_t priority);

/// Of the packet: length 1 .. 1024, pool and priority as is_identity() has them.
Message<Packet> parse_packet(std::span<const std::byte> bytes);
/// Its answer: length 0 .. 1024.
Message<PacketAnswer> parse_packet_answer(std::span<const std::byte> bytes);

/// Both check magic, type, of what clients send pool and priority, and the length: REQUEST and
/// RESPONSE 1 .. 1024, kHello (v2 only) a Hello, all others 0. The public mediator's CUDA types are
/// bad here.
Message<HeaderV1> parse_v1(std::span<const std::byte> bytes);
Message<HeaderV2> parse_v2(std::span<const std::byte> bytes);

/// The payload of a kHello.
std::optional<Hello> hello_of(const Message<HeaderV2>& message);

/// What speaks a client of the framed socket, by the first bytes of its connection.
enum class Form : uint8_t { kMore, kV1, kV2, kV3, kBad };

/// `quiet`: nothing followed for 50 ms, so a whole PING of v1 is one.
Form probe(std::span<const std::byte> bytes, bool quiet);

/// What was agreed on in the Hello.
struct FrameLimits {
    uint32_t max_payload = 0;   // inline
    uint32_t shared_bytes = 0;  // 0: no shared memory
};

/// A frame, with every field checked: type, flags that this type has, inline length, a request of
/// 1 .. VGPU_MAX_MESSAGE bytes (inline and shared together), ranges within the shared memory, and 0
/// where a field means nothing. `payload` is the inline part.
Message<Frame> parse_frame(std::span<const std::byte> bytes, const FrameLimits& limits);

/// Whether [offset, +length) lies in `size` bytes.
constexpr bool lies_within(uint64_t offset, uint64_t length, uint64_t size) {
    return offset <= size && length <= size - offset;
}

/// Puts a header and what follows it behind `out`. The header's length is the caller's.
template <typename Header>
void append(ByteQueue& out, const Header& header, std::span<const std::byte> payload = {}) {
    std::byte* const place = out.grow(sizeof header + payload.size());
    std::memcpy(place, &header, sizeof header);
    if (!payload.empty()) std::memcpy(place + sizeof header, payload.data(), payload.size());
}

/// The bytes of a plain structure.
template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span<const T, 1>(&value, 1));
}

}  // namespace mimic::compute::wire
