// SPDX-License-Identifier: Apache-2.0
// What a virtio device shows to tools and lets them break, whatever transport it is on: registers
// and counters by name, the requests that it answers, and faults of what is behind it (a simulator,
// for instance). The device's folder says which of these it has; transports and the control API
// walk them and know no device.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/task_runner.h"

namespace mimic::reg {
class BankCore;
}

namespace mimic::virtio {

/// Registers by name. Offset 0 is that of configuration space; what lies behind its end is for
/// tools only.
struct RegisterBlock {
    std::string name;                          // of the map
    const reg::BankCore* registers = nullptr;  // borrowed from the device
};

/// One count of a device since it was made. A value; `name` begins with "model_" and lives as long
/// as the program.
struct Counter {
    const char* name = "";
    uint64_t value = 0;
};

/// A request that the device has answered. `name` is borrowed for the call.
struct RequestSlice {
    std::string_view name;  // what was asked for: "COMPUTE"
    uint16_t queue = 0;
    uint64_t id = 0;        // as the guest calls it
    uint32_t status = 0;    // of the device's own; 0: good
    uint64_t begun_ns = 0;  // simulated time of the device, not the clock
    uint64_t ended_ns = 0;
};

/// Who hears of each. On the device's loop, from inside its work: it must not call back.
class RequestObserver {
public:
    virtual void on_request(const RequestSlice& slice) = 0;

protected:
    ~RequestObserver() = default;
};

/// What is wrong with what is behind a device. Asked on its loop.
class BackendFaults {
public:
    enum class Kind : uint8_t {
        kNone,
        kDrop,     // the answer is lost
        kDelay,    // it comes later, by `delay`
        kCorrupt,  // some of its bytes are others
        kWrongId,  // it says that it is the answer to something else
    };
    struct Verdict {
        Kind kind = Kind::kNone;
        Duration delay{};
        uint64_t random = 0;  // seeded: which bytes, which id
    };

    /// What becomes of the next answer: counts as a strike if it is not kNone.
    virtual Verdict next_answer() = 0;

    /// Whether the backend is gone. Asked at each request; the device is told of changes, too
    /// (Device::backend_changed()).
    virtual bool is_dead() = 0;

protected:
    ~BackendFaults() = default;
};

}  // namespace mimic::virtio
