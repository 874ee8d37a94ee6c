// SPDX-License-Identifier: Apache-2.0
// What a SocketQueue says in v3.
#include <algorithm>
#include <cstring>
#include <utility>

#include "compute/socket/socket_queue.h"

namespace mimic::compute {
namespace {

// A longer request lies in shared memory, if there is some.
constexpr size_t kInlineRequest = 4096;
// A mediator that takes less at once is none.
constexpr uint32_t kLeastPayload = 4096;
// Answers, and their bytes, after which the mediator is told that they were seen; or this time.
constexpr size_t kAcknowledgeAnswers = 32;
constexpr size_t kAcknowledgeBytes = size_t{1} << 20;
constexpr Duration kAcknowledgeAfter = std::chrono::milliseconds(50);
// Of answers to PINGs that the mediator does not read.
constexpr size_t kMostAnswers = size_t{4} << 20;

wire::Frame frame_of(wire::FrameType type, uint64_t id) {
    wire::Frame frame{};
    frame.magic = wire::kMagic;
    frame.type = static_cast<uint16_t>(type);
    frame.request_id = id;
    return frame;
}

// A peer's number as one of ours.
vgpu_error error_of(uint32_t status) {
    return status <= VGPU_ERROR_CANCELLED ? static_cast<vgpu_error>(status) : VGPU_ERROR_BACKEND;
}

}  // namespace

void SocketQueue::say_hello() {
    wire::HeaderV2 header{};
    header.magic = wire::kMagic;
    header.type = static_cast<uint32_t>(wire::Type::kHello);
    header.vm_id = options_.identity.vm_id;
    header.pool_id = options_.identity.pool_id;
    header.priority = options_.identity.priority;
    header.payload_length = sizeof(wire::Hello);
    wire::Hello hello{};
    hello.version = wire::kVersion3;
    hello.capabilities = wire::kCapBatch | wire::kCapResume;
    if (options_.shared_bytes != 0) hello.capabilities |= wire::kCapSharedMemory;
    hello.max_in_flight = kMaxInFlight;
    hello.session = session_;
    hello.max_payload = VGPU_MAX_MESSAGE;
    hello.shared_bytes = options_.shared_bytes;
    wire::append(stream_.out(), header, wire::bytes_of(hello));
}

SocketQueue::Took SocketQueue::take_hello() {
    const auto message = wire::parse_v2(stream_.in().bytes());
    if (message.found == wire::Found::kMore)
        return descriptors_.size() > 1 ? malformed("too many descriptors") : Took::kMore;
    if (message.found == wire::Found::kBad) return malformed(message.why);
    const auto hello = wire::hello_of(message);
    if (!hello) return malformed("it is no answer to a Hello");
    if (hello->status != VGPU_OK) {
        refusal_ = error_of(hello->status);
        session_ = 0;
        lose(fmt::format("refuses (error {})", hello->status));
        return Took::kEnded;
    }
    const uint64_t former = session_;
    if (const char* const why = accept_hello(*hello)) return malformed(why);
    descriptors_.clear();
    stream_.in().drop(message.size);
    // Whoever does not know the session cannot tell what of it was carried out.
    if ((former != session_ || !resumes_) && !fail_again(VGPU_ERROR_MEDIATOR_UNAVAILABLE))
        return Took::kEnded;
    state_ = State::kReady;
    if (!fail_too_long()) return Took::kEnded;
    return ready() ? Took::kMessage : Took::kEnded;
}

// What came before the limits were known.
bool SocketQueue::fail_too_long() {
    for (Entry* entry = table_.first(); entry != nullptr;) {
        if (entry->request.size() <= longest_request()) {
            entry = table_.after(*entry);
            continue;
        }
        if (!finish(*entry, VGPU_ERROR_REQUEST_TOO_LARGE, {})) return false;
        entry = table_.first();
    }
    return true;
}

// What is wrong with it, or nullptr.
const char* SocketQueue::accept_hello(const wire::Hello& hello) {
    if (hello.version != wire::kVersion3) return "another version";
    if (hello.session == 0) return "a session without a name";
    if (hello.max_in_flight == 0 || hello.max_payload < kLeastPayload) return "limits too small";
    if (hello.shared_bytes > options_.shared_bytes) return "more shared memory than was wanted";
    if ((hello.shared_bytes == 0) != descriptors_.empty() || descriptors_.size() > 1)
        return "not the descriptors that it names";
    if (hello.shared_bytes != 0) {
        auto shared = SharedMemory::open(std::move(descriptors_.front()), hello.shared_bytes);
        if (!shared) return "no sealed shared memory";
        shared_ = std::move(*shared);
    }
    pool_.reset(hello.shared_bytes);
    limits_.max_payload = std::min(hello.max_payload, VGPU_MAX_MESSAGE);
    limits_.shared_bytes = hello.shared_bytes;
    max_in_flight_ = (hello.capabilities & wire::kCapBatch) == 0
                         ? 1
                         : std::min<size_t>(hello.max_in_flight, kMaxInFlight);
    resumes_ = (hello.capabilities & wire::kCapResume) != 0;
    session_ = hello.session;
    return nullptr;
}

// False: it has to wait until others have given back their shared memory.
bool SocketQueue::send_frame(Entry& entry) {
    wire::Frame frame = frame_of(wire::FrameType::kRequest, entry.id);
    std::span<const std::byte> payload = entry.request;
    const auto size = static_cast<uint32_t>(entry.request.size());
    if (size > kInlineRequest && pool_.size() != 0) {
        if (const auto range = pool_.take(size)) {
            entry.request_range = *range;
            std::memcpy(shared_.at(range->offset, size).data(), payload.data(), size);
            frame.flags |= wire::kFlagShared;
            frame.data_offset = range->offset;
            frame.data_length = size;
            payload = {};
        } else if (size > limits_.max_payload) {
            return false;
        }
    }
    frame.length = static_cast<uint32_t>(payload.size());
    frame.room_length = static_cast<uint32_t>(std::min<size_t>(entry.room, VGPU_MAX_MESSAGE));
    if (frame.room_length > wire::kInlineAnswer) {
        if (const auto range = pool_.take(frame.room_length)) {
            entry.answer_range = *range;
            frame.flags |= wire::kFlagRoom;
            frame.room_offset = range->offset;
        }
    }
    if (entry.again) {
        frame.flags |= wire::kFlagAgain;
        ++counters_.resent;
    }
    wire::append(stream_.out(), frame, payload);
    return true;
}

SocketQueue::Took SocketQueue::take_frame() {
    const auto message = wire::parse_frame(stream_.in().bytes(), limits_);
    if (message.found == wire::Found::kMore) return Took::kMore;
    if (message.found == wire::Found::kBad) return malformed(message.why);
    stream_.in().drop(message.size);  // the bytes stay until the next fill()
    switch (static_cast<wire::FrameType>(message.header.type)) {
        case wire::FrameType::kResponse:
            return take_response(message.header, message.payload);
        case wire::FrameType::kPing:
            if (stream_.out_size() > kMostAnswers) return malformed("it does not read");
            wire::append(stream_.out(),
                         frame_of(wire::FrameType::kPong, message.header.request_id));
            return Took::kMessage;
        case wire::FrameType::kPong:
            return Took::kMessage;
        default:
            return malformed("only clients send it");
    }
}

SocketQueue::Took SocketQueue::take_response(const wire::Frame& frame,
                                             std::span<const std::byte> inline_bytes) {
    Entry* const entry = table_.find(frame.request_id);
    if (entry == nullptr || entry->state == InFlight::State::kQueued) {
        unknown(frame.request_id);
        return Took::kMessage;
    }
    const RangePool::Range request_range = entry->request_range;
    const RangePool::Range answer_range = entry->answer_range;
    std::span<const std::byte> response = inline_bytes;
    if ((frame.flags & wire::kFlagShared) != 0) {
        if (!inline_bytes.empty() || frame.data_offset != answer_range.offset ||
            frame.data_length > answer_range.length)
            return malformed("its data is where there is no room for it");
        response = shared_.at(frame.data_offset, frame.data_length);
    }
    answered_ = true;
    if (entry->id > forgets_up_to_) forgets_ = false;
    ++unacknowledged_;
    unacknowledged_bytes_ += response.size();
    const uint64_t connection = connection_;
    if (entry->state == InFlight::State::kForgotten) {
        ++counters_.late;
        table_.remove(*entry);
    } else if (!finish(*entry, error_of(frame.status), response)) {
        return Took::kEnded;
    }
    // Only now: a request that `done` submitted may not overwrite what it reads.
    if (connection == connection_ && stream_) {
        pool_.give_back(request_range);
        pool_.give_back(answer_range);
    }
    return Took::kMessage;
}

SocketQueue::Took SocketQueue::malformed(const char* why) {
    lose(fmt::format("sends what is no message of it ({})", why));
    return Took::kEnded;
}

void SocketQueue::cancel(const Entry& entry) {
    if (state_ == State::kReady)
        wire::append(stream_.out(), frame_of(wire::FrameType::kCancel, entry.id));
}

void SocketQueue::forget() {
    wire::append(stream_.out(), frame_of(wire::FrameType::kForget, table_.last_id()));
    forgets_ = true;
    forgets_up_to_ = table_.last_id();
}

// Results that were seen need not be kept for a resume any more.
void SocketQueue::acknowledge(bool now) {
    if (unacknowledged_ == 0 || state_ != State::kReady || !resumes_) return;
    if (!now && unacknowledged_ < kAcknowledgeAnswers &&
        unacknowledged_bytes_ < kAcknowledgeBytes) {
        if (!acknowledge_timer_.is_pending())
            acknowledge_timer_.start(loop_, kAcknowledgeAfter, [this] {
                acknowledge(true);
                flush_now();
            });
        return;
    }
    unacknowledged_ = unacknowledged_bytes_ = 0;
    const Entry* const oldest = table_.first();
    const uint64_t seen = oldest == nullptr ? table_.last_id() : oldest->id - 1;
    if (seen == acknowledged_) return;
    acknowledged_ = seen;
    wire::append(stream_.out(), frame_of(wire::FrameType::kAcknowledge, seen));
}

}  // namespace mimic::compute
