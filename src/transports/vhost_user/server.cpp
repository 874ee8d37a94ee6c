// SPDX-License-Identifier: Apache-2.0
#include "vhost_user/server.h"

#include <utility>

#include "memory/sigbus_guard.h"

namespace mimic::vhost_user {

Result<std::unique_ptr<Server>> Server::create(EventLoop& loop, virtio::Device& device,
                                               ServerOptions options) {
    MIMIC_TRY(install_sigbus_guard());
    const std::string path = options.socket_path;
    std::unique_ptr<Server> server(new Server(loop, device, std::move(options)));
    SocketAcceptor::Owner& owner = *server;  // the base is private, and create() is not a friend
    MIMIC_ASSIGN_OR_RETURN(server->acceptor_, SocketAcceptor::create(loop, path, owner));
    return server;
}

Server::Server(EventLoop& loop, virtio::Device& device, ServerOptions options)
    : loop_(loop), device_(device), options_(std::move(options)) {}

Server::~Server() {
    thread_.check();
}

void Server::on_client(UniqueFd socket) {
    thread_.check();
    // The old front-end's EOF and the new one's connection may be ready in the same batch
    // (device_del, device_add).
    if (session_ != nullptr) session_->close_if_hung_up();
    if (session_ != nullptr)
        return say(log::Level::kWarn, Complaint::kTurnedAway, "turned a second front-end away");
    Session::Owner& owner = *this;  // the base is private, and make_unique is not a friend
    session_ = std::make_unique<Session>(loop_, device_, std::move(socket), counters_, owner,
                                         options_.session);
    if (auto ok = session_->start(); !ok) {
        say(log::Level::kError, Complaint::kNotTaken, ok.error().message());
        session_.reset();
    }
}

void Server::on_accept_failed(const Error& error) {
    say(log::Level::kError, Complaint::kNotTaken, error.message());
}

void Server::say(log::Level level, Complaint about, std::string_view what) {
    uint64_t suppressed = 0;
    if (level < log::level() || !log_limit(about).allow(loop_.now(), suppressed)) return;
    log::write(level, "vhost-user",
               fmt::format("{}: {}{}", device_.name(), what, log::more_like_it(suppressed)));
}

void Server::on_session_closed() {
    // Called from inside the session: it dies later. At most one waits, since the next can only end
    // in a later call.
    dead_ = std::move(session_);
    burial_.post(loop_, [this] { dead_.reset(); });
}

}  // namespace mimic::vhost_user
