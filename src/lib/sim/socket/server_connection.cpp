// SPDX-License-Identifier: Apache-2.0
#include "sim/socket/server_connection.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "sim/socket/socket_server.h"
#include "sim/socket/wire.h"

namespace mimic::sim {
namespace {

// Answers that a client has not read: beyond that its requests wait.
constexpr size_t kMostUnread = size_t{1} << 20;

}  // namespace

ServerConnection::ServerConnection(SocketServer& server, uint64_t id, UniqueFd fd)
    : server_(server), id_(id), stream_(std::move(fd)) {}

ServerConnection::~ServerConnection() {
    if (stream_) server_.loop().unwatch(stream_.fd());
}

Status ServerConnection::start() {
    watched_ = EPOLLIN;
    return server_.loop().watch(stream_.fd(), watched_, *this);
}

void ServerConnection::on_fd_ready(uint32_t events) {
    if ((events & EPOLLOUT) != 0) flush();
    if (closed() || (events & ~uint32_t{EPOLLOUT}) == 0) return;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) return close();  // nobody is left to answer
    if (ended_) return;
    if (stream_.fill() == Stream::Got::kEnd) ended_ = true;
    take_requests();
}

// What has come and may be taken. Its answers leave together.
void ServerConnection::take_requests() {
    if (std::exchange(taking_, true)) return;
    while (!closed() && may_take()) take_request();
    taking_ = false;
    if (closed()) return;
    note_partial();
    if (ended_ && partial_) answer_partial();
    flush();
}

bool ServerConnection::may_take() const {
    if (agreeing_ != 0 || stream_.in_size() < request_size(timed_)) return false;
    if (!pipelined_) return in_flight_ == 0;
    return in_flight_ < server_.options().max_in_flight && stream_.out_size() < kMostUnread;
}

void ServerConnection::take_request() {
    auto& in = stream_.in();
    std::byte* const message = in.data();
    sst_submit submit{};
    if (timed_) std::memcpy(&submit, message + sizeof(SSTRequest), sizeof submit);
    in.drop(request_size(timed_));  // the bytes stay until the next fill()
    auto& request = *reinterpret_cast<SSTRequest*>(message);
    const Ticket ticket{id_, request.request_id, request.user_data};
    negotiate(request);
    request.flags &= ~kSocketFlags;
    ++in_flight_;
    partial_ = false;
    server_.took_request();
    server_.handler().on_request(Asked{ticket, request, submit.submitted});
}

// Only a request that is alone can change how those after it look.
void ServerConnection::negotiate(const SSTRequest& request) {
    if (in_flight_ != 0 || pipelined_ || timed_) return;
    const auto& options = server_.options();
    if (options.pipelined) agreeing_ |= request.flags & SST_FLAG_PIPELINE;
    if (options.timed) agreeing_ |= request.flags & SST_FLAG_TIMED;
}

void ServerConnection::answer(const Ticket& ticket, const SSTResponse& response,
                              const sst_timing& timing) {
    if (in_flight_ == 0) return;  // a second answer to one request
    --in_flight_;
    const uint32_t agreed = std::exchange(agreeing_, 0);
    write_answer(ticket, response, timing, agreed);
    if (agreed != 0) {
        pipelined_ = (agreed & SST_FLAG_PIPELINE) != 0;
        timed_ = (agreed & SST_FLAG_TIMED) != 0;
    }
    if (taking_) return;
    // Where no other answer can follow soon, this one does not wait for the end of the turn.
    if (in_flight_ == 0) {
        take_requests();
    } else {
        server_.flush_soon(*this);
    }
}

void ServerConnection::write_answer(const Ticket& ticket, const SSTResponse& response,
                                    const sst_timing& timing, uint32_t reserved) {
    if (stream_.out_size() == 0) unsent_since_ = server_.loop().now();
    std::byte* const place = stream_.out().grow(response_size(timed_));
    std::memcpy(place, &response, sizeof response);
    auto& sent = *reinterpret_cast<SSTResponse*>(place);
    sent.request_id = ticket.request_id;
    sent.user_data = ticket.user_data;
    sent.reserved = reserved;
    if (timed_) std::memcpy(place + sizeof response, &timing, sizeof timing);
    server_.gave_answer();
}

void ServerConnection::flush() {
    if (closed()) return;
    const size_t before = stream_.out_size();
    if (!stream_.flush()) return close();
    if (stream_.out_size() != before) unsent_since_ = server_.loop().now();
    if (before >= kMostUnread && !taking_ && may_take()) take_requests();
    end_if_idle();
    if (!closed()) watch();
}

void ServerConnection::note_partial() {
    const bool begun = stream_.in_size() != 0 && stream_.in_size() < request_size(timed_);
    if (begun && !partial_) {
        partial_since_ = server_.loop().now();
        server_.watch_time();
    }
    partial_ = begun;
}

// A short request is answered, since whoever sent it waits in a read. Where the next one would
// begin is not known, so this is the last.
void ServerConnection::answer_partial() {
    SSTRequest request{};
    auto& in = stream_.in();
    std::memcpy(&request, in.data(), std::min(in.size(), sizeof request));
    in.clear();
    partial_ = false;
    ended_ = true;
    SSTResponse response{};
    response.status = SST_STATUS_INVALID;
    write_answer({id_, request.request_id, request.user_data}, response, {}, 0);
    server_.took_malformed();
    if (uint64_t more = 0; server_.malformed_log().allow(server_.loop().now(), more))
        MIMIC_LOG("sim", kWarn, "client {} sent a part of a request{}", id_,
                  log::more_like_it(more));
}

void ServerConnection::time_passed(TimePoint now) {
    const Duration patience = server_.options().patience;
    if (stream_.out_size() != 0 && now - unsent_since_ >= patience) {
        MIMIC_LOG("sim", kInfo, "client {} does not read its answers", id_);
        return close();
    }
    if (!partial_ || now - partial_since_ < patience) return;
    answer_partial();
    flush();
}

void ServerConnection::end_if_idle() {
    if (ended_ && in_flight_ == 0 && stream_.out_size() == 0 && !may_take()) close();
}

void ServerConnection::watch() {
    if (stream_.out_size() != 0) server_.watch_time();
    // A client that sends more than it may waits in its own buffer.
    const bool reads = !ended_ && stream_.in_size() < Stream::kMostAtOnce;
    const uint32_t wanted = (reads ? uint32_t{EPOLLIN} : 0) |
                            (stream_.out_size() != 0 ? uint32_t{EPOLLOUT} : 0);
    if (wanted == watched_) return;
    watched_ = wanted;
    if (const auto done = server_.loop().rewatch(stream_.fd(), wanted); !done) close();
}

void ServerConnection::close() {
    if (closed()) return;
    server_.loop().unwatch(stream_.fd());
    stream_.close();
    partial_ = false;
    server_.lost(*this);
}

}  // namespace mimic::sim
