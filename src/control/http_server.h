// SPDX-License-Identifier: Apache-2.0
// HttpServer: HTTP/1.1 on a UNIX socket, for processes that are looked at and controlled by tools
// of the same user. libmicrohttpd parses; this bounds what a client may send, hold and take.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unix_socket.h"
#include "control/http.h"

struct MHD_Daemon;

namespace mimic::control {

/// Serves until it is destroyed. Create and destroy it on one thread. The handler runs on a thread
/// of the server, one call at a time, so a handler that waits holds up other clients but no one
/// else.
class HttpServer {
public:
    using Handler = std::function<HttpResponse(const HttpRequest& request)>;

    /// Listens at `path` with mode 0600, for clients of our user and of root; others get 403. What
    /// is wrong before a handler could see it is answered by `refuse`(status, code, sentence).
    /// Errors: those of UnixListener::listen(), and resource_unavailable_try_again if no thread can
    /// be made.
    using Refusal = std::function<HttpResponse(int status, const char* code, const char* sentence)>;
    static Result<std::unique_ptr<HttpServer>> create(const std::string& path, Handler handler,
                                                      Refusal refuse);

    /// Waits for the handler that runs, ends all connections, removes the socket file.
    ~HttpServer();

    const std::string& path() const { return listener_.path(); }

private:
    friend struct HttpCallbacks;

    HttpServer(UnixListener listener, Handler handler, Refusal refuse);

    UnixListener listener_;
    Handler handler_;
    Refusal refuse_;
    MHD_Daemon* daemon_ = nullptr;
};

}  // namespace mimic::control
