// SPDX-License-Identifier: Apache-2.0
// HttpServer: HTTP/1.1 on a UNIX socket, for processes that are looked at and controlled by tools
// of the same user, or on a loopback port for those that hold a token. libmicrohttpd parses; this
// bounds what a client may send, hold and take.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unix_socket.h"
#include "service/http.h"

struct MHD_Daemon;

namespace mimic::service {

/// Requests that were answered, by status. Thread-safe.
class HttpCounters {
public:
    void count(int status);
    std::map<int, uint64_t> by_status() const;

private:
    mutable std::mutex mutex_;
    std::map<int, uint64_t> by_status_;
};

/// Serves until it is destroyed. Create and destroy it on one thread. The handler runs on the
/// threads of the server, by default one call at a time, so a handler that waits holds up other
/// clients but no one else. Answers that are streams occupy no thread.
class HttpServer {
public:
    using Handler = std::function<HttpResponse(const HttpRequest& request)>;

    /// Answers what is wrong before a handler could see it.
    using Refusal = std::function<HttpResponse(int status, const char* code, const char* sentence)>;

    /// Sees the head of a request before its body is read. An answer refuses it.
    using Guard = std::function<std::optional<HttpResponse>(const HttpRequest& head)>;

    struct Options {
        Handler handler;
        Refusal refuse;
        Guard guard{};
        unsigned workers = 1;  // threads; more than 1: the handler is called by all of them
        std::string policy{};  // Content-Security-Policy of every answer; empty: none
        HttpCounters* counters = nullptr;  // counts requests there; borrowed; nullptr: nowhere
        /// Whether a request that the guard let in shows that its peer may be here; a guard may let
        /// strangers see something, too. Empty: whatever is let in does.
        std::function<bool(const HttpRequest& head)> is_proof{};
        HttpLimits limits{};
    };

    /// Listens at `path` with mode 0600, for clients of our user and of root; others get 403.
    /// Errors: those of UnixListener::listen(), and resource_unavailable_try_again if no thread can
    /// be made.
    static Result<std::unique_ptr<HttpServer>> create(const std::string& path, Options options);

    /// Listens at TCP port `port` (0: one that is free) of 127.0.0.1 and nothing else. Whoever can
    /// reach that is let in, so `options.guard` is not empty. Errors: those of bind(2), and as
    /// above.
    static Result<std::unique_ptr<HttpServer>> create_tcp(uint16_t port, Options options);

    /// Listens at TCP port `port` (0: one that is free) of a numeric `address`, IPv4 or IPv6; "" is
    /// every address of the machine. For what anybody may read, or a guard that lets nobody in who
    /// has no token. Errors: invalid_argument for what is no address; as above.
    static Result<std::unique_ptr<HttpServer>> create_at(const std::string& address, uint16_t port,
                                                         Options options);

    /// Waits for handlers that run, ends all connections and streams, removes the socket file.
    ~HttpServer();

    /// The port that create_tcp() or create_at() listens at; else 0.
    uint16_t port() const { return port_; }

private:
    friend struct HttpCallbacks;
    class Peers;
    class Streams;

    explicit HttpServer(Options options);
    Status start(int listener);

    const Options options_;
    std::optional<UnixListener> listener_;  // of create()
    uint16_t port_ = 0;
    std::unique_ptr<Peers> peers_;
    std::unique_ptr<Streams> streams_;
    MHD_Daemon* daemon_ = nullptr;
};

}  // namespace mimic::service
