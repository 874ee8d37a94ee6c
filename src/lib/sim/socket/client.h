// SPDX-License-Identifier: Apache-2.0
// A simulator that is another process: mimic-sim, an SST, a SystemC model, a Python function, or
// whoever serves Linux SST's protocol on a UNIX socket. It may be away, slow, wrong or die; a
// request is answered all the same. docs/simulators.md has the protocol.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "sim/simulator.h"

namespace mimic::sim {

/// How to talk to a simulator behind a socket.
struct SocketOptions {
    std::string path;  // of its UNIX stream socket; it need not be there yet

    /// The program that serves `path`, and its arguments; "{socket}" in one of them stands for the
    /// path. Empty: somebody else starts it. It runs as long as the simulator lives, is killed with
    /// it (and with its process), and started again when it ends, no faster than the retries below.
    /// With an empty `path` a private one is made. Its standard error is this process's.
    std::vector<std::string> command;

    Duration timeout = std::chrono::seconds(5);  // of a request, from submit(); then TIMEOUT
    Duration first_retry = std::chrono::milliseconds(20);  // doubles until ..
    Duration last_retry = std::chrono::seconds(1);

    bool pipelined = true;       // have many in flight with a peer that can (SST_FLAG_PIPELINE)
    bool timed = true;           // simulated times from a peer that has them (SST_FLAG_TIMED)
    size_t max_in_flight = 256;  // with such a peer; others get one
    size_t max_queued = 1024;    // that wait for their turn; one more is answered BUSY

    /// submit() waits for the answer, which is there when it returns: at most `wait_limit`, then
    /// TIMEOUT. Blocks the loop: for a device host that has no other device.
    bool lock_step = false;
    Duration wait_limit = std::chrono::seconds(4);
    uint64_t clock_hz = 1'000'000'000;  // of the cycles that a peer without times answers
};

/// A simulator behind a socket. Connects at once and whenever it is away, without waiting: until
/// somebody serves the path, requests are answered NO_DEVICE. Answers match by ids of ours, so one
/// that comes late is dropped and counted whatever the device has in flight. A peer that owes an
/// answer for twice the timeout and sends nothing is left, and connected again.
///
/// Tells its observer: SST_NOTICE_SIMULATOR_READY, SST_ERROR_SIMULATOR_LOST, SST_ERROR_LATE,
/// SST_ERROR_UNKNOWN_ID.
///
/// Answer: times are the peer's where it has them (timed); with `lock_step`, from `guest_time` on,
/// and a peer without times spends what its COMPUTE says in cycles of `clock_hz`; otherwise they
/// are the wall clock's.
///
/// `runner` must have an event loop (ENOTSUP) and outlive the simulator. Other errors: EINVAL for
/// options out of range (an empty path without a command, no time, no queue), ENAMETOOLONG, those
/// of mkdtemp(3). On the loop's thread, or before it runs.
Result<std::unique_ptr<Simulator>> make_socket_simulator(const SocketOptions& options,
                                                         TaskRunner& runner);

}  // namespace mimic::sim
