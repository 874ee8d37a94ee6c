// SPDX-License-Identifier: Apache-2.0
// Which Kubernetes a cluster runs: the user's programs by path, or those of tools/kube.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mimic::cluster {

/// What the user names; empty: what tools/kube builds.
struct ProgramOptions {
    std::string kubernetes;  // folder with kube-apiserver, kubelet, ..., or with one `kube` for all
    std::string containerd;  // folder with containerd, containerd-shim-runc-v2, ctr
    std::string runc;        // the program
    std::vector<std::string> images;  // archives that each node imports (docker or OCI layout,
                                      // .tar)
};

/// A program and its first arguments: one that holds several is told which.
using Command = std::vector<std::string>;

/// A file of the host and its place in a node.
struct NodeFile {
    std::string host;
    std::string node;
};

struct Programs {
    Command etcd;
    Command api_server;
    Command controller_manager;
    Command scheduler;
    Command kubectl;             // empty: not there
    std::vector<NodeFile> node;  // programs and images, by place
    bool of_user = false;        // whether `kubernetes` was named: its version is not known
};

/// Finds all; builds what is not named and not in the cache, which takes minutes (tools/kube).
/// etcd, which no Kubernetes brings, may be missing from the user's folder. Errors:
/// no_such_file_or_directory with the program and where it was looked for; those of tools/kube.
/// Blocks.
Result<Programs> find_programs(const ProgramOptions& options);

/// DIR/NAME, or {DIR/kube, NAME}. Errors: no_such_file_or_directory.
Result<Command> find_program(const std::string& folder, const std::string& name);

}  // namespace mimic::cluster
