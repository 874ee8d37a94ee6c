// SPDX-License-Identifier: Apache-2.0
// Pieces of QEMU's command line that the libvirt domain needs too.
#pragma once

#include <string>

#include "topology/model.h"
#include "topology/topology.h"

namespace mimic::topology {

/// CPU sockets and cores per socket, so that a NUMA node boundary is a socket boundary.
struct CpuTopology {
    unsigned sockets = 1;
    unsigned cores = 1;
};
CpuTopology cpu_topology(const Machine& machine);

/// The socket of each function exists in `context` and fits into sockaddr_un.
Status check_sockets(const Machine& machine, const RunContext& context);

/// `-device` JSON of one function.
std::string function_device_json(const Device& device, const Function& function,
                                 const std::string& socket_path);

/// Value of pcie-root-port's x-speed property: "2_5", "5", "8", "16", "32" or "64".
std::string root_port_speed(const Link& link);

}  // namespace mimic::topology
