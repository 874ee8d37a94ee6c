// SPDX-License-Identifier: Apache-2.0
// ServerConnection: one client of a Server. Private to this folder.
#pragma once

#include <cstdint>

#include "base/event_loop.h"
#include "base/stream.h"
#include "sim/socket/server.h"

namespace mimic::sim {

class SocketServer;

/// Takes requests in order, one at a time from a client that has not said SST_FLAG_PIPELINE, and
/// sends answers in the order in which they are given. Ends by itself when the client has gone;
/// its server removes it later. Thread-bound to the server's loop.
class ServerConnection final : private FdHandler {
public:
    ServerConnection(SocketServer& server, uint64_t id, UniqueFd fd);
    ~ServerConnection();

    /// Begins to read. Errors: those of EventLoop::watch().
    Status start();

    void answer(const Ticket& ticket, const SSTResponse& response, const sst_timing& timing);
    void flush();
    /// The turn's answers are there: sends them, and takes requests that had to wait for them.
    void answers_over() { take_requests(); }

    /// What waits too long ends here: a request that does not come in whole, answers that nobody
    /// reads.
    void time_passed(TimePoint now);
    /// Whether time_passed() has something to look at.
    bool is_watched() const { return !closed() && (partial_ || stream_.out_size() != 0); }

    bool closed() const { return !stream_; }
    uint64_t id() const { return id_; }

private:
    void on_fd_ready(uint32_t events) override;
    void take_requests();
    void take_request();
    bool may_take() const;
    void negotiate(const SSTRequest& request);
    void write_answer(const Ticket& ticket, const SSTResponse& response, const sst_timing& timing,
                      uint32_t reserved);
    void answer_partial();
    void note_partial();
    void end_if_idle();
    void close();
    void watch();

    SocketServer& server_;
    const uint64_t id_;
    Stream stream_;
    uint32_t watched_ = 0;
    bool taking_ = false;
    bool ended_ = false;    // nothing more is read
    bool partial_ = false;  // a request has begun to come
    TimePoint partial_since_{};
    TimePoint unsent_since_{};
    uint32_t agreeing_ = 0;  // flags of the request whose answer says that they are agreed on
    bool pipelined_ = false;
    bool timed_ = false;
    size_t in_flight_ = 0;
};

}  // namespace mimic::sim
