// SPDX-License-Identifier: Apache-2.0
// Relay: lends a guest's stream port to commands. A supervisor has one, for QEMU's virtio-serial
// loses an entry of its queue with each client that hangs up while an answer is on its way: so one
// connection stays, and commands come and go at a socket of ours.
//
//     mimic exec ─┐ streams.sock              vport.sock
//     mimic cp   ─┼──────────────► Relay ──────────────────► QEMU ── virtio port ── mimic-streamd
//     mimic run  ─┘  a connection is a channel
#pragma once

#include <memory>
#include <string>

#include "base/loop_pool.h"
#include "base/result.h"

namespace mimic::streams {

/// Names of the two sockets in a machine's folder.
std::string port_socket_path(const std::string& run_dir);
std::string relay_socket_path(const std::string& run_dir);

class RelayLoop;

/// Works on a thread of its own until it is destroyed. The guest and the commands are believed
/// nothing: what is held of each is bounded by the credit of its streams, and whoever breaks the
/// rules loses a channel (a command) or all of them (the guest, which may begin anew). Create and
/// destroy it on one thread.
class Relay {
public:
    /// Listens at `listen_path` (mode 0600) and connects to `port_path` as soon as that can be
    /// done: QEMU makes it when it starts. Errors: those of UnixListener::listen() and
    /// EventLoop::create().
    static Result<std::unique_ptr<Relay>> create(const std::string& port_path,
                                                 const std::string& listen_path);
    ~Relay();

private:
    Relay() = default;
    std::unique_ptr<LoopPool> threads_;
    std::unique_ptr<RelayLoop> loop_;  // lives on the thread
};

}  // namespace mimic::streams
