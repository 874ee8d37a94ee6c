// SPDX-License-Identifier: Apache-2.0
// ServerCore: server.h's server. Private to this folder.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "base/socket_acceptor.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "mediator/server/connection.h"
#include "mediator/server/server.h"

namespace mimic::mediator {

class ServerCore final : public Server {
public:
    ServerCore(ServerOptions options, Engine& engine, EventLoop& loop);
    ~ServerCore() override;

    Status reload(ServerOptions options) override;
    ServerCounters counters() const override;

    // For its connections.
    EventLoop& loop() { return loop_; }
    Engine& engine() { return engine_; }
    const ServerOptions& options() const { return options_; }
    ServerCounters& count() { return counters_; }
    log::RateLimit& malformed_log() { return malformed_log_; }
    uint64_t held() const { return held_; }
    /// A connection holds so many bytes now, not so many any more.
    void note_held(uint64_t before, uint64_t now);
    uint64_t& shared() { return shared_; }
    /// Whether one more connection may be this VM's.
    bool has_place_for(VmId vm) const;
    /// Calls turn_is_over() of the connection in a later turn.
    void go_on_soon(Connection& connection);
    void watch_time();
    void lost(Connection& connection);

private:
    struct Listener final : SocketAcceptor::Owner {
        Listener(ServerCore& core, std::optional<VmId> of) : server(core), vm(of) {}
        void on_client(UniqueFd socket) override { server.accepted(std::move(socket), vm); }
        void on_accept_failed(const Error& error) override { server.accept_failed(error); }

        ServerCore& server;
        const std::optional<VmId> vm;
        std::unique_ptr<SocketAcceptor> acceptor;
    };
    using Listeners = std::map<std::string, std::unique_ptr<Listener>>;  // by path

    void accepted(UniqueFd socket, std::optional<VmId> vm);
    void accept_failed(const Error& error);
    bool make_place(uint32_t uid);
    void go_on();
    void time_passed();

    ServerOptions options_;
    Engine& engine_;
    EventLoop& loop_;
    ThreadBound thread_;
    ServerCounters counters_;
    uint64_t last_id_ = 0;
    uint64_t held_ = 0;    // bytes of requests and answers, and promised to answers
    uint64_t shared_ = 0;  // bytes of memfds
    std::map<uint64_t, std::unique_ptr<Connection>> connections_;  // by age
    std::vector<std::unique_ptr<Connection>> gone_;                // may be on the stack still
    std::vector<uint64_t> going_on_;                               // those with goes_on
    Listeners listeners_;
    Timer go_on_timer_;
    Timer reap_timer_;
    Timer patience_timer_;
    log::RateLimit malformed_log_;
    log::RateLimit accept_log_;
    log::RateLimit full_log_;
};

}  // namespace mimic::mediator
