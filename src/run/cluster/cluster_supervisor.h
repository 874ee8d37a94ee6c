// SPDX-License-Identifier: Apache-2.0
// The supervisor of a cluster: a process that owns the control plane, so that all of it ends
// together. It starts again what ended by itself, as a node's kubelet does with static pods. The
// nodes are machines with supervisors of their own. As with a machine's supervisor, end of file on
// the control socket before "release\n" means that `mimic cluster up` ended: the cluster goes too.
#pragma once

#include <string>

namespace mimic::cluster {

/// Descriptor numbers that it is started with.
inline constexpr int kClusterLockFd = 3;
inline constexpr int kClusterControlFd = 4;

/// Main function of the hidden command `mimic cluster supervise DIR`: starts what <dir>/plan.json
/// says, until SIGTERM; then ends all and removes the folder. Returns the exit status.
int run_cluster_supervisor(const std::string& dir);

}  // namespace mimic::cluster
