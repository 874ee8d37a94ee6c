// SPDX-License-Identifier: Apache-2.0
// RelayLoop: the relay on one event loop; see relay.h.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/socket_acceptor.h"
#include "base/stream.h"
#include "base/timer.h"
#include "streams/frames.h"

namespace mimic::streams {

class RelayLoop;

/// A command's connection, which is one channel. Thread-bound to the loop.
class RelayClient final : public FdHandler {
public:
    RelayClient(RelayLoop& relay, UniqueFd socket);
    ~RelayClient();
    RelayClient(const RelayClient&) = delete;
    RelayClient& operator=(const RelayClient&) = delete;

    void on_fd_ready(uint32_t events) override;

    /// Whether the guest may say that now; its credit is used up then.
    bool guest_may(const Frame& frame);
    /// A frame of its channel from the guest, to which it may. `last`: it is not of the channel
    /// any more.
    void deliver(const Frame& frame, bool last);
    /// The last frame, and the end once it is sent.
    void refuse(uint32_t why, std::string_view text);
    /// Whether it is read from: not while the port has much to send.
    void hold(bool held);

    uint32_t channel = 0;  // 0: none yet, or no more

private:
    friend class RelayLoop;
    void read();
    void take();
    bool take_one(const Frame& frame);
    bool open(const Frame& frame);
    bool may_pass(const Frame& frame);
    void send();
    void finish();
    void watch();

    RelayLoop& relay_;
    Stream stream_;
    bool opened_ = false;  // the command runs
    bool ended_ = false;   // nothing more but what is in out()
    bool held_ = false;
    uint32_t events_ = 0;                      // that are watched
    uint32_t input_credit_ = 0;                // what the command may send
    std::array<uint32_t, 3> output_credit_{};  // what the guest may
    std::array<bool, 3> eof_{};                // the guest has said so
};

/// Thread-bound to its loop, on which it is made and destroyed.
class RelayLoop final : private SocketAcceptor::Owner, private FdHandler {
public:
    /// Errors: those of SocketAcceptor::create().
    static Result<std::unique_ptr<RelayLoop>> create(EventLoop& loop, const std::string& port_path,
                                                     const std::string& listen_path);
    ~RelayLoop();

private:
    friend class RelayClient;
    enum class State { kAbsent, kGreeting, kReady };

    RelayLoop(EventLoop& loop, std::string port_path)
        : loop_(loop), port_path_(std::move(port_path)) {}

    void on_client(UniqueFd socket) override;
    void on_accept_failed(const Error& error) override;
    void on_fd_ready(uint32_t events) override;

    void connect_later();
    void connect();
    void port_gone();
    void greet();
    void greet_soon();
    void greet_later(Duration delay);
    void begin_anew(std::string_view why);
    void take_from_port();
    bool take_one(const Frame& frame);
    bool pass_on(const Frame& frame);
    void send_to_port(stream_header header, std::span<const std::byte> payload);
    void flush_port();
    void hold_clients();
    void end_all(uint32_t why, std::string_view text);
    void ping_later();

    uint32_t new_channel(RelayClient& client);  // 0: there are too many
    void close_channel(uint32_t channel);       // its client has gone
    void forget(RelayClient& client);

    EventLoop& loop_;
    const std::string port_path_;
    std::unique_ptr<SocketAcceptor> acceptor_;
    Stream port_;
    uint32_t port_events_ = 0;
    State state_ = State::kAbsent;
    std::array<uint8_t, STREAM_ID_BYTES> id_{};
    uint32_t in_sequence_ = 0;
    uint32_t out_sequence_ = 0;
    bool held_ = false;  // clients are not read from
    uint32_t last_channel_ = 0;
    std::map<uint32_t, RelayClient*> channels_;  // null: it ends, its client has gone
    std::map<RelayClient*, std::unique_ptr<RelayClient>> clients_;
    std::vector<std::unique_ptr<RelayClient>> gone_;  // freed in a later turn
    TimePoint greeted_{};
    Timer connect_again_;
    Timer greet_again_;
    Timer ping_;
    Timer bury_;
    log::RateLimit complaints_;
};

}  // namespace mimic::streams
