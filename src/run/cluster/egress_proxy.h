// SPDX-License-Identifier: Apache-2.0
// EgressProxy: how the API server reaches kubelets. Nodes are behind QEMU's user network, where
// nobody on the host can connect to 10.0.1.15; the API server therefore asks this proxy (HTTP
// CONNECT on a UNIX socket, EgressSelectorConfiguration), which knows the forwarded ports.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic::cluster {

/// Serves on threads of its own, one a connection, until it is destroyed. Thread-safe.
class EgressProxy {
public:
    /// `targets`: "address:port" as the API server knows it, and the port of 127.0.0.1 for it.
    /// Errors: those of bind(2) and listen(2).
    static Result<std::unique_ptr<EgressProxy>> create(const std::string& socket,
                                                       std::map<std::string, uint16_t> targets);
    ~EgressProxy();
    EgressProxy(const EgressProxy&) = delete;
    EgressProxy& operator=(const EgressProxy&) = delete;

private:
    EgressProxy(UniqueFd listener, UniqueFd stop, std::map<std::string, uint16_t> targets);
    void accept_all();
    void serve(UniqueFd client) const;

    const UniqueFd listener_;
    const UniqueFd stop_;  // an eventfd, readable from the end on
    const std::map<std::string, uint16_t> targets_;
    std::atomic<unsigned> connections_{0};
    std::thread thread_;
};

/// The target of a request's first line, "CONNECT host:port HTTP/1.1"; empty for any other. Pure.
std::string connect_target(std::string_view request);

}  // namespace mimic::cluster
