// SPDX-License-Identifier: Apache-2.0
// FaultyDma: guest memory as a function with DMA faults sees it. Private to function_faults.cpp.
#pragma once

#include "pci/faults/function_faults.h"

namespace mimic::pci {

/// Applies the active DMA faults of its owner to each operation. Thread-bound with it.
class FunctionFaults::FaultyDma final : public memory::DmaSpace {
public:
    explicit FaultyDma(FunctionFaults& owner) : owner_(owner) {}

    /// Memory of this turn of the loop.
    void set_real(memory::DmaSpace& real) { real_ = &real; }

    /// Nothing while a fault is active: what a model copies itself could be neither slow nor wrong.
    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                             memory::DmaAccess access) override;
    bool intact(uint64_t iova, uint64_t size) override { return real_->intact(iova, size); }
    void read(uint64_t iova, uint64_t size, ReadDone done) override;
    void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) override;

private:
    using Operation = std::function<void(memory::DmaSpace*)>;
    void run(Duration delay, Operation operation);

    FunctionFaults& owner_;
    memory::DmaSpace* real_ = nullptr;  // borrowed for the turn of the loop that asked dma()
};

}  // namespace mimic::pci
