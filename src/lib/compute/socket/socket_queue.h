// SPDX-License-Identifier: Apache-2.0
// SocketQueue: queue.h's queue behind a socket. Private to this folder and its tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/stream.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "base/weak_ptr.h"
#include "compute/codec.h"
#include "compute/queue.h"
#include "compute/shared_memory.h"
#include "compute/socket/in_flight.h"
#include "compute/socket/range_pool.h"

namespace mimic::compute {

/// States: away (no connection) -> greeting (connected; v3 waits for the answer to its Hello, v1
/// and v2 for a PONG) -> ready. v1 and v2 are idle between requests, each of which has a
/// connection of its own, as the public mediator wants it. Nothing waits but watches and timers of
/// the loop.
class SocketQueue final : public Queue, private FdHandler {
public:
    SocketQueue(SocketOptions options, EventLoop& loop);
    ~SocketQueue() override;

    /// Connects, or begins to try.
    void start();

    void submit(uint32_t tag, std::vector<std::byte> request, size_t room, Done done) override;
    void reset() override;
    void start_over() override;
    size_t in_flight() const override { return table_.waiting(); }
    bool connected() const override { return state_ == State::kReady || state_ == State::kIdle; }
    Counters counters() const override { return counters_; }

private:
    enum class State : uint8_t { kAway, kIdle, kGreeting, kReady };
    using Entry = InFlight::Entry;

    void on_fd_ready(uint32_t events) override;

    // What take_answers() found. kEnded: the connection has gone, and perhaps this, too.
    enum class Took : uint8_t { kMore, kMessage, kEnded };

    bool is_v3() const { return options_.protocol == Protocol::kV3; }
    bool has_connection_each() const {
        return options_.protocol == Protocol::kV1 || options_.protocol == Protocol::kV2;
    }

    // Connection (connection.cpp). Those that return bool: false when a `done` has destroyed this.
    bool connect_now();
    void try_to_connect();
    void greet();
    void retry_later();
    void close();
    bool ready();
    bool lose(std::string_view why);
    bool lost_legacy(State before, bool answered);
    bool renew();
    bool fail_all(vgpu_error error);
    bool fail_again(vgpu_error error);
    void patience_is_over();

    // Requests and answers (socket_queue.cpp).
    bool may_wait() const;
    size_t longest_request() const;
    bool send_queued();
    void flush_soon();
    void flush_now();
    void watch_output();
    bool take_answers();
    Took take_one();
    bool finish(Entry& entry, vgpu_error error, std::span<const std::byte> response);
    void finish_at_once(const Done& done, vgpu_error error);
    void watch_time();
    void time_passed();
    bool time_out(Entry& entry);
    Entry* oldest_waiting();
    void unknown(uint64_t id);

    // The packet, v1 and v2 (legacy.cpp).
    void send_legacy(Entry& entry);
    void send_ping();
    Took take_packet();
    template <typename Header>
    Took take_legacy(const wire::Message<Header>& message);

    // v3 (frames.cpp).
    void say_hello();
    Took take_hello();
    const char* accept_hello(const wire::Hello& hello);
    bool fail_too_long();
    bool send_frame(Entry& entry);
    Took take_frame();
    Took take_response(const wire::Frame& frame, std::span<const std::byte> inline_bytes);
    Took malformed(const char* why);
    void cancel(const Entry& entry);
    void forget();
    void acknowledge(bool now);

    const SocketOptions options_;
    EventLoop& loop_;
    ThreadBound thread_;
    Counters counters_;
    InFlight table_;

    State state_ = State::kAway;
    Stream stream_;
    std::vector<UniqueFd> descriptors_;  // that came before the answer to the Hello
    bool watches_output_ = false;
    bool taking_ = false;    // within take_answers(), which sends at its end
    bool answered_ = false;  // something, on this connection

    // v3, as agreed on.
    uint64_t session_ = 0;
    bool forgets_ = false;  // a kForget was sent, and nothing later than it is answered yet
    uint64_t forgets_up_to_ = 0;
    bool resumes_ = false;
    size_t max_in_flight_ = 1;
    wire::FrameLimits limits_;
    SharedMemory shared_;
    RangePool pool_;
    uint64_t connection_ = 0;  // counts, so that ranges are given back to their own pool only
    uint64_t acknowledged_ = 0;
    size_t unacknowledged_ = 0;                             // answers
    size_t unacknowledged_bytes_ = 0;                       // of them
    vgpu_error refusal_ = VGPU_ERROR_MEDIATOR_UNAVAILABLE;  // what is said while nobody is there

    Duration retry_{};
    TimePoint deadline_due_{};
    Timer retry_timer_;
    Timer greeting_timer_;
    Timer patience_timer_;
    Timer deadline_timer_;
    Timer acknowledge_timer_;
    Timer flush_timer_;
    log::RateLimit lost_log_;
    log::RateLimit wrong_log_;
    WeakOwner<SocketQueue> weak_{this};
};

}  // namespace mimic::compute
