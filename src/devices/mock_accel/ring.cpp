// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/ring.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "devices/mock_accel/engine.h"

namespace mimic::mock_accel {
namespace {

Code code_of(const Error& error, Code fault) {
    return error.code() == std::errc::operation_canceled ? Code::kAborted : fault;
}

bool is_local(const Descriptor& descriptor, uint8_t flag) {
    return (descriptor.flags & flag) != 0;
}

// Whether the pieces of a COPY must move last to first, as memmove would.
bool overlaps_upwards(const Descriptor& descriptor) {
    return descriptor.opcode == kOpcodeCopy &&
           is_local(descriptor, kFlagSourceLocal) == is_local(descriptor, kFlagDestinationLocal) &&
           descriptor.destination > descriptor.source &&
           descriptor.destination - descriptor.source < descriptor.length;
}

}  // namespace

bool Ring::doorbell(uint32_t tail) {
    const uint32_t ahead = tail - head_;
    if (ahead > entries() || ahead < tail_ - head_) return false;
    tail_ = tail;
    return true;
}

void Ring::run(Budget& budget) {
    running_ = true;
    while (step(budget)) {
    }
    running_ = false;
    if (!stopped_) report();
}

// Does the next thing; false if there is none in this turn.
bool Ring::step(Budget& budget) {
    if (over() || waiting_) return false;
    if (batch_next_ < batch_size_ && !budget.spent() && !wants_interrupt_) {
        execute(budget);
    } else if (completion_count_ > 0) {
        flush();
    } else if (head_ != tail_ && !budget.spent()) {
        fetch(budget);
    } else {
        return false;
    }
    return true;
}

// What DmaSpace calls when it is done with a read or write of this ring, at once or later. A ring
// that was stopped in between is not touched, and may be gone.
template <typename Call>
auto Ring::later(Call call) {
    waiting_ = true;
    return [weak = weak_.ptr(), call](const auto& result) {
        Ring* const ring = weak.get();
        if (ring == nullptr || ring->stopped_) return;
        const Engine::Busy busy(ring->engine_);
        ring->waiting_ = false;
        call(*ring, result);
        if (ring->running_ || ring->stopped_) return;
        ring->report();
        if (ring->runnable()) ring->engine_.schedule();
    };
}

// --- Descriptors in --------------------------------------------------------------------------

void Ring::fetch(const Budget& budget) {
    const uint32_t count = std::min(
        {tail_ - head_, entries() - slot(head_), fetch_limit_, budget.descriptors});
    const uint64_t size = count * sizeof(Descriptor);
    const uint64_t address = config_.base + slot(head_) * sizeof(Descriptor);
    memory::DmaSpace* const dma = engine_.port().dma_space();
    if (dma == nullptr || address < config_.base) return halt();
    if (const auto bytes = dma->span(address, size, memory::DmaAccess::kRead)) {
        const uint32_t limit = fetch_limit_;
        fetched(*bytes);
        if (dma->intact(address, size)) return;
        batch_size_ = 0;
        fetch_limit_ = limit;
        return fetch_failed();
    }
    dma->read(address, size,
              later([size](Ring& ring, const Result<std::span<const std::byte>>& bytes) {
                  if (bytes && bytes->size() == size) return ring.fetched(*bytes);
                  ring.fetch_failed();
              }));
}

void Ring::fetched(std::span<const std::byte> bytes) {
    std::memcpy(batch_.data(), bytes.data(), bytes.size());
    batch_size_ = static_cast<uint32_t>(bytes.size() / sizeof(Descriptor));
    batch_next_ = 0;
    fetch_limit_ = kBatch;
}

// Those before the first one that cannot be read are still to be done.
void Ring::fetch_failed() {
    if (fetch_limit_ == 1) return halt();
    fetch_limit_ = 1;
}

// --- Execution -------------------------------------------------------------------------------

void Ring::execute(Budget& budget) {
    const uint32_t before = batch_next_;
    const Code code = check_descriptor(current(), engine_.port().device_memory().size());
    if (code != Code::kOk || current().opcode == kOpcodeNop) {
        finish(code);
    } else {
        transfer(current(), budget);
    }
    if (batch_next_ != before) --budget.descriptors;
}

// Moves the next piece of the current descriptor, or starts to.
void Ring::transfer(const Descriptor& descriptor, Budget& budget) {
    const uint64_t left = descriptor.length - done_;
    const uint64_t pieces = slow_ ? 1 : std::max<uint64_t>(budget.bytes / kSlowPiece, 1);
    piece_size_ = std::min(left, pieces * kSlowPiece);
    piece_at_ = overlaps_upwards(descriptor) ? left - piece_size_ : done_;
    const bool is_fill = descriptor.opcode == kOpcodeFill;
    const auto to = piece_span(descriptor.destination, is_local(descriptor, kFlagDestinationLocal),
                               memory::DmaAccess::kWrite);
    std::optional<std::span<std::byte>> from;
    if (!is_fill) {
        from = piece_span(descriptor.source, is_local(descriptor, kFlagSourceLocal),
                          memory::DmaAccess::kRead);
    }
    if (to && (is_fill || from)) {
        budget.take_bytes(piece_size_);
        if (is_fill) {
            fill_pattern(*to, descriptor.source);
        } else {
            std::memmove(to->data(), from->data(), piece_size_);
            if (piece_lost(descriptor.source, is_local(descriptor, kFlagSourceLocal))) {
                return finish(Code::kReadFault);
            }
        }
        if (piece_lost(descriptor.destination, is_local(descriptor, kFlagDestinationLocal))) {
            return finish(Code::kWriteFault);
        }
        return piece_done();
    }
    if (!slow_ && piece_size_ > kSlowPiece) {  // a part of it may be mapped
        slow_ = true;
        return;
    }
    // Whoever waits for those before need not wait for this one, too.
    if (completion_count_ > 0) return flush();
    budget.take_bytes(kSlowCost + kSlowFactor * piece_size_);
    if (is_fill) {
        std::vector<std::byte> bytes(piece_size_);
        fill_pattern(bytes, descriptor.source);
        return write_destination(bytes);
    }
    if (from) return write_destination(*from);
    read_source(descriptor.source + piece_at_);
}

std::optional<std::span<std::byte>> Ring::piece_span(uint64_t address, bool local,
                                                     memory::DmaAccess access) {
    // check_descriptor() has seen to it that neither leaves device memory nor wraps.
    if (local) return engine_.port().device_memory().subspan(address + piece_at_, piece_size_);
    memory::DmaSpace* const dma = engine_.port().dma_space();
    if (dma == nullptr) return std::nullopt;
    return dma->span(address + piece_at_, piece_size_, access);
}

// Asked after a piece_span() was used: whether its owner has taken the memory away.
bool Ring::piece_lost(uint64_t address, bool local) {
    memory::DmaSpace* const dma = engine_.port().dma_space();
    return !local && dma != nullptr && !dma->intact(address + piece_at_, piece_size_);
}

void Ring::read_source(uint64_t address) {
    memory::DmaSpace* const dma = engine_.port().dma_space();
    if (dma == nullptr) return finish(Code::kAborted);
    dma->read(address, piece_size_,
              later([](Ring& ring, const Result<std::span<const std::byte>>& bytes) {
                  ring.source_read(bytes);
              }));
}

void Ring::source_read(const Result<std::span<const std::byte>>& result) {
    if (!result) return finish(code_of(result.error(), Code::kReadFault));
    if (result->size() != piece_size_) return finish(Code::kReadFault);
    write_destination(*result);
}

void Ring::write_destination(std::span<const std::byte> data) {
    const Descriptor& descriptor = current();
    if (const auto to = piece_span(descriptor.destination,
                                   is_local(descriptor, kFlagDestinationLocal),
                                   memory::DmaAccess::kWrite)) {
        std::memmove(to->data(), data.data(), data.size());
        if (piece_lost(descriptor.destination, is_local(descriptor, kFlagDestinationLocal))) {
            return finish(Code::kWriteFault);
        }
        return piece_done();
    }
    memory::DmaSpace* const dma = engine_.port().dma_space();
    if (dma == nullptr) return finish(Code::kAborted);
    dma->write(descriptor.destination + piece_at_, data,
               later([](Ring& ring, const Status& status) { ring.destination_written(status); }));
}

void Ring::destination_written(const Status& status) {
    if (!status) return finish(code_of(status.error(), Code::kWriteFault));
    piece_done();
}

void Ring::piece_done() {
    if (current().opcode == kOpcodeCopy) counts_.bytes_read += piece_size_;
    counts_.bytes_written += piece_size_;
    done_ += piece_size_;
    if (done_ == current().length) finish(Code::kOk);
}

// --- Completions out -------------------------------------------------------------------------

void Ring::finish(Code code) {
    const uint32_t index = head_ + completion_count_;
    const auto phase = static_cast<uint16_t>(((index >> config_.order) & 1) ^ 1);
    completions_[completion_count_++] = {current().cookie, static_cast<uint32_t>(done_),
                                         static_cast<uint16_t>(code), phase};
    ++counts_.descriptors;
    if (code != Code::kOk) {
        ++counts_.errors;
        failed_ = true;
        last_error_ = static_cast<uint8_t>(code);
    }
    if ((current().flags & kFlagInterrupt) != 0) wants_interrupt_ = true;
    ++batch_next_;
    done_ = 0;
    slow_ = false;
}

// A batch ends where the ring does, so its completions lie side by side.
void Ring::flush() {
    const uint32_t count = std::exchange(completion_count_, 0);
    const std::span<const Completion> from(completions_.data(), count);
    const uint64_t address = config_.completion_base + slot(head_) * sizeof(Completion);
    // Before they are stored: a driver that sees one may ring the doorbell for its slot before an
    // answer says that it is stored.
    head_ += count;
    memory::DmaSpace* const dma = engine_.port().dma_space();
    if (dma == nullptr || address < config_.completion_base) return flushed(false, count);
    if (const auto to = dma->span(address, from.size_bytes(), memory::DmaAccess::kWrite)) {
        store_completions(*to, from);
        return flushed(dma->intact(address, from.size_bytes()), count);
    }
    dma->write(address, std::as_bytes(from), later([count](Ring& ring, const Status& status) {
                   ring.flushed(status.has_value(), count);
               }));
}

void Ring::flushed(bool stored, uint32_t count) {
    if (!stored) {
        head_ -= count;
        return halt();
    }
    const bool asked = std::exchange(wants_interrupt_, false);
    if (!config_.interrupts || (!asked && head_ != tail_)) return;
    ++counts_.interrupts;
    report();
    engine_.port().raise_ring(config_.index);
}

void Ring::halt() {
    halted_ = true;
    ++counts_.errors;
}

void Ring::report() {
    const RingState state{head_, halted_, failed_, last_error_};
    failed_ = false;
    engine_.port().ring_progressed(config_.index, state, std::exchange(counts_, {}));
}

}  // namespace mimic::mock_accel
