// SPDX-License-Identifier: Apache-2.0
// Where the plugin's sockets are: names that the kubelet's plugin watcher and the Go helper of
// Kubernetes agree on. Pure; any thread.
#pragma once

#include <string>

#include "base/result.h"

namespace mimic::dra {

struct SocketNames {
    std::string data_dir;      // "<kubelet>/plugins/<driver>"
    std::string service;       // "<data_dir>/dra.sock"
    std::string registration;  // "<kubelet>/plugins_registry/<driver>-reg.sock"
};

/// `pod_uid` empty: one instance. Else both names hold it, so that an old and a new instance can
/// serve side by side during a rolling update; a name that would make the path longer than a
/// UNIX socket's (107 bytes) holds a hash instead, as Kubernetes 1.37's helper does. Errors:
/// invalid_argument for a relative folder, filename_too_long.
Result<SocketNames> socket_names(const std::string& kubelet_dir, const std::string& driver,
                                 const std::string& pod_uid);

/// "unix:<path>" for gRPC, with what a URI reserves as %XX.
std::string unix_uri(const std::string& path);

}  // namespace mimic::dra
