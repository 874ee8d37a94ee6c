// SPDX-License-Identifier: Apache-2.0
// Simulator: who says what an accelerator answers and when. Built-in latency models, a SystemC
// module, a process behind a socket (an SST, a Python function) are simulators; a device model is
// given one and does not know which.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/task_runner.h"
#include "sim/sst_protocol.h"

namespace mimic::sim {

/// Simulated time since the simulator's start or last reset, in picoseconds: 213 days in 64 bits.
using SimTime = uint64_t;
inline constexpr SimTime kPicosecondsPerNanosecond = 1000;

/// How simulated time passes.
enum class Pace : uint8_t {
    kFast,      // as fast as possible: a completion is delivered once all that comes before it is
    kScaled,    // by the wall clock, times a factor
    kLockStep,  // by the guest's clock: the answer is known when submit() returns
};

/// The answer to a request. Valid during the call that brings it.
struct Answer {
    const SSTResponse& response;
    SimTime submitted = 0;
    SimTime finished = 0;
};

/// What a simulator tells its device without being asked. On the device's loop.
class SimulatorObserver {
public:
    /// For the event queue of the device. `event.timestamp` is simulated time in ns.
    virtual void on_event(const SSTEvent& event) = 0;

protected:
    ~SimulatorObserver() = default;
};

/// Answers each request once. Thread-bound to the loop of its device; destroyed on it.
class Simulator {
public:
    /// Runs once for each submit(), on the loop: within submit() or in a later turn.
    using Done = std::function<void(const Answer& answer)>;

    struct Counters {
        uint64_t submitted = 0;
        uint64_t answered = 0;
        uint64_t timeouts = 0;     // answered TIMEOUT by us
        uint64_t late = 0;         // answers that came after that, and were dropped
        uint64_t unknown = 0;      // answers whose id matches nothing
        uint64_t lost = 0;         // answered NO_DEVICE: the simulator was away, or went
        uint64_t connections = 0;  // times that it came (back)
    };

    virtual ~Simulator() = default;

    /// Asks for `request`, whose bytes are copied before this returns. request.request_id is unique
    /// among those in flight: the device sees to that. `guest_time` is the guest's clock, for
    /// kLockStep; other paces ignore it. NO_DEVICE at once while the simulator is away; TIMEOUT
    /// when it does not answer in its time. What a guest may ask is checked here: sizes, addresses,
    /// types (INVALID).
    virtual void submit(const SSTRequest& request, SimTime guest_time, Done done) = 0;

    /// Forgets all requests in flight: their `done` never runs. Memory, parameters and simulated
    /// time go back to what they are at start.
    virtual void reset() = 0;

    /// Requests whose `done` has not run.
    virtual size_t in_flight() const = 0;

    /// Whether there is somebody to answer now.
    virtual bool ready() const = 0;

    /// Simulated time now.
    virtual SimTime now() const = 0;

    virtual Counters counters() const = 0;

    /// Who hears of events; nullptr: nobody. Borrowed.
    virtual void set_observer(SimulatorObserver* observer) = 0;
};

}  // namespace mimic::sim
