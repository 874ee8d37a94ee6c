// SPDX-License-Identifier: Apache-2.0
#include "vfio_user/server.h"

#include <sys/epoll.h>

#include "memory/sigbus_guard.h"

namespace mimic::vfio_user {
namespace {

// How long a loop leaves a listener alone that cannot accept (no descriptors left). Arbitrary.
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

}  // namespace

Result<std::unique_ptr<Server>> Server::create(LoopContext& context, pci::Function& function,
                                               ServerOptions options) {
    MIMIC_TRY(install_sigbus_guard());
    MIMIC_ASSIGN_OR_RETURN(auto listener, UnixListener::listen(options.socket_path));
    std::unique_ptr<Server> server(
        new Server(context, function, std::move(options), std::move(listener)));
    MIMIC_TRY(context.loop.watch(server->listener_.fd(), EPOLLIN, *server));
    return server;
}

Server::Server(LoopContext& context, pci::Function& function, ServerOptions options,
               UnixListener listener)
    : context_(context),
      function_(function),
      options_(std::move(options)),
      listener_(std::move(listener)) {}

Server::~Server() {
    thread_.check();
    context_.loop.unwatch(listener_.fd());
}

void Server::on_fd_ready(uint32_t) {
    thread_.check();
    // Somebody may connect faster than we turn away.
    do {
        auto socket = listener_.accept();
        if (!socket) {
            uint64_t suppressed = 0;
            if (log_limit(Complaint::kNotTaken).allow(context_.loop.now(), suppressed))
                MIMIC_LOG("vfio-user", kError, "{}: {}{}", function_.name(),
                          socket.error().message(), log::more_like_it(suppressed));
            // Level-triggered: the loop would spin on this listener and starve the other devices.
            context_.loop.unwatch(listener_.fd());
            accept_later();
            return;
        }
        if (!*socket) return;
        adopt(std::move(*socket));
    } while (!context_.loop.share_is_over());
}

// Again until it works: the listener would stay deaf if the loop cannot watch it right now.
void Server::accept_later() {
    accept_again_.start(context_.loop, kAcceptPause, [this] {
        if (!context_.loop.watch(listener_.fd(), EPOLLIN, *this)) accept_later();
    });
}

void Server::adopt(UniqueFd socket) {
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
