// SPDX-License-Identifier: Apache-2.0
// The processes of a control plane on this host, as an ordinary user: what they are started with,
// and the files that they read.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/cluster_plan.h"
#include "cluster/programs.h"

namespace mimic::cluster {

/// A node to be.
struct NodeSpec {
    std::string name;
    unsigned subnet = 0;
    uint16_t kubelet_port = 0;  // of the host's loopback interface
};

struct ControlPlaneSpec {
    std::string name;
    std::string dir;        // the cluster's folder
    std::string state_dir;  // its logs
    Programs programs;
    uint16_t api_port = 0;
    std::string feature_gates;   // of API server, scheduler, controller manager; empty: none
    std::string runtime_config;  // APIs that are off by default; empty: none
    std::vector<NodeSpec> nodes;
};

/// Where the user's kubeconfig is.
std::string kubeconfig_path(const std::string& dir);
/// Where the archive of a node's files is.
std::string node_files_path(const std::string& dir, const std::string& node);

/// Writes keys, certificates, tokens, kubeconfigs and the nodes' archives into the folder, and
/// returns what the supervisor starts. Errors: those of writing files and of OpenSSL.
Result<ClusterPlan> make_control_plane(const ControlPlaneSpec& spec);

/// A kubeconfig of one cluster and one user with a token. Pure.
std::string kubeconfig_text(const std::string& cluster, const std::string& server,
                            const std::string& authority, const std::string& token);

}  // namespace mimic::cluster
