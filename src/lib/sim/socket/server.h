// SPDX-License-Identifier: Apache-2.0
// The other end of the socket: who answers requests. For mimic-sim, for a SystemC model, for a
// user's own program. Every request is answered, short and malformed ones too; clients come and go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "sim/sst_protocol.h"

namespace mimic::sim {

/// What an answer goes back by. Kept by whoever has the request.
struct Ticket {
    uint64_t client = 0;      // counts connections, from 1
    uint64_t request_id = 0;  // the client's own
    uint64_t user_data = 0;
};

/// A request as it came. Valid during the call that brings it, whose own it is to change.
struct Asked {
    Ticket ticket;
    SSTRequest& request;
    uint64_t submitted = 0;  // ns of the client's clock, from a client that sends times; else 0
};

struct ServerOptions {
    std::string path;
    size_t max_clients = 64;      // one more is closed at once
    size_t max_in_flight = 1024;  // of one client; it is not read from beyond
    /// How long a request may take to come in whole, and a client not to read its answers. Then a
    /// begun request is answered INVALID and the client closed: nobody knows where its next begins.
    Duration patience = std::chrono::seconds(5);
    bool pipelined = true;  // accept SST_FLAG_PIPELINE; else one in flight a client
    bool timed = true;      // accept SST_FLAG_TIMED
};

struct ServerCounters {
    uint64_t connections = 0;
    uint64_t requests = 0;
    uint64_t answers = 0;
    uint64_t malformed = 0;  // short ones
    uint64_t refused = 0;    // clients beyond max_clients
    uint64_t dropped = 0;    // answers whose client has gone
    size_t clients = 0;      // now
};

/// Who answers. On the server's loop. May answer within on_request() or later.
class ServerHandler {
public:
    virtual void on_connected(uint64_t client) = 0;
    virtual void on_request(const Asked& asked) = 0;
    /// Its requests need no answers any more; those that come are dropped.
    virtual void on_disconnected(uint64_t client) = 0;

protected:
    ~ServerHandler() = default;
};

/// Serves one socket on an event loop. Thread-bound to it; not to be destroyed from its handler.
class Server {
public:
    /// Listens (mode 0600, a stale socket file is replaced). Borrows both. Errors: those of
    /// UnixListener::listen().
    static Result<std::unique_ptr<Server>> listen(const ServerOptions& options, EventLoop& loop,
                                                  ServerHandler& handler);
    virtual ~Server() = default;

    /// Answers the request of `ticket`, once each. Sets the ids and `reserved` of the response;
    /// `timing` goes to clients that know it. The bytes are copied. Answers of one turn of the
    /// loop leave with one system call.
    virtual void answer(const Ticket& ticket, const SSTResponse& response,
                        const sst_timing& timing) = 0;

    virtual ServerCounters counters() const = 0;
};

/// A server for a simulation that must not wait nor call the system each cycle: a thread of its
/// own talks to clients; the simulation's thread looks at a word of memory.
class PolledServer {
public:
    struct Request {
        Ticket ticket;
        SSTRequest request;
        uint64_t submitted = 0;
    };

    /// Errors: those of Server::listen(), EventLoop::create() and EAGAIN for a thread.
    static Result<std::unique_ptr<PolledServer>> listen(const ServerOptions& options);
    virtual ~PolledServer() = default;

    /// The next request, if there is one: one load where there is none. On one thread, the
    /// simulation's, as the rest.
    virtual bool poll(Request& request) = 0;

    /// Sleeps until there is a request, for at most `limit`. Whether there is one.
    virtual bool wait(Duration limit) = 0;

    virtual void answer(const Ticket& ticket, const SSTResponse& response,
                        const sst_timing& timing) = 0;

    /// Connected clients now, and connections since the start: a model may end with its last.
    virtual size_t clients() const = 0;
    virtual uint64_t connections() const = 0;
};

}  // namespace mimic::sim
