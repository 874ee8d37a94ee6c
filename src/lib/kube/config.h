// SPDX-License-Identifier: Apache-2.0
// Where an API server is and how to show who we are.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "base/result.h"

namespace mimic::kube {

/// Immutable once made. Files are read again whenever they are used, since tokens rotate.
struct ClientConfig {
    std::string server;      // "https://host:port", without '/' at its end
    std::string ca_file;     // PEM; empty: ca_data, else the system's
    std::string ca_data;     // PEM
    std::string tls_name;    // kubeconfig's tls-server-name; empty: the server's host
    bool insecure = false;   // kubeconfig's insecure-skip-tls-verify: said in the log, once
    std::string token_file;  // goes before `token`
    std::string token;       // neither goes to another machine without TLS
    std::string certificate_file, certificate_data;  // PEM, client certificate
    std::string key_file, key_data;
    std::string name_space = "default";
    std::string user_agent;
    std::chrono::milliseconds timeout = std::chrono::seconds(20);
    size_t max_answer = size_t{64} << 20;  // bytes; memory is up to ten times as much
    /// A watch without a byte for as long ends; a server sends bookmarks about once a minute.
    std::chrono::milliseconds watch_silence = std::chrono::seconds(150);
};

/// As client-go's rest.InClusterConfig: KUBERNETES_SERVICE_HOST and _PORT, and the token and CA in
/// /var/run/secrets/kubernetes.io/serviceaccount. Errors: not_connected if this is no pod.
Result<ClientConfig> in_cluster_config();

/// A kubeconfig file (v1 Config). `context` empty: its current one. Relative paths are relative to
/// the file. Errors: invalid_argument with file and place; not_supported for exec and auth-provider
/// plugins, by name.
Result<ClientConfig> load_kubeconfig(const std::string& path, const std::string& context = {});

/// `path` if given, else $KUBECONFIG (its first file), else in-cluster, else ~/.kube/config.
Result<ClientConfig> default_config(const std::string& path, const std::string& context = {});

}  // namespace mimic::kube
