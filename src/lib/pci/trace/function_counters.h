// SPDX-License-Identifier: Apache-2.0
// FunctionCounters: what a function has done since it was made. Plain increments, always on.
#pragma once

#include <cstdint>

namespace mimic::pci {

/// A value; read it on the loop that owns the function. Nothing resets it, not even a reset.
struct FunctionCounters {
    uint64_t config_reads = 0;  // accesses, whatever their size
    uint64_t config_writes = 0;
    uint64_t bar_reads = 0;  // what a guest maps is not seen
    uint64_t bar_writes = 0;
    uint64_t interrupts = 0;  // messages that left the function, and assertions of its pin
    uint64_t dma_reads = 0;   // what the model asked for, whether it succeeded or not
    uint64_t dma_writes = 0;
    uint64_t dma_read_bytes = 0;
    uint64_t dma_write_bytes = 0;
    uint64_t errors = 0;  // errors that the function detected (Function::report_error)
};

}  // namespace mimic::pci
