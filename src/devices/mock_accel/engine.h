// SPDX-License-Identifier: Apache-2.0
// Engine: the rings of one device and the turns that they take on its loop. README.md, "DMA
// engine". A doorbell only notes what it brought; the work is posted, so that the register access
// is answered first, and bounded, so that the other devices of the loop are served in between.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/thread_bound.h"
#include "base/timer.h"
#include "devices/mock_accel/engine_port.h"
#include "devices/mock_accel/registers.h"
#include "devices/mock_accel/ring.h"

namespace mimic::mock_accel {

/// What a device does before the other tasks of its loop are run; the loop goes back to its sockets
/// when EventLoop::kTurn is over, however many devices copy. Arbitrary: some 30 us of copying.
inline constexpr uint32_t kTurnDescriptors = 256;
inline constexpr uint64_t kTurnBytes = 256U << 10;

/// Thread-bound from the first work that it gets to stop_all(). Ring numbers are below kMaxRings;
/// the device has checked them.
class Engine {
public:
    /// `port` is borrowed; it outlives the engine.
    explicit Engine(EnginePort& port) : port_(port) {}
    ~Engine() { stop_all(); }
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    /// Starts ring config.index with head and tail 0. One that ran there is stopped.
    void enable(const RingConfig& config);

    /// Stops a ring: descriptors that have not completed do not.
    void disable(uint32_t ring);

    /// Stops all, and takes back the turn that was posted: a detached runner may never run it.
    void stop_all();

    void set_interrupts(uint32_t ring, bool enabled);

    /// A write of RING_TAIL. False: to be ignored, as Ring::doorbell() says, or not enabled.
    bool doorbell(uint32_t ring, uint32_t tail);

    // --- For rings ---------------------------------------------------------------------------

    EnginePort& port() { return port_; }

    /// Posts a turn unless one is posted.
    void schedule();

    /// On the stack of each call of a ring that may end in a register write, and so in the end of
    /// that ring (a copy to the device's own BAR): rings are freed when the last such call is over.
    class Busy {
    public:
        explicit Busy(Engine& engine) : engine_(engine) { ++engine_.busy_; }
        ~Busy() {
            if (--engine_.busy_ == 0) engine_.stopped_.clear();
        }
        Busy(const Busy&) = delete;
        Busy& operator=(const Busy&) = delete;

    private:
        Engine& engine_;
    };

private:
    void turn();

    EnginePort& port_;
    std::array<std::unique_ptr<Ring>, kMaxRings> rings_;
    uint32_t first_ = 0;  // ring that the next turn begins with
    uint32_t busy_ = 0;
    std::vector<std::unique_ptr<Ring>> stopped_;  // while busy
    Timer turn_;
    ThreadBound thread_;
};

}  // namespace mimic::mock_accel
