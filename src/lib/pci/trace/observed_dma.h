// SPDX-License-Identifier: Apache-2.0
// ObservedDma: guest memory as a model sees it: counts and traces what passes. Private to Function.
#pragma once

#include <memory>

#include "memory/dma_space.h"
#include "pci/trace/function_counters.h"
#include "pci/trace/tracer.h"

namespace mimic::pci {

/// Thread-bound with its function, which may go while DMA is under way.
class ObservedDma final : public memory::DmaSpace {
public:
    explicit ObservedDma(FunctionCounters& counters) : counters_(counters) {}

    /// Memory of this turn of the loop, and who traces it (nullptr: nobody).
    ObservedDma& refresh(memory::DmaSpace& real, Tracer* tracer, uint32_t source) {
        real_ = &real;
        tracer_ = tracer;
        source_ = source;
        return *this;
    }

    /// Called when the tracer or the function goes: DMA under way is not traced any more.
    void forget() { tracing_.reset(); }

    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                             memory::DmaAccess access) override;
    bool intact(uint64_t iova, uint64_t size) override { return real_->intact(iova, size); }
    void read(uint64_t iova, uint64_t size, ReadDone done) override;
    void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) override;

private:
    // Whom DMA that completes later tells. Held weakly by it.
    struct Tracing {
        Tracer* tracer;
        uint32_t source;
    };

    const std::shared_ptr<Tracing>& tracing();

    FunctionCounters& counters_;
    memory::DmaSpace* real_ = nullptr;  // borrowed for the turn of the loop that asked dma()
    Tracer* tracer_ = nullptr;
    uint32_t source_ = 0;
    std::shared_ptr<Tracing> tracing_;
};

}  // namespace mimic::pci
