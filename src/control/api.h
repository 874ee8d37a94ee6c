// SPDX-License-Identifier: Apache-2.0
// ControlApi: the routes of the control API, version 1. What they take and give is
// docs/openapi/control-v1.json, which is also served; a test compares the two.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/fault_json.h"
#include "control/http_server.h"
#include "control/target.h"

namespace mimic::control {

/// One operation, as in the OpenAPI document.
struct Route {
    std::string_view method;
    std::string_view path;  // "/v1/devices/{name}"
};

/// The OpenAPI 3 document, JSON. Immutable.
std::string_view openapi_document();

/// Answers requests. handle() is called by one thread at a time, which is none of the loops of the
/// groups.
class ControlApi {
public:
    /// `groups` are borrowed and outlive this; the names in them are unique. A loop that does not
    /// answer within `deadline` is reported as busy.
    ControlApi(std::vector<TargetGroup*> groups, Duration deadline);

    HttpResponse handle(const HttpRequest& request);

    /// All operations that handle() knows.
    static std::vector<Route> routes();

    /// An answer that says what is wrong.
    static HttpResponse refuse(const ApiError& error);

private:
    struct Entry;
    // What is done with a target, on its loop. Owns all that it needs.
    using Work = std::function<HttpResponse(FaultTarget& target)>;

    static std::span<const Entry> entries();

    HttpResponse version(const HttpRequest& request, const std::string& name);
    HttpResponse document(const HttpRequest& request, const std::string& name);
    HttpResponse devices(const HttpRequest& request, const std::string& name);
    HttpResponse device(const HttpRequest& request, const std::string& name);
    HttpResponse faults(const HttpRequest& request, const std::string& name);
    HttpResponse inject(const HttpRequest& request, const std::string& name);
    HttpResponse clear(const HttpRequest& request, const std::string& name);

    HttpResponse on_target(const std::string& name, const Work& work);
    HttpResponse no_such_target(const std::string& name);

    const std::vector<TargetGroup*> groups_;
    const Duration deadline_;
    TargetGroup* last_ = nullptr;  // where the last target was found: tools ask again and again
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
