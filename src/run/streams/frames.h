// SPDX-License-Identifier: Apache-2.0
// Frames of stream_protocol.h: made, and taken out of what came. Whoever sent them may lie.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/stream.h"
#include "streams/stream_protocol.h"

namespace mimic::streams {

/// A frame; `payload` points into the buffer it came in, until that is touched.
struct Frame {
    stream_header header{};
    std::span<const std::byte> payload{};

    /// The payload as a T, if it has exactly its size.
    template <typename T>
    std::optional<T> as() const {
        T value{};
        if (payload.size() != sizeof value) return std::nullopt;
        std::copy(payload.begin(), payload.end(), reinterpret_cast<std::byte*>(&value));
        return value;
    }
};

/// Appends a frame. `header.length` is set from `payload`, which is at most STREAM_MAX_PAYLOAD.
void append_frame(ByteQueue& out, stream_header header, std::span<const std::byte> payload);

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

enum class Taken { kFrame, kMore, kBroken };

/// The first frame of `in`, which the caller drops by frame_size() when it is done with it. kMore:
/// it has not come whole; kBroken: there can be none. Pure.
Taken peek_frame(ByteQueue& in, Frame& frame);

/// Bytes of a frame with its header.
size_t frame_size(const Frame& frame);

struct Sync {
    uint8_t type = 0;  // STREAM_WELCOME or STREAM_RESTART
    stream_sync content{};
};

/// Drops what is before the first WELCOME or RESTART, and returns that; nothing if none has come.
/// The frame itself is dropped as well.
std::optional<Sync> hunt(ByteQueue& in);

/// Whether it is a frame of the port's beginning (HELLO, WELCOME, RESTART) with the right magic.
bool is_sync(const Frame& frame);

/// STREAM_FILLER_BYTES, then HELLO.
void append_hello(ByteQueue& out, const std::array<uint8_t, STREAM_ID_BYTES>& id);

}  // namespace mimic::streams
