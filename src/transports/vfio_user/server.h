// SPDX-License-Identifier: Apache-2.0
// Server: one PCI function on one UNIX socket, for one client at a time, over and over. The entry
// point of the library: a program makes an EventLoop (or a LoopPool), its functions, and one Server
// each.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/socket_acceptor.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "pci/function/function.h"
#include "vfio_user/session.h"

namespace mimic::vfio_user {

/// State that the servers of one loop share: the receive buffer, so that 1,000 idle devices need
/// one. Thread-bound.
struct LoopContext {
    explicit LoopContext(EventLoop& l) : loop(l) {}
    EventLoop& loop;
    ReceiveBuffer buffer;
};

struct ServerOptions {
    std::string socket_path;
    Session::Options session;
};

/// Serves `function`. Thread-bound to the context's loop: create and destroy it there
/// (LoopPool::run_on()), or before and after the loop runs.
///
/// A second client is turned away while one is connected. When a client goes, its memory is
/// unmapped, its interrupts are dropped and the function is reset; then the next one may come.
class Server final : private SocketAcceptor::Owner, private Session::Owner {
public:
    /// `context` and `function` are borrowed and outlive the server. Errors: those of
    /// SocketAcceptor::create().
    static Result<std::unique_ptr<Server>> create(LoopContext& context, pci::Function& function,
                                                  ServerOptions options);
    ~Server();

    /// False once the last client's descriptors and memory are given back, too.
    bool connected() const { return session_ != nullptr || dead_ != nullptr; }
    const Counters& counters() const { return counters_; }
    const std::string& socket_path() const { return acceptor_->path(); }

private:
    Server(LoopContext& context, pci::Function& function, ServerOptions options);

    void on_client(UniqueFd socket) override;
    void on_accept_failed(const Error& error) override;
    void on_session_closed() override;
    log::RateLimit& log_limit(Complaint about) override {
        return log_limits_[static_cast<size_t>(about)];
    }

    LoopContext& context_;
    pci::Function& function_;
    ServerOptions options_;
    Counters counters_;
    std::array<log::RateLimit, static_cast<size_t>(Complaint::kCount)> log_limits_;
    std::unique_ptr<SocketAcceptor> acceptor_;
    std::unique_ptr<Session> session_;
    std::unique_ptr<Session> dead_;  // closed inside one of its own calls; freed by `burial_`
    Timer burial_;
    ThreadBound thread_;
};

}  // namespace mimic::vfio_user
