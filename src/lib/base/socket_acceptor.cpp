// SPDX-License-Identifier: Apache-2.0
#include "base/socket_acceptor.h"

#include <sys/epoll.h>

#include <utility>

namespace mimic {
namespace {

// How long a loop leaves a listener alone that cannot accept. Arbitrary.
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

}  // namespace

Result<std::unique_ptr<SocketAcceptor>> SocketAcceptor::create(EventLoop& loop,
                                                               const std::string& path,
                                                               Owner& owner, mode_t mode) {
    MIMIC_ASSIGN_OR_RETURN(auto listener, UnixListener::listen(path, mode));
    std::unique_ptr<SocketAcceptor> acceptor(new SocketAcceptor(loop, std::move(listener), owner));
    MIMIC_TRY(loop.watch(acceptor->listener_.fd(), EPOLLIN, *acceptor));
    return acceptor;
}

SocketAcceptor::SocketAcceptor(EventLoop& loop, UnixListener listener, Owner& owner)
    : loop_(loop), listener_(std::move(listener)), owner_(owner) {}

SocketAcceptor::~SocketAcceptor() {
    thread_.check();
    loop_.unwatch(listener_.fd());
}

void SocketAcceptor::on_fd_ready(uint32_t /*events*/) {
    thread_.check();
    // Somebody may connect faster than an owner turns away.
    do {
        auto socket = listener_.accept();
        if (!socket) {
            owner_.on_accept_failed(socket.error());
            // Level-triggered: the loop would spin on this listener and starve the other devices.
            loop_.unwatch(listener_.fd());
            return accept_later();
        }
        if (!*socket) return;
        owner_.on_client(std::move(*socket));
    } while (!loop_.share_is_over());
}

// Again until it works: the listener would stay deaf if the loop cannot watch it right now.
void SocketAcceptor::accept_later() {
    accept_again_.start(loop_, kAcceptPause, [this] {
        if (!loop_.watch(listener_.fd(), EPOLLIN, *this)) accept_later();
    });
}

}  // namespace mimic
