// SPDX-License-Identifier: Apache-2.0
// The two devices of Linux SST's bare-metal examples, as registers behind a socket: one that echoes
// a word and one that computes with two. docs/simulators.md has their registers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/task_runner.h"
#include "base/timer.h"

namespace mimic::sim_server {

enum class DeviceKind : uint8_t { kEcho, kCompute };

struct RegisterOptions {
    DeviceKind kind = DeviceKind::kEcho;
    uint64_t latency = 0;  // of an operation, in cycles; 0: Linux SST's (echo 10, compute 100)
    uint64_t clock_hz = 1'000'000'000;
    double scale = 0;  // wall time a cycle takes, times its length; 0: none
};

/// 32-bit registers. An operation keeps the device busy; with a scale, reads of its result are
/// answered when it is over. Accesses of one byte, two, four and eight; what is no register reads 0
/// and ignores writes, as in Linux SST. Thread-bound.
class RegisterDevice {
public:
    using Done = std::function<void(uint64_t value)>;

    static std::unique_ptr<RegisterDevice> create(const RegisterOptions& options,
                                                  TaskRunner& runner);
    virtual ~RegisterDevice() = default;

    virtual void write(uint64_t offset, unsigned size, uint64_t value) = 0;
    /// `done` runs at once, or when the result is there, unless the device has gone by then.
    virtual void read(uint64_t offset, unsigned size, Done done) = 0;

    /// What the peer's PEER_OUT register brings.
    virtual void receive(uint32_t value) = 0;
    /// Where PEER_OUT goes; nullptr: nowhere. Borrowed.
    virtual void set_peer(RegisterDevice* peer) = 0;
};

}  // namespace mimic::sim_server
