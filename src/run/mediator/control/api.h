// SPDX-License-Identifier: Apache-2.0
// MediatorApi: the control API of a mediator. What its routes take and give is
// docs/openapi/control-v1.json, whose paths served by "mediator" a test compares with these.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "mediator/control/state_json.h"
#include "service/http_server.h"
#include "service/process_context.h"
#include "service/router.h"

namespace mimic::mediator {

/// What the API does things with. All borrowed, and outlives it.
struct ApiParts {
    Engine* engine = nullptr;  // bound to `loop`
    TaskRunner* loop = nullptr;
    service::ProcessContext* process = nullptr;  // its machine is the mediator's name
    AuditLog* audit = nullptr;
    std::function<ServerCounters()> sockets;  // on the loop

    std::string config_file;                      // empty: there is none
    std::function<Result<Config>()> read_config;  // on any thread
    std::function<Status(const Config&)> apply;   // on the loop: a configuration anew
    std::function<void(bool on)> drain;           // on the loop
    std::function<bool()> drained;                // on the loop
    Duration deadline = std::chrono::seconds(2);  // arbitrary; a turn takes microseconds
};

/// Answers requests. handle() is called by one thread at a time, which is not the loop's.
class MediatorApi {
public:
    explicit MediatorApi(ApiParts parts);
    MediatorApi(const MediatorApi&) = delete;
    MediatorApi& operator=(const MediatorApi&) = delete;

    service::HttpResponse handle(const service::HttpRequest& request) {
        return router_.handle(request);
    }

    /// All operations that handle() knows.
    std::vector<service::Route> routes() const { return router_.routes(); }

private:
    using Answer = service::HttpResponse;
    using Request = service::HttpRequest;

    void add_vm_routes();
    void add_process_operations();
    // Runs `work` on the loop and answers 503 if it does not get there.
    Answer on_loop_or_busy(std::function<Answer()> work) const;
    Answer with_snapshot(const std::function<Answer(const Snapshot&)>& make) const;
    Answer change_vm(const std::string& name, const Request& request);
    Answer quarantine(const std::string& name, const Request& request);
    Answer reload();
    Answer drain(const Request& request);
    // Both on the loop.
    Snapshot take_snapshot() const;
    Answer vm_now(VmId vm) const;

    const ApiParts parts_;
    service::Router router_;
};

/// The API on a socket, for our user and root.
class MediatorControl {
public:
    /// Errors: those of HttpServer::create().
    static Result<std::unique_ptr<MediatorControl>> create(const std::string& socket_path,
                                                           ApiParts parts);

private:
    explicit MediatorControl(ApiParts parts) : api_(std::move(parts)) {}

    MediatorApi api_;
    std::unique_ptr<service::HttpServer> http_;  // behind api_: ends first
};

}  // namespace mimic::mediator
