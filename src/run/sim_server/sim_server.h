// SPDX-License-Identifier: Apache-2.0
// SimServer: built-in simulators, or others, for clients of a socket: QEMUs with Linux SST's
// device, device hosts, programs of a user.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/timer.h"
#include "sim/simulator.h"
#include "sim/socket/server.h"

namespace mimic::sim_server {

/// Makes a simulator on the server's loop.
using MakeSimulator = std::function<Result<std::unique_ptr<sim::Simulator>>(TaskRunner& runner)>;

/// Gives each client a simulator of its own, whose memory, parameters and time begin with the
/// connection and end with it; or one to all (`shared`), which then contend for its units and see
/// one memory. Thread-bound to the loop.
class SimServer final : private sim::ServerHandler {
public:
    /// Borrows the loop. Errors: those of `make`, which is tried once here, and Server::listen().
    static Result<std::unique_ptr<SimServer>> create(const sim::ServerOptions& options, bool shared,
                                                     MakeSimulator make, EventLoop& loop);

    sim::ServerCounters counters() const { return server_->counters(); }

    /// Requests that simulators have and have not answered.
    size_t in_flight() const;

    const std::string& path() const { return path_; }

    /// Simulated time of the shared simulator, or of the client that came last; ps.
    sim::SimTime now() const;

private:
    SimServer(std::string path, MakeSimulator make, EventLoop& loop)
        : path_(std::move(path)), make_(std::move(make)), loop_(loop) {}

    void on_connected(uint64_t client) override;
    void on_request(const sim::Asked& asked) override;
    void on_disconnected(uint64_t client) override;
    sim::Simulator* simulator_of(uint64_t client);

    const std::string path_;
    const MakeSimulator make_;
    EventLoop& loop_;
    uint64_t ids_ = 0;
    std::unique_ptr<sim::Server> server_;
    // Simulators end before the server that their answers go to.
    std::unique_ptr<sim::Simulator> shared_;
    std::unordered_map<uint64_t, std::unique_ptr<sim::Simulator>> own_;
    std::vector<std::unique_ptr<sim::Simulator>> gone_;  // may be on the stack still
    uint64_t last_ = 0;
    Timer reap_;
};

}  // namespace mimic::sim_server
