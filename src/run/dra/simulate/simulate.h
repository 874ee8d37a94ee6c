// SPDX-License-Identifier: Apache-2.0
// `mimic-dra --simulate`: the slices of many nodes that are not there, published by one process and
// kept true, for tests of schedulers and autoscalers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace mimic::dra {

struct SimulationOptions {
    std::string file;          // description of a machine, for `mimic plan FILE --format slices`
    std::string mimic;         // that program; empty: `mimic` beside ours
    std::string numvfs = "0";  // VFs that each PF has: a number, or "all"
    unsigned nodes = 1;
    std::string name_prefix = "sim";  // nodes are called sim-0, sim-1, ...
    unsigned workers = 8;             // connections that publish at once
    double churn = 0;                 // changes of devices a second
    uint64_t churn_steps = 0;         // no more changes after so many; 0: for ever
    uint64_t seed = 1;                // of the churn
    bool create_nodes = false;        // Node objects too
    bool delete_on_exit = false;
    std::string kubeconfig;             // empty: as kube::default_config()
    std::optional<uint16_t> http_port;  // of 127.0.0.1, for /metrics and /healthz; 0: a free one
};

/// Publishes and keeps the slices until SIGINT or SIGTERM. Prints one line when all are published,
/// and one with the port of --http if there is one. Returns the exit status: 0; 1 with a message on
/// stderr if it could not begin, or could not delete all at the end; 2 for options that mean
/// nothing. Call on the main thread, before any other was made.
int run_simulation(const SimulationOptions& options);

}  // namespace mimic::dra
