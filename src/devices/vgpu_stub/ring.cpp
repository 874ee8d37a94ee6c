// SPDX-License-Identifier: Apache-2.0
// Each call of the port may come back with another of this ring, also with stop(): the device's own
// registers are within reach of its DMA. Then nothing is touched any more; WeakPtrs tell.
#include "devices/vgpu_stub/ring.h"

#include <algorithm>
#include <cstring>

#include "base/event_loop.h"

namespace mimic::vgpu_stub {
namespace {

constexpr unsigned kLookAtClock = 8;  // entries between two looks at it; arbitrary
constexpr Duration kRetry = std::chrono::milliseconds(1);  // while the way is full; arbitrary

vgpu_error error_of(const RingEntry& entry, vgpu_error length_error) {
    const bool reserved = entry.flags != 0 || entry.reserved != 0 ||
                          std::any_of(std::begin(entry.zero), std::end(entry.zero),
                                      [](uint8_t byte) { return byte != 0; });
    if (reserved) return VGPU_ERROR_INVALID_REQUEST;
    if (entry.request_length == 0) return length_error;
    if (entry.request_length > VGPU_MAX_MESSAGE) return VGPU_ERROR_REQUEST_TOO_LARGE;
    if (entry.response_size > VGPU_MAX_MESSAGE) return VGPU_ERROR_INVALID_LENGTH;
    return VGPU_OK;
}

uint64_t cost_of(const RingEntry& entry) {
    if (error_of(entry, VGPU_ERROR_INVALID_LENGTH) != VGPU_OK) return 0;
    return uint64_t{entry.request_length} + entry.response_size;
}

}  // namespace

void Ring::start(const Setup& setup, const Indices& indices) {
    drop();
    setup_ = setup;
    at_ = indices;
    if (setup.size == 0) return halt(VGPU_ERROR_INVALID_LENGTH);
    state_ = RingState::kRunning;
    error_ = VGPU_OK;
    port_.ring_changed(false);
    pump();
}

void Ring::put_back(RingState state, vgpu_error error, const Indices& indices) {
    drop();
    at_ = indices;
    state_ = state;
    error_ = error;
    port_.ring_changed(false);
}

void Ring::stop() {
    drop();
    state_ = RingState::kOff;
    error_ = VGPU_OK;
    port_.ring_changed(false);
}

void Ring::drop() {
    weak_.revoke();
    pump_timer_.cancel();
    write_timer_.cancel();
    waiting_.clear();
    finished_.clear();
    open_ = 0;
    bytes_ = 0;
    fetching_ = pumping_ = pump_again_ = false;
    writing_ = 0;
}

void Ring::halt(vgpu_error error) {
    drop();
    ++halts_;
    state_ = RingState::kHalted;
    error_ = error;
    port_.ring_changed(true);
}

void Ring::tail_written(uint32_t tail) {
    if (state_ != RingState::kRunning) return port_.ring_changed(false);
    const uint32_t room = setup_.size - (at_.tail - at_.head);
    if (tail - at_.tail > room) return halt(VGPU_ERROR_INVALID_REQUEST);
    at_.tail = tail;
    pump();
}

void Ring::head_written(uint32_t completion_head) {
    if (state_ != RingState::kRunning) return port_.ring_changed(false);
    // A driver that polls memory may have seen what we have not been told is written: where memory
    // is reached by message, its register write can overtake that answer.
    const uint32_t visible = at_.completion_tail + writing_;
    if (completion_head - at_.completion_head > visible - at_.completion_head)
        return halt(VGPU_ERROR_INVALID_REQUEST);
    at_.completion_head = completion_head;
    pump();
}

/// Entries that can be read at once: those that are there, up to the ring's end, and for whose
/// completions there is room.
uint32_t Ring::capacity() const {
    // "Negative" where the driver was faster than the answer to our write: those are still open.
    const uint32_t unseen = at_.completion_tail - at_.completion_head;
    return std::min(
        {at_.tail - at_.head, setup_.size - at_.head % setup_.size, setup_.size - open_ - unseen});
}

bool Ring::share_is_over() {
    if (++begun_ % kLookAtClock != 0) return false;
    EventLoop* const loop = port_.runner().event_loop();
    return loop != nullptr && loop->share_is_over();
}

bool Ring::may_begin() {
    if (state_ != RingState::kRunning || waiting_.empty()) return false;
    if (bytes_ != 0 && bytes_ + cost_of(waiting_.front().entry) > kMaxBytesInFlight) return false;
    if (port_.has_room()) return true;
    // What is forgotten takes room until it is answered, and nobody tells us then.
    pump_timer_.start(port_.runner(), kRetry, [this] { pump(); });
    return false;
}

void Ring::pump_later() {
    if (!pump_timer_.is_pending()) pump_timer_.post(port_.runner(), [this] { pump(); });
}

void Ring::pump() {
    if (pumping_) {
        pump_again_ = true;
        return;
    }
    const WeakPtr<Ring> weak = weak_.ptr();
    pumping_ = true;
    bool over = false;
    do {
        pump_again_ = false;
        fetch();
        while (weak && !over && may_begin()) {
            const Taken taken = waiting_.front();
            waiting_.pop_front();
            begin(taken);
            if (!weak) return;
            over = share_is_over();
        }
        if (!weak) return;
    } while (pump_again_ && !over);
    pumping_ = false;
    if (over) pump_later();
}

void Ring::fetch() {
    if (state_ != RingState::kRunning || fetching_) return;
    const uint32_t count = capacity();
    if (count == 0) return;
    fetching_ = true;
    port_.read_memory(setup_.entries + uint64_t{at_.head % setup_.size} * sizeof(RingEntry),
                      uint64_t{count} * sizeof(RingEntry),
                      [weak = weak_.ptr()](const Result<std::span<const std::byte>>& bytes) {
                          Ring* const ring = weak.get();
                          if (ring == nullptr) return;
                          ring->fetching_ = false;
                          if (!bytes) return ring->halt(VGPU_ERROR_DMA);
                          ring->fetched(*bytes);
                      });
}

void Ring::fetched(std::span<const std::byte> bytes) {
    const uint64_t now = port_.now_ns();
    for (; bytes.size() >= sizeof(RingEntry); bytes = bytes.subspan(sizeof(RingEntry))) {
        Taken& taken = waiting_.emplace_back();
        std::memcpy(&taken.entry, bytes.data(), sizeof taken.entry);
        taken.begun_ns = now;
        ++at_.head;
        ++open_;
    }
    port_.ring_changed(false);
    pump();
}

void Ring::begin(const Taken& taken) {
    const RingEntry& entry = taken.entry;
    const vgpu_error error = error_of(entry, setup_.length_error);
    bytes_ += cost_of(entry);
    if (error != VGPU_OK) return complete(taken, error, 0);
    port_.read_memory(entry.request_address, entry.request_length,
                      [weak = weak_.ptr(), taken](const Result<std::span<const std::byte>>& bytes) {
                          if (Ring* const ring = weak.get()) ring->read(taken, bytes);
                      });
}

void Ring::read(const Taken& taken, const Result<std::span<const std::byte>>& bytes) {
    if (!bytes) return complete(taken, VGPU_ERROR_DMA, 0);
    port_.ask(static_cast<uint32_t>(taken.entry.cookie),
              std::vector<std::byte>(bytes->begin(), bytes->end()), taken.entry.response_size,
              [weak = weak_.ptr(), taken](const compute::Completion& completion) {
                  if (Ring* const ring = weak.get()) ring->answered(taken, completion);
              });
}

void Ring::answered(const Taken& taken, const compute::Completion& completion) {
    const auto length = static_cast<uint32_t>(completion.response.size());
    if (completion.error != VGPU_OK || length == 0) return complete(taken, completion.error, 0);
    port_.write_memory(taken.entry.response_address, completion.response,
                       [weak = weak_.ptr(), taken, length](const Status& status) {
                           Ring* const ring = weak.get();
                           if (ring == nullptr) return;
                           if (!status) return ring->complete(taken, VGPU_ERROR_DMA, 0);
                           ring->complete(taken, VGPU_OK, length);
                       });
}

void Ring::complete(const Taken& taken, vgpu_error error, uint32_t response_length) {
    bytes_ -= cost_of(taken.entry);
    RingCompletion& completion = finished_.emplace_back();
    completion = {};
    completion.cookie = taken.entry.cookie;
    completion.error = error;
    completion.response_length = response_length;
    completion.timestamp_ns = port_.now_ns();
    port_.ring_request_done(completion, taken.begun_ns);
    // Those of one turn are written together, with one interrupt.
    if (!write_timer_.is_pending() && writing_ == 0)
        write_timer_.post(port_.runner(), [this] { write_completions(); });
}

void Ring::write_completions() {
    if (writing_ != 0 || finished_.empty()) return;
    const auto count = std::min(static_cast<uint32_t>(finished_.size()),
                                setup_.size - at_.completion_tail % setup_.size);
    std::vector<RingCompletion> batch(finished_.begin(), finished_.begin() + count);
    finished_.erase(finished_.begin(), finished_.begin() + count);
    for (uint32_t i = 0; i < count; ++i) batch[i].sequence = at_.completion_tail + i + 1;
    writing_ = count;
    port_.write_memory(
        setup_.completions + uint64_t{at_.completion_tail % setup_.size} * sizeof(RingCompletion),
        std::as_bytes(std::span(batch)), [weak = weak_.ptr(), count](const Status& status) {
            Ring* const ring = weak.get();
            if (ring == nullptr) return;
            ring->writing_ = 0;
            if (!status) return ring->halt(VGPU_ERROR_DMA);
            ring->written(count);
        });
}

void Ring::written(uint32_t count) {
    at_.completion_tail += count;
    open_ -= count;
    const WeakPtr<Ring> weak = weak_.ptr();
    port_.ring_changed(true);
    if (weak) write_completions();
    if (weak) pump();
}

}  // namespace mimic::vgpu_stub
