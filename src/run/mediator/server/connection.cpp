// SPDX-License-Identifier: Apache-2.0
#include "mediator/server/connection.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "mediator/server/server_core.h"

namespace mimic::mediator {
namespace {

// Answers that a peer has not read: beyond that its requests wait.
constexpr size_t kMostUnread = size_t{1} << 20;
// Bytes of requests in flight and of room for their answers, of a connection that has more than
// one.
constexpr uint64_t kMostHeld = uint64_t{64} << 20;
// A peer that reads is given time for much at this, beside the patience that it has for little.
constexpr uint64_t kLeastRead = uint64_t{1} << 20;  // bytes a second
// Between two looks at the clock.
constexpr int kMessagesAtOnce = 64;

}  // namespace

Connection::Connection(ServerCore& server, uint64_t id, Peer peer)
    : server_(server),
      id_(id),
      uid_(peer.uid),
      vm_(peer.vm),
      form_(peer.vm ? Form::kPacket : Form::kProbing),
      stream_(std::move(peer.socket)) {}

Connection::~Connection() {
    close(true);
}

Status Connection::start() {
    watched_ = EPOLLIN;
    if (!is_introduced()) {
        begun_ = true;  // who it is must be known soon
        begun_since_ = server_.loop().now();
        server_.watch_time();
    }
    return server_.loop().watch(stream_.fd(), watched_, *this);
}

void Connection::on_fd_ready(uint32_t events) {
    if ((events & EPOLLOUT) != 0) flush();
    if (closed() || (events & ~uint32_t{EPOLLOUT}) == 0) return;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) return close(true);  // nobody is left to answer
    if (ended_) return;
    if (!waits_ && stream_.fill() == Stream::Got::kEnd) ended_ = true;
    take_messages();
}

// What has come and may be taken. Its answers leave together.
void Connection::take_messages() {
    if (std::exchange(taking_, true)) return;
    waits_ = false;
    for (int count = 1; !waits_ && !end_when_sent_ && may_take() && take_message(); ++count) {
        begun_ = false;
        waits_ = count % kMessagesAtOnce == 0 && server_.loop().share_is_over();
    }
    taking_ = false;
    if (waits_) {
        server_.go_on_soon(*this);
    } else {
        note_partial();
    }
    stream_.in().trim();
    flush();
}

bool Connection::may_take() const {
    if (stream_.out_size() >= kMostUnread) return false;
    if (in_flight_ == 0) return true;
    return in_flight_ < max_in_flight_ && charged_ < kMostHeld &&
           server_.held() < server_.options().held_total;
}

// False: nothing more can be taken now.
bool Connection::take_message() {
    switch (form_) {
        case Form::kProbing:
            return take_first();
        case Form::kPacket:
            return take_packet();
        case Form::kV1:
            return take_legacy(wire::parse_v1(stream_.in().bytes()));
        case Form::kV2:
            return take_legacy(wire::parse_v2(stream_.in().bytes()));
        case Form::kV3:
            return take_frame();
    }
    return false;
}

vgpu_error Connection::admit(const Client& client) {
    const Admission admission = server_.engine().admit(client, *this);
    if (admission.error != VGPU_OK) {
        ++server_.count().denied;
        return admission.error;
    }
    key_ = admission.key;
    client_ = client;
    vm_ = client.vm;
    return VGPU_OK;
}

void Connection::submit(const Asked& asked, bool again, std::span<const std::byte> bytes,
                        std::vector<std::byte> storage) {
    ++server_.count().requests;
    ++in_flight_;
    submitting_ = asked;
    Request request;
    request.id = asked.id;
    request.again = again;
    request.room = asked.room;
    request.bytes = bytes;
    request.storage = std::move(storage);
    server_.engine().submit(key_, std::move(request));
    if (!submitting_) return;
    charged_ += asked.charge;
    note_held();
    asked_.emplace(asked.id, asked);
    submitting_.reset();
}

void Connection::on_answer(uint64_t request_id, const Answer& answer) {
    if (submitting_ && submitting_->id == request_id) {
        const Asked asked = *submitting_;
        submitting_.reset();
        give(asked, answer);
        return;
    }
    const auto found = asked_.find(request_id);
    if (found == asked_.end()) return;
    const Asked asked = found->second;
    asked_.erase(found);
    charged_ -= asked.charge;
    give(asked, answer);
    note_held();
    // Others of this turn may follow.
    if (!taking_) server_.go_on_soon(*this);
}

