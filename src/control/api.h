// SPDX-License-Identifier: Apache-2.0
// ControlApi: the control API of a device host, version 1. What its routes (routes.h) take and give
// is docs/openapi/control-v1.json, which is also served; a test compares the two.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/http_server.h"
#include "control/router.h"
#include "control/target.h"
#include "control/targets.h"

namespace mimic::control {

/// The OpenAPI 3 document, JSON. Immutable.
std::string_view openapi_document();

/// Answers requests. handle() is called by one thread at a time, which is none of the loops of the
/// groups.
class ControlApi {
public:
    /// As for Targets.
    ControlApi(std::vector<TargetGroup*> groups, Duration deadline);
    ControlApi(const ControlApi&) = delete;
    ControlApi& operator=(const ControlApi&) = delete;

    HttpResponse handle(const HttpRequest& request) { return router_.handle(request); }

    /// All operations that handle() knows.
    std::vector<Route> routes() const { return router_.routes(); }

private:
    Targets targets_;
    Router router_;  // its handlers use targets_
};

/// The API of one process, served on a socket.
class ControlServer {
public:
    struct Options {
        std::string socket_path;
        Duration deadline = std::chrono::seconds(2);  // arbitrary; a loop turn takes microseconds
    };

    /// `groups` as for ControlApi. Errors: those of HttpServer::create().
    static Result<std::unique_ptr<ControlServer>> create(Options options,
                                                         std::vector<TargetGroup*> groups);

private:
    ControlServer(std::vector<TargetGroup*> groups, Duration deadline)
        : api_(std::move(groups), deadline) {}

    ControlApi api_;
    std::unique_ptr<HttpServer> http_;  // behind api_: ends first
};

}  // namespace mimic::control
