// SPDX-License-Identifier: Apache-2.0
// Gateway: the public control API, over all machines of this user. It finds the processes of a
// machine through its run folder, asks them over their sockets and merges what they say. Commands
// use it in this process (api_client.h); `mimic api` and `mimic web` serve it on a loopback port.
//
// What a process answers is believed no more than any peer: it is bounded in size and time, must be
// JSON, and one that is dead, hangs or talks nonsense is named as unreachable while the others'
// answers count.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "gateway/gateway_events.h"
#include "gateway/pci_ids.h"
#include "machine/run_dir.h"
#include "service/process_context.h"
#include "service/router.h"

namespace mimic::gateway {

/// A machine that was found by its name.
struct FoundMachine {
    std::string name;
    std::string run_dir;
    std::vector<std::string> hosts;  // control sockets of its device hosts
    std::string supervisor;          // its control socket; empty: it has none
};

/// What a process said to a request.
// NOLINTNEXTLINE(bugprone-exception-escape): moving the library's JSON does not throw.
struct HostAnswer {
    std::string host;             // "control-0"
    int status = 0;               // 0: it gave no usable answer
    nlohmann::ordered_json json;  // an object, unless status is 0
    std::string why;              // of status 0
    bool ended = false;           // the process was there and went before it had answered
};

/// A request for a process.
struct HostQuestion {
    std::string socket;
    std::string method;
    std::string target;  // path and query, encoded
    std::string body = "";
};

/// Thread-safe: handle() may run on many threads at once. Blocks while it asks processes, no longer
/// than Options::patience for all of them together.
class Gateway {
public:
    struct Options {
        /// More than the deadline of a device host for its loops, and than a busy host stops one.
        Duration patience = std::chrono::seconds(10);
        GatewayEvents::Options events{};
        /// Where a pci.ids may lie; the first that can be read counts.
        std::vector<std::string> pci_ids = default_pci_ids_files();
    };

    /// Errors: those of machine::RunRoot::open().
    static Result<std::unique_ptr<Gateway>> create(Options options);
    static Result<std::unique_ptr<Gateway>> create() { return create(Options()); }

    service::HttpResponse handle(const service::HttpRequest& request);

    /// All operations that handle() knows.
    std::vector<service::Route> routes() const { return router_.routes(); }

    // --- For the groups of routes (gateway_routes.h) -----------------------------------------

    const machine::RunRoot& root() const { return root_; }
    /// Where mediators are found: as root(), that of the environment when this was made.
    const std::string& mediators() const { return mediators_; }
    Duration patience() const { return options_.patience; }
    const std::vector<std::string>& pci_ids_files() const { return options_.pci_ids; }
    service::ProcessContext& process() { return process_; }
    GatewayEvents& events() { return events_; }

    /// Errors: 404 unknown_machine with the nearest that run.
    service::ApiResult<FoundMachine> find(const std::string& name) const;

    /// Asks all at once. Answers in their order.
    std::vector<HostAnswer> ask(const std::vector<HostQuestion>& questions) const;

    /// The same question for all sockets.
    std::vector<HostAnswer> ask(const std::vector<std::string>& sockets, const std::string& method,
                                const std::string& target, const std::string& body = "") const;

    /// The answer of the device host that has `device`, for a request of the path
    /// "/v1/devices/{device}" + `rest` with the method, query and body of `request`. 404
    /// unknown_device with the nearest of all hosts, 503 unreachable if one that may have it does
    /// not answer.
    service::HttpResponse forward(const FoundMachine& machine, const std::string& device,
                                  const std::string& rest,
                                  const service::HttpRequest& request) const;

private:
    Gateway(machine::RunRoot root, Options options);
    std::vector<EventSource> event_sources() const;
    Duration patience_for(const std::string& target) const;

    const machine::RunRoot root_;
    const std::string mediators_;
    const Options options_;
    service::ProcessContext process_{""};
    GatewayEvents events_;
    service::Router router_;
};

/// The query of a request, encoded again: "" or "?a=b&...".
std::string encoded_query(const service::HttpRequest& request);

/// The error that a process answered with, as ours.
service::ApiError error_of(const HostAnswer& answer);

}  // namespace mimic::gateway
