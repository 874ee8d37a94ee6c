// SPDX-License-Identifier: Apache-2.0
// EnginePort: all that the DMA engine knows of the device around it. MockAccel implements it, and
// the engine's tests do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/task_runner.h"
#include "memory/dma_space.h"

namespace mimic::mock_accel {

/// What a ring has done since it said so last.
struct RingCounts {
    uint64_t descriptors = 0;
    uint64_t bytes_read = 0;
    uint64_t bytes_written = 0;
    uint64_t errors = 0;
    uint64_t interrupts = 0;
};

/// RING_HEAD, and what RING_STATUS shows, of one ring.
struct RingState {
    uint32_t head = 0;
    bool halted = false;
    bool failed = false;     // a descriptor failed since the last report
    uint8_t last_error = 0;  // its Code
};

/// Thread-bound. Each call may change the device, and so the engine and its rings.
class EnginePort {
public:
    /// Memory on the bus; nullptr while the function may not master it.
    virtual memory::DmaSpace* dma_space() = 0;

    /// Where work is posted to; nullptr while nothing is attached: then no ring runs.
    virtual TaskRunner* task_runner() = 0;

    /// Device memory, empty without. Lives as long as the engine.
    virtual std::span<std::byte> device_memory() = 0;

    /// Ring `ring` asks for its interrupt.
    virtual void raise_ring(uint32_t ring) = 0;

    /// Ring `ring` has come further.
    virtual void ring_progressed(uint32_t ring, const RingState& state,
                                 const RingCounts& counts) = 0;

protected:
    ~EnginePort() = default;
};

}  // namespace mimic::mock_accel
