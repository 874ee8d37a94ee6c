// SPDX-License-Identifier: Apache-2.0
// SocketAcceptor: who connects to a UNIX socket, as told by an event loop.
#pragma once

#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "base/unix_socket.h"

namespace mimic {

/// Listens at one path and hands out connections, as many in a turn as its share allows. While it
/// cannot accept (no descriptors left) it leaves the listener alone for a moment, which would
/// otherwise keep the loop busy. Thread-bound to the loop.
class SocketAcceptor final : private FdHandler {
public:
    class Owner {
    public:
        /// Somebody has connected.
        virtual void on_client(UniqueFd socket) = 0;

        /// accept(2) failed, and will be tried again. For the log; may come ten times a second.
        virtual void on_accept_failed(const Error& error) = 0;

    protected:
        ~Owner() = default;
    };

    /// `loop` and `owner` are borrowed; `mode` as UnixListener's. Errors: those of
    /// UnixListener::listen() and epoll_ctl(2).
    static Result<std::unique_ptr<SocketAcceptor>> create(EventLoop& loop, const std::string& path,
                                                          Owner& owner, mode_t mode = 0600);
    ~SocketAcceptor();

    const std::string& path() const { return listener_.path(); }

private:
    SocketAcceptor(EventLoop& loop, UnixListener listener, Owner& owner);

    void on_fd_ready(uint32_t events) override;
    void accept_later();

    EventLoop& loop_;
    UnixListener listener_;
    Owner& owner_;
    Timer accept_again_;
    ThreadBound thread_;
};

}  // namespace mimic
