// SPDX-License-Identifier: Apache-2.0
// The node agent: discovery, publisher and kubelet plugin of each kind of device, and an HTTP
// server that says how they are.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "dra/plugin/steps.h"
#include "kube/config.h"
#include "slices/dra_facts.h"

namespace mimic::dra {

/// Where to listen: "" is every address.
struct HttpAddress {
    std::string host;
    uint16_t port = 0;
};

/// ":8080", "127.0.0.1:8080", "[::1]:8080". Errors: invalid_argument.
Result<HttpAddress> parse_http_address(const std::string& text);

struct AgentOptions {
    std::vector<const slices::DraFacts*> kinds;  // constants of the program
    std::string node;                            // also the name of the pools
    std::shared_ptr<const kube::ClientConfig> api;
    std::string root{};  // before /sys and /dev; empty: the machine's own
    std::string kubelet_dir = "/var/lib/kubelet";
    std::string cdi_dir = "/var/run/cdi";
    std::string pod_uid{};  // for two instances during a rolling update
    std::optional<HttpAddress> http{};
    bool vfs_on_demand = false;
    bool shared = false;  // devices may be given to several claims, by parts of their memory
    std::chrono::milliseconds aer_hold = std::chrono::seconds(60);
    std::chrono::milliseconds cleanup_period = std::chrono::minutes(10);
    std::string boot_id{};
    StepHook hook{};  // --crash-at
};

/// Serves until it is destroyed. Create and destroy it on one thread; the rest is thread-safe.
class Agent {
public:
    /// Heals what a former instance left and serves. Errors: those of discovery, of the sockets and
    /// of the checkpoint's folder, with what to do.
    static Result<std::unique_ptr<Agent>> create(AgentOptions options);

    /// Stops in the order that loses nothing: the registration and the service first, calls that
    /// run end, then publisher and discovery. Slices and prepared claims stay.
    ~Agent();

    /// The port of the HTTP server; 0: none.
    uint16_t http_port() const;

    /// What /healthz says: an error if a socket does not answer as the kubelet wants it.
    Status check_health() const;

    /// What /readyz says: an error while the kubelet does not know a driver or its slices are not
    /// what they should be.
    Status check_ready() const;

    std::string metrics() const;

private:
    class Impl;
    explicit Agent(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace mimic::dra
