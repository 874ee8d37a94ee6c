// SPDX-License-Identifier: Apache-2.0
#include "streams/frames.h"

#include <cstring>

#include "base/check.h"

namespace mimic::streams {
namespace {

constexpr size_t kSyncFrame = sizeof(stream_header) + sizeof(stream_sync);

bool has_magic(const stream_sync& sync) {
    return std::memcmp(sync.magic, STREAM_MAGIC, sizeof sync.magic) == 0;
}

}  // namespace

void append_frame(ByteQueue& out, stream_header header, std::span<const std::byte> payload) {
    MIMIC_CHECK(payload.size() <= STREAM_MAX_PAYLOAD);
    header.length = static_cast<uint32_t>(payload.size());
    std::byte* const place = out.grow(sizeof header + payload.size());
    std::memcpy(place, &header, sizeof header);
    if (!payload.empty()) std::memcpy(place + sizeof header, payload.data(), payload.size());
}

Taken peek_frame(ByteQueue& in, Frame& frame) {
    if (in.size() < sizeof frame.header) return Taken::kMore;
    std::memcpy(&frame.header, in.data(), sizeof frame.header);
    const stream_header& header = frame.header;
    if (header.length > STREAM_MAX_PAYLOAD || header.stream > 2 || header.zero != 0)
        return Taken::kBroken;
    if (in.size() < sizeof header + header.length) return Taken::kMore;
    frame.payload = {in.data() + sizeof header, header.length};
    return Taken::kFrame;
}

size_t frame_size(const Frame& frame) {
    return sizeof frame.header + frame.header.length;
}

bool is_sync(const Frame& frame) {
    const auto sync = frame.as<stream_sync>();
    return frame.header.channel == 0 && frame.header.stream == 0 && frame.header.zero == 0 &&
           frame.header.sequence == 0 && sync && has_magic(*sync);
}

std::optional<Sync> hunt(ByteQueue& in) {
    for (; in.size() >= kSyncFrame; in.drop(1)) {
        Frame frame;
        std::memcpy(&frame.header, in.data(), sizeof frame.header);
        frame.payload = {in.data() + sizeof frame.header, sizeof(stream_sync)};
        const uint8_t type = frame.header.type;
        if ((type != STREAM_WELCOME && type != STREAM_RESTART) ||
            frame.header.length != sizeof(stream_sync) || !is_sync(frame))
            continue;
        const Sync found{type, frame.as<stream_sync>().value()};
        in.drop(kSyncFrame);
        return found;
    }
    return std::nullopt;
}

void append_hello(ByteQueue& out, const std::array<uint8_t, STREAM_ID_BYTES>& id) {
    std::memset(out.grow(STREAM_FILLER_BYTES), 0xff, STREAM_FILLER_BYTES);
    stream_sync sync{};
    std::memcpy(sync.magic, STREAM_MAGIC, sizeof sync.magic);
    std::memcpy(sync.id, id.data(), id.size());
    sync.version = STREAM_VERSION;
    stream_header header{};
    header.type = STREAM_HELLO;
    append_frame(out, header, bytes_of(sync));
}

}  // namespace mimic::streams
