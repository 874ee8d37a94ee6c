// SPDX-License-Identifier: Apache-2.0
// One HTTP connection to an API server, kept alive between requests: TLS, credentials, limits and
// stopping. Knows nothing of objects (client.h). libcurl carries the bytes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "kube/client.h"

namespace mimic::kube {

struct Request {
    std::string method = "GET";
    std::string path;  // with its query, percent-encoded
    std::string body{};
    std::string_view content_type = "application/json";
    /// If set, gets the body of a 200 as it comes; an error of it ends the request and is returned.
    /// There is no limit in time then but `silence` without a byte, and `longest` in all, which end
    /// it as if the server had.
    std::function<ApiResult<void>(std::string_view)> sink{};
    std::chrono::milliseconds silence{};
    std::chrono::milliseconds longest{};
};

struct Answer {
    int status = 0;
    std::string body;  // empty if a sink took it
    std::optional<std::chrono::milliseconds> retry_after{};
    bool stopped = false;  // the stop token ended it: the rest means nothing
};

/// Thread-bound. Never follows a redirect, never decompresses, uses no proxy; sends credentials
/// over TLS or to this machine only.
class Connection {
public:
    explicit Connection(std::shared_ptr<const ClientConfig> config);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Any answer with a status is a success here. A request ends within a second of a stop.
    ApiResult<Answer> send(const Request& request, const std::stop_token& stop);

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mimic::kube
