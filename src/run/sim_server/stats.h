// SPDX-License-Identifier: Apache-2.0
// What mimic-sim says of itself: a line for people, and metrics in Prometheus' text format.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim_server/register_server.h"
#include "sim_server/sim_server.h"

namespace mimic::sim_server {

/// All servers of a process. On their loop.
struct Servers {
    std::vector<std::unique_ptr<SimServer>> simulators;
    std::vector<std::unique_ptr<RegisterServer>> registers;
};

/// "2 clients, 1234 requests, 1230 answers, 4 in flight".
std::string stats_line(const Servers& servers);

/// The exposition (docs/simulators.md has the families), a sample for each socket.
std::string metrics_text(const Servers& servers);

}  // namespace mimic::sim_server