void Connection::give(const Asked& asked, const Answer& answer) {
    --in_flight_;
    ++server_.count().answers;
    switch (form_) {
        case Form::kV3:
            return answer_frame(asked, answer);
        case Form::kPacket:
            return answer_packet(answer);
        case Form::kProbing:
        case Form::kV1:
        case Form::kV2:
            return answer_legacy(answer);
    }
}

// The session is another connection's now.
void Connection::on_replaced() {
    end_when_sent_ = true;
    server_.go_on_soon(*this);
}

void Connection::turn_is_over() {
    take_messages();
}

void Connection::flush() {
    if (closed()) return;
    const size_t before = stream_.out_size();
    if (!stream_.flush()) return close(true);
    const bool moved = stream_.out_size() != before;
    note_unread(before - stream_.out_size());
    note_held();
    if (stream_.out_size() == 0 && !waits_) {
        if (end_when_sent_) return close(false);
        if (ended_ && in_flight_ == 0) return close(true);
    }
    // What was left in the buffer while answers were unread.
    if (before >= kMostUnread && moved && !taking_ && may_take()) server_.go_on_soon(*this);
    watch();
}

void Connection::watch() {
    // A peer that sends more than it may waits in its own buffer.
    const bool reads = !ended_ && !end_when_sent_ && may_take();
    const uint32_t wanted = (reads ? uint32_t{EPOLLIN} : 0) |
                            (stream_.out_size() != 0 ? uint32_t{EPOLLOUT} : 0);
    if (wanted == watched_) return;
    watched_ = wanted;
    if (const auto done = server_.loop().rewatch(stream_.fd(), wanted); !done) close(true);
}

// What waits now has its time to be read; what comes behind it, afterwards. So a peer that reads a
// byte now and then has no more of it than one that does not.
void Connection::note_unread(size_t sent) {
    unread_ -= std::min(unread_, sent);
    if (unread_ != 0 || stream_.out_size() == 0) return;
    unread_ = stream_.out_size();
    const uint64_t ns = unread_ * 1'000'000'000 / kLeastRead;
    unread_end_ = server_.loop().now() + server_.options().message_timeout +
                  Duration(static_cast<int64_t>(ns));
    server_.watch_time();
}

// Requests and answers, wherever they are: a long message leaves its buffer long until that is
// empty.
void Connection::note_held() {
    const uint64_t held = closed() ? 0 : charged_ + stream_.extra_memory();
    server_.note_held(std::exchange(held_, held), held);
}

// Whether what is left in the buffer is the begin of a message, and since when. What may not be
// taken yet is not late.
void Connection::note_partial() {
    const bool begun = !is_introduced() || (stream_.in_size() != 0 && may_take());
    if (begun && !begun_) {
        begun_since_ = server_.loop().now();
        server_.watch_time();
    }
    begun_ = begun;
}

void Connection::time_passed(TimePoint now) {
    if (closed()) return;
    if (unread_ != 0 && now >= unread_end_) {
        ++server_.count().unread;
        return close(true);
    }
    if (!begun_ || now - begun_since_ < server_.options().message_timeout) return;
    ++server_.count().slow;
    close(true);
}

// It breaks its protocol, so where its next message would begin is not known.
void Connection::malformed(const char* why) {
    ++server_.count().malformed;
    if (uint64_t more = 0; server_.malformed_log().allow(server_.loop().now(), more))
        MIMIC_LOG("mediator", kWarn, "a peer of uid {} sent a message with {}{}", uid_, why,
                  log::more_like_it(more));
    if (key_ != 0) server_.engine().fault(client_.vm, why);
    end_when_sent_ = true;
}

void Connection::close(bool may_come_back) {
    if (closed()) return;
    server_.loop().unwatch(stream_.fd());
    stream_.close();
    quiet_timer_.cancel();
    note_held();
    server_.shared() -= shared_.size();
    shared_ = {};
    server_.count().dropped += std::exchange(in_flight_, 0);
    asked_.clear();
    if (key_ != 0) server_.engine().left(std::exchange(key_, 0), may_come_back && resumes_);
    server_.lost(*this);
}

}  // namespace mimic::mediator
