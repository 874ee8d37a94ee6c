// SPDX-License-Identifier: Apache-2.0
// Ping: asks a server of the simulator's protocol each type of request and says what it answered,
// for people who write one.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "sim/sst_protocol.h"

namespace mimic::sim_server {

struct PingOptions {
    std::string path;
    Duration timeout = std::chrono::seconds(5);  // of each request, and to connect
    unsigned count = 100;                        // NOOPs whose latency is measured
    bool parts = true;  // also send a part of a request, which must be answered or end in EOF
};

/// One request and what came of it.
struct PingLine {
    std::string request;
    std::string answer;  // "OK", "INVALID", "TIMEOUT", ..
    std::string detail;
    double microseconds = 0;
    bool good = true;  // as the protocol wants it
};

/// Lines in order; good while all of them are. Blocks. Errors: those of connecting.
Result<std::vector<PingLine>> ping(const PingOptions& options);

/// "OK", "NO_DEVICE", or "status 77".
std::string status_word(uint32_t status);

}  // namespace mimic::sim_server
