// SPDX-License-Identifier: Apache-2.0
// Server: the mediator's sockets. It knows who speaks and how (compute/wire.h); what becomes of a
// request is the engine's business.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "compute/vgpu_protocol.h"
#include "mediator/config/config.h"
#include "mediator/engine/engine.h"

namespace mimic::mediator {

struct ServerOptions {
    std::string vm_sockets;      // template with <vm_id>, for the original's packet; empty: none
    std::vector<VmId> vms;       // for each a socket by that template
    std::string socket;          // framed protocols v1, v2 and v3; empty: none
    std::vector<uint32_t> uids;  // all that the engine may admit; where others than our own are
                                 // among them, sockets have mode 0666, else 0600
    uint32_t max_connections = 256;
    Duration message_timeout = std::chrono::seconds(10);  // a message that was begun, and the first
                                                          // one of a framed connection
    uint32_t max_in_flight = 257;             // requests of a connection that are not answered (v3)
    uint32_t max_payload = VGPU_MAX_MESSAGE;  // inline bytes of a frame
    uint32_t max_shared_bytes = 2 * VGPU_MAX_MESSAGE;  // of a connection's memfd
    uint64_t shared_total = uint64_t{1} << 30;         // of all; who comes later gets none
    uint64_t held_total = uint64_t{1} << 30;  // bytes of requests that wait and of answers that
                                              // nobody has read, of all connections: above it only
                                              // idle connections are read
};

/// What of a configuration concerns the sockets; the rest as above.
ServerOptions server_options(const Config& config);

struct ServerCounters {
    uint64_t connections = 0;  // ever
    uint64_t open = 0;         // now
    uint64_t held_bytes = 0;   // now: of requests that wait, and of answers that were not read
    uint64_t refused = 0;      // by limit of connections
    uint64_t evicted = 0;      // to make place for a user who had fewer
    uint64_t denied = 0;       // by the engine's admission
    uint64_t requests = 0;
    uint64_t answers = 0;
    uint64_t dropped = 0;    // requests whose connection ended before they were answered
    uint64_t malformed = 0;  // messages
    uint64_t slow = 0;       // connections ended: a message did not come in whole in time
    uint64_t unread = 0;     // connections ended: their answers were not read in time
};

/// Thread-bound to the loop. Destroyed before the engine; its connections end then, and v3 clients
/// come back to the next one.
class Server {
public:
    virtual ~Server() = default;

    /// Listens on all sockets; `engine` and `loop` are borrowed. Errors: those of
    /// UnixListener::listen(), a template without <vm_id>.
    static Result<std::unique_ptr<Server>> listen(ServerOptions options, Engine& engine,
                                                  EventLoop& loop);

    /// New options, without losing a connection. Sockets that are named no longer end; new ones
    /// begin. On an error (of a new socket) all is as it was.
    virtual Status reload(ServerOptions options) = 0;

    virtual ServerCounters counters() const = 0;
};

}  // namespace mimic::mediator
