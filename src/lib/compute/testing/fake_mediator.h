// SPDX-License-Identifier: Apache-2.0
// FakeMediator: the other end of a mediator's socket, for tests of clients: it answers by a script
// or by hand, and may misbehave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/socket_acceptor.h"
#include "base/stream.h"
#include "compute/codec.h"
#include "compute/queue.h"
#include "compute/shared_memory.h"

namespace mimic::compute {

/// Speaks one protocol with all who connect. Thread-bound to the loop, which may be that of the
/// client under test.
class FakeMediator final : private SocketAcceptor::Owner {
public:
    struct Request {
        size_t connection = 0;  // 1, 2, ... in the order in which they came
        uint64_t id = 0;
        Identity identity;
        std::vector<std::byte> bytes;  // inline and shared together
        wire::Frame frame{};           // v3
    };
    struct Reply {
        uint32_t status = VGPU_OK;  // v3
        std::vector<std::byte> bytes;
    };
    /// nullopt: answer() will, or nothing.
    using Script = std::function<std::optional<Reply>(const Request& request)>;

    struct Options {
        Protocol protocol = Protocol::kV3;
        Script script;
        // v3: what the answer to a Hello says.
        uint32_t status = VGPU_OK;
        uint32_t version = wire::kVersion3;
        uint32_t capabilities = wire::kCapBatch | wire::kCapSharedMemory | wire::kCapResume;
        uint32_t max_in_flight = 64;
        uint32_t max_payload = VGPU_MAX_MESSAGE;
        uint32_t shared_bytes = 0;  // most; 0: none
        uint64_t session = 0;       // 0: as the client says, or a new one
        bool silent = false;        // no answer to Hello and PING
        bool gives_descriptor = true;
    };

    /// Errors: those of UnixListener::listen().
    static Result<std::unique_ptr<FakeMediator>> listen(const std::string& path, Options options,
                                                        EventLoop& loop);
    ~FakeMediator();

    /// For what comes from now on.
    Options& options() { return options_; }

    /// What has come, the oldest first, also what the script has answered.
    std::deque<Request>& requests() { return requests_; }
    const std::vector<wire::Hello>& hellos() const { return hellos_; }
    const std::vector<uint64_t>& acknowledged() const { return acknowledged_; }
    size_t forgotten() const { return forgotten_; }  // kForget that came
    const std::vector<uint64_t>& cancelled() const { return cancelled_; }
    size_t connections() const { return connections_; }
    /// Those that are open.
    size_t open() const { return peers_.size(); }

    /// Answers on the connection of `request`, if that is open. A v3 answer goes where the request
    /// has room for it.
    void answer(const Request& request, const Reply& reply);
    /// BUSY, QUARANTINED or another type without payload (v1, v2), and the connection ends.
    void refuse(const Request& request, wire::Type type);
    /// Bytes as they are, to all.
    void send_raw(std::span<const std::byte> bytes);
    /// Ends all connections.
    void hang_up();

private:
    class Peer;

    FakeMediator(Options options, EventLoop& loop);
    void on_client(UniqueFd socket) override;
    void on_accept_failed(const Error& error) override;
    void asked(Request request);
    void ended(const Peer& peer);
    Peer* peer_of(const Request& request);

    Options options_;
    EventLoop& loop_;
    std::unique_ptr<SocketAcceptor> acceptor_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::deque<Request> requests_;
    std::vector<wire::Hello> hellos_;
    std::vector<uint64_t> acknowledged_;
    size_t forgotten_ = 0;
    std::vector<uint64_t> cancelled_;
    size_t connections_ = 0;
};

}  // namespace mimic::compute
