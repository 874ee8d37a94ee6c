// SPDX-License-Identifier: Apache-2.0
// SocketSimulator: client.h's simulator. Private to this folder and its tests.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/stream.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "sim/socket/child.h"
#include "sim/socket/client.h"
#include "sim/socket/request_table.h"

namespace mimic::sim {

/// States: away (no connection; requests are answered NO_DEVICE) -> asking (connected; what the
/// peer can is asked by a NOOP, which Linux SST's peers answer, too; requests queue) -> ready.
/// Every wait is a watch or a timer of the loop, but for lock-step.
class SocketSimulator final : public Simulator, private FdHandler {
public:
    /// `folder`: made for the socket, removed with this; empty: none.
    SocketSimulator(SocketOptions options, std::string folder, EventLoop& loop);
    ~SocketSimulator();

    /// Starts the program, if there is one, and connects.
    void start();

    void submit(const SSTRequest& request, SimTime guest_time, Done done) override;
    void reset() override;
    size_t in_flight() const override { return table_.size(); }
    bool ready() const override { return state_ == State::kReady; }
    SimTime now() const override;
    Counters counters() const override { return counters_; }
    void set_observer(SimulatorObserver* observer) override { observer_ = observer; }

private:
    static constexpr uint64_t kHelloId = 0;
    enum class State : uint8_t { kAway, kAsking, kReady };
    using Entry = RequestTable::Entry;

    void on_fd_ready(uint32_t events) override;

    // Connection.
    void try_to_connect();
    void connected(UniqueFd fd);
    void run_program();
    void retry_later();
    void lose(std::string_view why);
    void say_hello();
    uint32_t offer() const;
    void hello_answered(uint32_t accepted);
    void connect_for_lock_step();
    void close();

    // Requests out.
    bool may_send() const;
    size_t out_size() const { return stream_.out_size(); }
    void send_queued();
    void send(Entry& entry, const SSTRequest& request);
    void write(const SSTRequest& request, uint64_t id, uint32_t flags, uint64_t submitted);
    void send_reset();
    void flush_soon();
    void flush_now();
    void watch_output();

    // Answers in.
    bool take_answers();
    void take_answer(SSTResponse& response, const sst_timing* timing);
    void unexpected(uint64_t id);
    void finish(Entry& entry, SSTResponse& response, const sst_timing* timing);
    void answer_at_once(const SSTRequest& request, uint32_t status, SimTime guest_time,
                        const Done& done);
    void give_up(Entry& entry, uint32_t status);
    Answer answer_of(const Entry& entry, const SSTResponse& response,
                     const sst_timing* timing) const;
    SimTime latency_in_lock_step(const Entry& entry, const SSTResponse& response,
                                 const sst_timing* timing) const;

    // Time.
    void watch_time();
    void time_passed();
    void wait_for(uint64_t id);
    void tell(uint32_t type, uint64_t data);

    const SocketOptions options_;
    const std::string folder_;
    EventLoop& loop_;
    ThreadBound thread_;
    SimulatorObserver* observer_ = nullptr;
    Counters counters_;
    RequestTable table_;
    LateIds late_;

    State state_ = State::kAway;
    Stream stream_;
    bool pipelined_ = false;  // agreed on
    bool timed_ = false;
    bool watches_output_ = false;
    bool taking_ = false;         // within take_answers(): it flushes at its end
    size_t owed_ = 0;             // answers that the peer owes, to whomever
    std::deque<uint64_t> queue_;  // ids that wait for their turn; some have gone
    bool reset_wanted_ = false;   // before what is queued
    uint64_t resets_ = 0;
    TimePoint last_sign_{};  // of life of the peer, or when it began to owe
    TimePoint born_{};
    SimTime peer_time_ = 0;

    std::optional<Child> child_;
    bool waited_ = false;  // lock-step, for the first connection
    TimePoint connected_at_{};
    TimePoint deadline_due_{};
    Duration retry_{};
    Timer retry_timer_;
    Timer deadline_timer_;
    Timer flush_timer_;
    log::RateLimit lost_log_;
    log::RateLimit wrong_log_;
    log::RateLimit child_log_;
    WeakOwner<SocketSimulator> weak_{this};
};

}  // namespace mimic::sim
