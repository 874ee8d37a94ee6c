// SPDX-License-Identifier: Apache-2.0
// A request and an answer of HTTP, apart from how they travel.
#pragma once

#include <map>
#include <memory>
#include <string>

namespace mimic::control {

/// A request whose body has arrived. `path` is percent-decoded and has no query.
struct HttpRequest {
    std::string method;
    std::string path;
    std::string content_type;
    std::string body;
    std::multimap<std::string, std::string> query{};  // decoded, at most kMaxHttpQuery parameters
};

struct HttpResponse {
    int status = 200;
    std::string body;
    std::string content_type = "application/json";
    std::string allow;  // of a 405: the methods that there are; else empty
};

inline constexpr size_t kMaxHttpBody = 64 * 1024;
inline constexpr size_t kMaxHttpHead = 32 * 1024;    // request line and headers, and their parsing
inline constexpr size_t kMaxHttpQuery = 256;         // parameters; more would not fit kMaxHttpHead
inline constexpr unsigned kMaxHttpConnections = 32;  // arbitrary; more wait
inline constexpr unsigned kHttpIdleSeconds = 10;     // arbitrary

}  // namespace mimic::control
