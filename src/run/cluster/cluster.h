// SPDX-License-Identifier: Apache-2.0
// `mimic cluster up`: a Kubernetes whose nodes are the machines of a topology file, with their
// devices; the control plane runs beside them on this host. `mimic cluster down` ends both.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/task_runner.h"
#include "cluster/programs.h"

namespace mimic::cluster {

struct ClusterUpOptions {
    std::string file;                             // topology file
    std::string name = "mimic";                   // of the cluster
    std::string machine;                          // only this one; empty: all of the file
    std::string kernel;                           // as of machine::UpOptions
    std::string accel;                            // as of machine::UpOptions
    uint64_t memory = uint64_t{1} << 30;          // at least, of each node
    Duration timeout = std::chrono::minutes(10);  // until all nodes are ready
    ProgramOptions programs;
    std::string feature_gates;    // "A=true,B=true"; empty: those that DRA's newest parts need, if
                                  // the programs are ours
    std::string runtime_config;   // likewise
    bool allow_commands = false;  // as of machine::UpOptions
};

/// Returns the exit status: 0 all nodes are ready, 1 failure, 128 + signal (nothing is left running
/// in either case). Prints what to set KUBECONFIG to. Main thread only: it catches signals.
int run_cluster_up(const ClusterUpOptions& options);

/// Ends clusters (all if `names` is empty) with their nodes, whatever of them still runs, and
/// returns when nothing is left but logs. Exit status.
int run_cluster_down(std::vector<std::string> names);

}  // namespace mimic::cluster
