// SPDX-License-Identifier: Apache-2.0
// Ring: one enabled ring of the DMA engine, from enabling to disabling. README.md, "DMA engine".
//
// Descriptors are fetched, executed and completed in batches. What lies in mapped memory takes no
// detour: one copy of up to 64 descriptors, a memmove each, one store of their completions. All
// else goes by DmaSpace::read() and write(), one at a time, and the ring waits meanwhile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/weak_ptr.h"
#include "devices/mock_accel/descriptor.h"
#include "devices/mock_accel/engine_port.h"

namespace mimic::mock_accel {

class Engine;

/// What the registers said when the ring was enabled.
struct RingConfig {
    uint32_t index = 0;
    uint64_t base = 0;             // bus address of the descriptors
    uint64_t completion_base = 0;  // bus address of the completions
    uint32_t order = 0;            // log2 of entries, at most 16
    bool interrupts = false;       // INTERRUPT_ENABLE
    uint32_t first_index = 0;      // what head and tail begin with; tests begin close to the wrap
};

/// What may still be done in this turn of the loop. Each descriptor and each byte counts, whoever's
/// it is.
struct Budget {
    uint32_t descriptors = 0;
    uint64_t bytes = 0;

    bool spent() const { return descriptors == 0 || bytes == 0; }
    void take_bytes(uint64_t count) { bytes -= count < bytes ? count : bytes; }
};

/// Thread-bound. Every call of a port or DmaSpace may end in a register write that disables the
/// ring (a copy to the device's own BAR): the call that is under way ends at its next look at
/// stop(), and the engine keeps the ring until then (Engine::Busy).
class Ring {
public:
    /// `engine` is borrowed until stop().
    Ring(Engine& engine, const RingConfig& config)
        : engine_(engine), config_(config), head_(config.first_index), tail_(config.first_index) {}
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    /// A write of RING_TAIL. False, and nothing changes: it is further ahead than the ring is long,
    /// or behind what it was.
    bool doorbell(uint32_t tail);

    void set_interrupts(bool enabled) { config_.interrupts = enabled; }

    /// Whether run() would find something to do: false while it waits for memory, too.
    bool runnable() const { return !stopped_ && !halted_ && !waiting_ && head_ != tail_; }

    /// Works until nothing is left, memory lets it wait, or `budget` is spent.
    void run(Budget& budget);

    /// The end: no DMA, interrupt or report of this ring starts any more.
    void stop() { stopped_ = true; }

private:
    /// Descriptors fetched, and completions stored, at once. Arbitrary: 3 KiB of an enabled ring.
    static constexpr uint32_t kBatch = 64;

    /// Bytes a transfer takes at once where memory is not mapped; what one message carries as a
    /// rule. A multiple of 8, which keeps FILL's pattern in step.
    static constexpr uint64_t kSlowPiece = 64U << 10;

    /// What such a piece costs of Budget::bytes, since it is a message or accesses to a peer's
    /// registers: so much, and each byte so many. Arbitrary; the largest is a turn.
    static constexpr uint64_t kSlowCost = 4U << 10;
    static constexpr uint64_t kSlowFactor = 4;

    uint32_t entries() const { return uint32_t{1} << config_.order; }
    uint32_t slot(uint32_t index) const { return index & (entries() - 1); }
    bool over() const { return stopped_ || halted_; }
    const Descriptor& current() const { return batch_[batch_next_]; }

    bool step(Budget& budget);
    void fetch(const Budget& budget);
    void fetched(std::span<const std::byte> bytes);
    void fetch_failed();
    void execute(Budget& budget);
    void transfer(const Descriptor& descriptor, Budget& budget);
    void read_source(uint64_t address);
    void source_read(const Result<std::span<const std::byte>>& result);
    void write_destination(std::span<const std::byte> data);
    void destination_written(const Status& status);
    std::optional<std::span<std::byte>> piece_span(uint64_t address, bool local,
                                                   memory::DmaAccess access);
    bool piece_lost(uint64_t address, bool local);
    void piece_done();
    void finish(Code code);
    void flush();
    void flushed(bool stored, uint32_t count);
    void halt();
    void report();
    template <typename Call>
    auto later(Call call);

    Engine& engine_;
    RingConfig config_;
    uint32_t head_;  // all before it are completed
    uint32_t tail_;
    bool stopped_ = false;
    bool halted_ = false;
    bool waiting_ = false;          // for DmaSpace's answer
    bool running_ = false;          // run() is on the stack: it goes on by itself
    bool wants_interrupt_ = false;  // a completion not yet stored asked for it
    bool slow_ = false;             // the current descriptor goes in pieces of kSlowPiece
    uint32_t fetch_limit_ = kBatch;
    uint32_t batch_size_ = 0;
    uint32_t batch_next_ = 0;        // being executed; batch_size_: none
    uint32_t completion_count_ = 0;  // executed, not yet stored
    uint64_t done_ = 0;              // bytes of the current descriptor
    uint64_t piece_at_ = 0;          // the piece of it that moves now
    uint64_t piece_size_ = 0;
    RingCounts counts_;
    bool failed_ = false;  // as in RingState
    uint8_t last_error_ = 0;
    std::array<Descriptor, kBatch> batch_;
    std::array<Completion, kBatch> completions_;
    WeakOwner<Ring> weak_{this};  // for answers of memory: the ring may be disabled before
};

}  // namespace mimic::mock_accel
