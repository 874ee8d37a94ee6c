// SPDX-License-Identifier: Apache-2.0
// The disk that a node boots from: kubelet, containerd, images and the scripts of guest/node, the
// same for all nodes of a cluster. Made once for a content and kept in the cache.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/programs.h"
#include "guest_image/progress.h"

namespace mimic::cluster {

/// Path of an ext4 image that holds `files` and guest/node; it is never written again. mkfs.ext4
/// makes it, without root. Errors: no_such_file_or_directory (a file, or mkfs.ext4, is missing),
/// no_space_on_device, io_error. Safe to call from several processes. Blocks, for seconds if it is
/// new.
Result<std::string> make_node_disk(const std::vector<NodeFile>& files,
                                   guest_image::Progress& progress);

/// What makes one node another than its neighbour.
struct NodeIdentity {
    std::string name;
    unsigned subnet = 0;     // of outputs::GuestNetwork
    uint16_t api_port = 0;   // on the host's loopback interface
    std::string kubeconfig;  // kubelet's
    std::string authority;   // PEM: who kubelet's clients are signed by
};

/// Writes the archive that is unpacked onto the node's disk (outputs::RunContext::root_files),
/// 0600. Errors: those of writing a file; io_error.
Status write_node_files(const NodeIdentity& node, const std::string& path);

/// What the guest is called in its network, and how it reaches the host's loopback interface.
std::string node_address(unsigned subnet);
std::string host_address(unsigned subnet);

/// Where pods look for the API server: the first address of --service-cluster-ip-range.
inline constexpr const char* kServiceRange = "10.96.0.0/16";
inline constexpr const char* kServiceAddress = "10.96.0.1";

/// Where a kubelet serves logs and exec, in its guest.
inline constexpr uint16_t kKubeletPort = 10250;

}  // namespace mimic::cluster
