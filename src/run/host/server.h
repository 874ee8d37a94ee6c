// SPDX-License-Identifier: Apache-2.0
// Server: PCI functions in one process, each on a vfio-user socket of its own, and virtio devices
// on vhost-user sockets, sharded over the loops of a pool, with the control API of all of them:
// devices, registers, faults, traces, events and metrics (docs/openapi/control-v1.json). `mimic
// serve` is one; a program of your own may be another (docs/add-a-device.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "host/endpoint.h"
#include "trace/file.h"
#include "vfio_user/session.h"

namespace mimic::host {

/// How long a server's loop looks for the next request before it sleeps. About what a sleeping
/// thread needs to wake on another CPU (bench/README.md): waiting longer could never pay.
inline constexpr Duration kDefaultSpin = std::chrono::microseconds(50);

/// Serves until it is destroyed. Create and destroy it on one thread that is none of its loops.
class Server {
public:
    struct Options {
        unsigned threads = 1;          // event loops; 0 counts as 1
        Duration spin = kDefaultSpin;  // EventLoop::set_spin()

        vfio_user::Session::Options session{};  // what every client gets; of vhost-user, its times

        std::string machine{};         // its name, for events; empty: none
        std::string control_socket{};  // the control API; empty: none
        std::string crash_note{};      // file that host-crash makes before it kills; empty: none

        uint64_t trace_bytes = 0;  // of the trace ring of each loop; 0: none until asked for

        std::string dump_dir{};  // gets the rings when something goes wrong; empty: nothing does
        trace::TraceHeader dump_header{};  // of those files
    };

    /// Starts the loops and serves all endpoints and the control API. Errors: those of
    /// vfio_user::Server::create() and vhost_user::Server::create(), for the first endpoint that
    /// fails, and of service::HttpServer::create(); then none is served and no socket file is left.
    static Result<std::unique_ptr<Server>> create(std::vector<Endpoint> endpoints,
                                                  const Options& options);

    /// The same for one function. The control API calls it by function->name().
    static Result<std::unique_ptr<Server>> create(std::unique_ptr<pci::Function> function,
                                                  const std::string& socket_path,
                                                  const Options& options);

    /// Stops serving; clients see their connection end. Socket files are removed.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Endpoints.
    size_t size() const;

private:
    struct Shard;
    struct State;
    explicit Server(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace mimic::host
