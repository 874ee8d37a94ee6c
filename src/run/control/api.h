// SPDX-License-Identifier: Apache-2.0
// ControlApi: the control API of a device host, version 1. What its routes (routes.h) take and give
// is docs/openapi/control-v1.json, which is also served; a test compares the two.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/openapi.h"
#include "control/target.h"
#include "control/targets.h"
#include "service/http_server.h"
#include "service/process_context.h"
#include "service/router.h"

namespace mimic::control {

/// Answers requests. handle() is called by one thread at a time, which is none of the loops of the
/// groups.
class ControlApi {
public:
    /// `groups` and `deadline` as for Targets. `process` is borrowed; nullptr: one of its own.
    ControlApi(std::vector<TargetGroup*> groups, Duration deadline,
               service::ProcessContext* process = nullptr);
    ControlApi(const ControlApi&) = delete;
    ControlApi& operator=(const ControlApi&) = delete;

    service::HttpResponse handle(const service::HttpRequest& request) {
        return router_.handle(request);
    }

    /// All operations that handle() knows.
    std::vector<service::Route> routes() const { return router_.routes(); }

private:
    std::unique_ptr<service::ProcessContext> own_process_;  // if none was given
    Targets targets_;
    service::Router router_;  // its handlers use targets_
};

/// The API of one process, served on a socket.
class ControlServer {
public:
    struct Options {
        std::string socket_path;
        Duration deadline = std::chrono::seconds(2);  // arbitrary; a loop turn takes microseconds
        service::ProcessContext* process = nullptr;   // borrowed; nullptr: one of its own
    };

    /// `groups` as for ControlApi. Errors: those of HttpServer::create().
    static Result<std::unique_ptr<ControlServer>> create(const Options& options,
                                                         std::vector<TargetGroup*> groups);

private:
    ControlServer(std::vector<TargetGroup*> groups, Duration deadline,
                  service::ProcessContext* process)
        : api_(std::move(groups), deadline, process) {}

    ControlApi api_;
    std::unique_ptr<service::HttpServer> http_;  // behind api_: ends first
};

}  // namespace mimic::control
