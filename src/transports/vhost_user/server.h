// SPDX-License-Identifier: Apache-2.0
// Server: one virtio device on one UNIX socket, for one front-end at a time, over and over.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/socket_acceptor.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "vhost_user/session.h"
#include "virtio/device.h"

namespace mimic::vhost_user {

struct ServerOptions {
    std::string socket_path;
    Session::Options session;
};

/// Serves `device`. Thread-bound to `loop`: create and destroy it there (LoopPool::run_on()), or
/// before and after the loop runs.
///
/// A second front-end is turned away while one is connected. When one goes, its memory is unmapped
/// and the device is reset; then the next one may come.
class Server final : private SocketAcceptor::Owner, private Session::Owner {
public:
    /// `loop` and `device` are borrowed and outlive the server. Errors: those of
    /// SocketAcceptor::create().
    static Result<std::unique_ptr<Server>> create(EventLoop& loop, virtio::Device& device,
                                                  ServerOptions options);
    ~Server();

    /// False once the last client's descriptors and memory are given back, too.
    bool connected() const { return session_ != nullptr || dead_ != nullptr; }
    const Counters& counters() const { return counters_; }
    const std::string& socket_path() const { return acceptor_->path(); }

private:
    Server(EventLoop& loop, virtio::Device& device, ServerOptions options);

    void on_client(UniqueFd socket) override;
    void on_accept_failed(const Error& error) override;
    void on_session_closed() override;
    log::RateLimit& log_limit(Complaint about) override {
        return log_limits_[static_cast<size_t>(about)];
    }
    void say(log::Level level, Complaint about, std::string_view what);

    EventLoop& loop_;
    virtio::Device& device_;
    const ServerOptions options_;
    Counters counters_;
    std::array<log::RateLimit, static_cast<size_t>(Complaint::kCount)> log_limits_;
    std::unique_ptr<SocketAcceptor> acceptor_;
    std::unique_ptr<Session> session_;
    std::unique_ptr<Session> dead_;  // closed inside one of its own calls; freed by `burial_`
    Timer burial_;
    ThreadBound thread_;
};

}  // namespace mimic::vhost_user
