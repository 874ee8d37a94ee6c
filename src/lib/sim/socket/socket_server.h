// SPDX-License-Identifier: Apache-2.0
// SocketServer: server.h's server. Private to this folder.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "base/unix_socket.h"
#include "sim/socket/server.h"
#include "sim/socket/server_connection.h"

namespace mimic::sim {

class SocketServer final : public Server, private FdHandler {
public:
    SocketServer(ServerOptions options, UnixListener listener, EventLoop& loop,
                 ServerHandler& handler);
    ~SocketServer() override;
    Status start();

    void answer(const Ticket& ticket, const SSTResponse& response,
                const sst_timing& timing) override;
    ServerCounters counters() const override;

    // For its connections.
    EventLoop& loop() { return loop_; }
    ServerHandler& handler() { return handler_; }
    const ServerOptions& options() const { return options_; }
    void took_request() { ++counters_.requests; }
    void took_malformed() { ++counters_.malformed; }
    void gave_answer() { ++counters_.answers; }
    log::RateLimit& malformed_log() { return malformed_log_; }
    /// Sends what the connection has once this turn is over.
    void flush_soon(ServerConnection& connection);
    void watch_time();
    void lost(ServerConnection& connection);

private:
    void on_fd_ready(uint32_t events) override;
    bool accept_one();
    void flush_all();
    void time_passed();

    const ServerOptions options_;
    UnixListener listener_;
    EventLoop& loop_;
    ServerHandler& handler_;
    ThreadBound thread_;
    ServerCounters counters_;
    uint64_t last_id_ = 0;
    std::unordered_map<uint64_t, std::unique_ptr<ServerConnection>> connections_;
    std::vector<std::unique_ptr<ServerConnection>> gone_;  // may be on the stack still
    std::vector<uint64_t> unflushed_;
    Timer flush_timer_;
    Timer reap_timer_;
    Timer patience_timer_;
    Timer accept_timer_;
    log::RateLimit malformed_log_;
    log::RateLimit accept_log_;
};

}  // namespace mimic::sim
