// SPDX-License-Identifier: Apache-2.0
// An HTTP server for tests that may misbehave in any way: the test writes the bytes of the answer.
// On a port of 127.0.0.1, plain or with TLS, a thread a connection.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "kube/testing/certificates.h"

namespace mimic::kube::testing {

struct PeerRequest {
    std::string method;
    std::string path;                            // with its query, as it came
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
    int connection = 0;  // the first is 1
    std::string user;    // common name of the client's certificate
};

/// Where the answer goes. Lives for one connection, on its thread.
class PeerReply {
public:
    virtual ~PeerReply() = default;

    /// False if the client has gone.
    virtual bool write(std::string_view bytes) = 0;
    /// Waits until the client has closed, or the server ends.
    virtual void wait_closed() = 0;
    /// True if the client has closed, or sends something that nobody asked for.
    virtual bool closed() = 0;

    /// A whole answer; the connection is kept. `headers`: lines that end with CR LF.
    void answer(int status, std::string_view body, std::string_view headers = {});
    /// Ends the connection once the handler returns.
    void close() { keep = false; }

    bool keep = true;
};

class HttpPeer {
public:
    using Handler = std::function<void(const PeerRequest&, PeerReply&)>;

    struct Tls {
        KeyPair server;
        std::string client_authority{};  // PEM; if set, clients must show a certificate of it
    };

    /// `handler` runs on the threads of connections, several at once.
    explicit HttpPeer(Handler handler, std::unique_ptr<Tls> tls = nullptr);
    ~HttpPeer();

    /// "https://127.0.0.1:PORT".
    std::string address() const;
    unsigned short port() const { return port_; }
    /// How many have connected so far.
    int connections() const { return connections_; }
    /// Closes all connections that there are; new ones are welcome.
    void drop_connections();
    /// True once the server ends; handlers that wait should look.
    bool ending() const { return ending_; }

private:
    struct Context;
    void accept_loop();
    void serve(UniqueFd fd, int number);

    const Handler handler_;
    const std::unique_ptr<Tls> tls_;
    std::unique_ptr<Context> context_;
    UniqueFd listener_;
    unsigned short port_ = 0;
    std::atomic<bool> ending_{false};
    std::atomic<int> connections_{0};
    std::mutex mutex_;
    std::vector<int> open_;             // under mutex_
    std::vector<std::thread> threads_;  // of connections; under mutex_
    std::thread accepting_;
};

}  // namespace mimic::kube::testing
