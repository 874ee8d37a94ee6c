// SPDX-License-Identifier: Apache-2.0
// A request and an answer of HTTP, apart from how they travel.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/task_runner.h"

namespace mimic::service {

/// A request whose body has arrived. `path` is percent-decoded and has no query.
struct HttpRequest {
    std::string method;
    std::string path;
    std::string content_type;
    std::string body;
    std::multimap<std::string, std::string> query{};  // decoded, at most kMaxHttpQuery parameters

    // Headers that somebody looks at; empty: not there.
    std::string host{};
    std::string authorization{};
    std::string last_event_id{};
    std::string if_none_match{};
    std::string accept{};
};

/// The body of an answer that goes on until somebody ends it. Thread-safe.
class HttpStream {
public:
    virtual ~HttpStream() = default;

    enum class Next { kData, kWait, kEnd };

    /// kData: `chunk` is what comes next, not empty. kWait: nothing is there now. kEnd: nothing
    /// will be any more. Never waits.
    virtual Next read(std::string& chunk) = 0;

    /// `wake` is called, on any thread, when a read() that said kWait may say something else; it
    /// does not wait. Empty: nobody is.
    virtual void set_waker(std::function<void()> wake) = 0;
};

struct HttpResponse {
    int status = 200;
    std::string body;
    std::string content_type = "application/json";
    std::string allow;                     // of a 405: the methods that there are; else empty
    std::string etag{};                    // empty: none, and nobody may keep the answer
    std::shared_ptr<HttpStream> stream{};  // follows `body`, if there is one
};

inline constexpr size_t kMaxHttpBody = size_t{64} << 10;
inline constexpr size_t kMaxHttpHead = size_t{32} << 10;  // to parse request line and headers
inline constexpr size_t kMaxHttpQuery = 256;         // parameters; more would not fit kMaxHttpHead
inline constexpr unsigned kMaxHttpConnections = 32;  // of peers that have shown that they may
inline constexpr unsigned kMaxHttpStreams = 8;       // so that streams leave room for requests

/// What peers get besides: places and time. The numbers are arbitrary.
struct HttpLimits {
    /// Connections of peers whose first allowed request is not there yet. One more, and the oldest
    /// of them is closed: they do not take the places of the others. Large enough that a flood of
    /// connections has not pushed out a new one before its request, sent at once, is read.
    unsigned strangers = 256;
    /// For the head of a request to be whole, from the connection on or after the last answer.
    /// However often bytes come.
    Duration head = std::chrono::seconds(10);
    /// For its body, from the head on.
    Duration body = std::chrono::seconds(30);
    /// Without a byte in either direction.
    unsigned idle_seconds = 10;
};

}  // namespace mimic::service
