// SPDX-License-Identifier: Apache-2.0
// ClusterPlan: what the supervisor of a cluster has to start, <folder>/plan.json, and what it says
// of itself, <folder>/state.json.
//
//   <run root>/.cluster-<name>/   0700; beside the machines' folders, and never one of them
//       lock                      held by `mimic cluster up`, then by the supervisor
//       plan.json state.json kubeconfig *.conf *.crt *.key tokens.csv <node>.tar etcd.sock
//       egress.sock
//   <state root>/.cluster-<name>/
//       etcd.log api-server.log controller-manager.log scheduler.log supervisor.log
//       etcd/                     gone with the cluster
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "machine/machine_state.h"

namespace mimic::cluster {

struct PlannedProcess {
    std::string name;
    std::vector<std::string> argv;
};

struct ClusterPlan {
    std::string name;
    std::string state_dir;
    std::vector<std::string> machines;         // the nodes
    std::string egress_socket;                 // see egress_proxy.h
    std::map<std::string, uint16_t> kubelets;  // "10.0.1.15:10250" -> port of the host's loopback
    std::vector<PlannedProcess> processes;     // in the order of their start
};

std::string to_json(const ClusterPlan& plan);
/// Errors: invalid_argument for anything that to_json() does not print.
Result<ClusterPlan> parse_cluster_plan(const std::string& text);

struct ClusterState {
    machine::ProcessId supervisor;
    std::map<std::string, machine::ProcessId> processes;
};

std::string to_json(const ClusterState& state);
/// Errors: invalid_argument for anything that to_json() does not print.
Result<ClusterState> parse_cluster_state(const std::string& text);

/// A cluster's folder, claimed as machine::RunRoot::claim() does.
struct ClusterDir {
    std::string path;
    UniqueFd lock;
};

/// Folder of the cluster called `name`, which need not be there.
std::string cluster_dir_path(const std::string& name);
/// Folder of its logs and of etcd. Errors: those of machine::state_root_path().
Result<std::string> cluster_state_path(const std::string& name);

/// Makes the folder and takes its lock. What a killed supervisor left is ended and removed first.
/// Errors: device_or_resource_busy if the cluster runs; invalid_argument for a name that is none.
Result<ClusterDir> claim_cluster(const std::string& name);

/// Whether somebody looks after it.
bool is_cluster_alive(const std::string& name);

/// Ends the processes that a killed supervisor left, removes its folder and etcd's. Nothing happens
/// if there are none. Errors: device_or_resource_busy if it is alive; those of removing.
Status clean_cluster(const std::string& name);

/// Removes the folder of a cluster and etcd's, for the holder of its lock.
Status remove_cluster(const std::string& name, UniqueFd lock);

/// Names of all clusters, alive or left over, sorted.
std::vector<std::string> cluster_names();

}  // namespace mimic::cluster
