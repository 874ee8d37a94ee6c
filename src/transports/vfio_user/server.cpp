// SPDX-License-Identifier: Apache-2.0
#include "vfio_user/server.h"

#include <utility>

#include "memory/sigbus_guard.h"

namespace mimic::vfio_user {

Result<std::unique_ptr<Server>> Server::create(LoopContext& context, pci::Function& function,
                                               ServerOptions options) {
    MIMIC_TRY(install_sigbus_guard());
    const std::string path = options.socket_path;
    std::unique_ptr<Server> server(new Server(context, function, std::move(options)));
    SocketAcceptor::Owner& owner = *server;  // the base is private, and create() is not a friend
    MIMIC_ASSIGN_OR_RETURN(server->acceptor_, SocketAcceptor::create(context.loop, path, owner));
    return server;
}

Server::Server(LoopContext& context, pci::Function& function, ServerOptions options)
    : context_(context), function_(function), options_(std::move(options)) {}

Server::~Server() {
    thread_.check();
}

void Server::on_accept_failed(const Error& error) {
    uint64_t suppressed = 0;
    if (log_limit(Complaint::kNotTaken).allow(context_.loop.now(), suppressed))
        MIMIC_LOG("vfio-user", kError, "{}: {}{}", function_.name(), error.message(),
                  log::more_like_it(suppressed));
}

void Server::on_client(UniqueFd socket) {
    thread_.check();
    // The old client's EOF and the new one's connection may be ready in the same batch (device_del,
    // device_add).
    if (session_ != nullptr) session_->close_if_hung_up();
    if (session_ != nullptr) {
        uint64_t suppressed = 0;
        if (log_limit(Complaint::kTurnedAway).allow(context_.loop.now(), suppressed))
            MIMIC_LOG("vfio-user", kWarn, "{}: turned a second client away{}", function_.name(),
                      log::more_like_it(suppressed));
        return;
    }
    Session::Owner& owner = *this;  // the base is private, and make_unique is not a friend
    session_ = std::make_unique<Session>(context_.loop, function_, std::move(socket),
                                         context_.buffer, counters_, owner, options_.session);
    if (auto ok = session_->start(); !ok) {
        uint64_t suppressed = 0;
        if (log_limit(Complaint::kNotTaken).allow(context_.loop.now(), suppressed))
            MIMIC_LOG("vfio-user", kError, "{}: {}{}", function_.name(), ok.error().message(),
                      log::more_like_it(suppressed));
        session_.reset();
    }
}

void Server::on_session_closed() {
    // Called from inside the session: it dies later. At most one waits, since the next can only end
    // in a later call.
    dead_ = std::move(session_);
    burial_.post(context_.loop, [this] { dead_.reset(); });
}

}  // namespace mimic::vfio_user
