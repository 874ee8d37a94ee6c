// SPDX-License-Identifier: Apache-2.0
// FunctionDma: guest memory as the model of a function reaches it: what it asks for is counted,
// traced, and answered no longer than the function is as it was when it asked. Private to Function.
#pragma once

#include "base/weak_ptr.h"
#include "memory/dma_space.h"
#include "pci/trace/function_counters.h"
#include "pci/trace/tracer.h"

namespace mimic::pci {

/// Thread-bound with its function, which may go while DMA is under way.
class FunctionDma final : public memory::DmaSpace {
public:
    explicit FunctionDma(FunctionCounters& counters) : counters_(counters) {}

    /// Memory of this turn of the loop, and who traces it (nullptr: nobody).
    FunctionDma& refresh(memory::DmaSpace& real, Tracer* tracer, uint32_t source) {
        real_ = &real;
        tracer_ = tracer;
        source_ = source;
        return *this;
    }

    /// Called when the function is reset: what it has asked for is not answered. The
    /// bytes of a write that has begun may still arrive, and the trace tells when they do.
    void drop_answers() { model_.revoke(); }

    /// Called when the function is detached, perhaps in the middle of a reset.
    void end() {
        model_.revoke();
        tracing_.revoke();
    }

    /// Called when the tracer goes: DMA under way is not traced any more.
    void forget_tracer() { tracing_.revoke(); }

    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                             memory::DmaAccess access) override;
    bool intact(uint64_t iova, uint64_t size) override { return real_->intact(iova, size); }
    void read(uint64_t iova, uint64_t size, ReadDone done) override;
    void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) override;

private:
    FunctionCounters& counters_;
    memory::DmaSpace* real_ = nullptr;  // borrowed for the turn of the loop that asked dma()
    Tracer* tracer_ = nullptr;
    uint32_t source_ = 0;
    // Held by DMA that may end later: whom it answers, and whether `tracer_` hears of it.
    WeakOwner<FunctionDma> model_{this};
    WeakOwner<FunctionDma> tracing_{this};
};

}  // namespace mimic::pci
