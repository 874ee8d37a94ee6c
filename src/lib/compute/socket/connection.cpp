// SPDX-License-Identifier: Apache-2.0
// How a SocketQueue's mediator comes, goes and comes back.
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "base/unix_socket.h"
#include "compute/socket/socket_queue.h"

namespace mimic::compute {
namespace {

// A mediator that listens but does not speak is let go after so long. Arbitrary.
constexpr Duration kGreetingLimit = std::chrono::seconds(5);

}  // namespace

SocketQueue::SocketQueue(SocketOptions options, EventLoop& loop)
    : options_(std::move(options)), loop_(loop), retry_(options_.retry_least) {}

SocketQueue::~SocketQueue() {
    close();
}

void SocketQueue::start() {
    try_to_connect();
}

bool SocketQueue::connect_now() {
    auto fd = unix_connect_now(options_.path);
    if (!fd) {
        MIMIC_LOG("compute", kDebug, "{}", fd.error().message());
        return false;
    }
    stream_ = Stream(std::move(*fd));
    ++connection_;
    answered_ = false;
    if (const auto watched = loop_.watch(stream_.fd(), EPOLLIN, *this); !watched) {
        MIMIC_LOG("compute", kWarn, "{}: {}", options_.path, watched.error().message());
        stream_.close();
        return false;
    }
    return true;
}

void SocketQueue::try_to_connect() {
    if (state_ != State::kAway) return;
    if (!connect_now()) return retry_later();
    greet();
}

void SocketQueue::greet() {
    if (options_.protocol == Protocol::kPacket) {
        ready();
        return;
    }
    state_ = State::kGreeting;
    greeting_timer_.start(loop_, std::min(kGreetingLimit, options_.answer_timeout),
                          [this] { lose("does not greet"); });
    if (is_v3())
        say_hello();
    else
        send_ping();
    flush_now();
}

// A mediator is there, and knows us.
bool SocketQueue::ready() {
    greeting_timer_.cancel();
    retry_timer_.cancel();
    patience_timer_.cancel();
    retry_ = options_.retry_least;
    refusal_ = VGPU_ERROR_MEDIATOR_UNAVAILABLE;
    ++counters_.connections;
    MIMIC_LOG("compute", kInfo, "mediator at {} is there", options_.path);
    if (has_connection_each()) {
        close();
        state_ = State::kIdle;
    } else {
        state_ = State::kReady;
    }
    if (!send_queued()) return false;
    if (!taking_) flush_now();
    return true;
}

void SocketQueue::retry_later() {
    retry_timer_.start(loop_, retry_, [this] { try_to_connect(); });
    retry_ = std::min(std::max(retry_ * 2, Duration(1)), options_.retry_most);
}

void SocketQueue::close() {
    state_ = State::kAway;
    if (!stream_) return;
    loop_.unwatch(stream_.fd());
    stream_.close();
    descriptors_.clear();
    watches_output_ = false;
    unacknowledged_ = unacknowledged_bytes_ = 0;
    greeting_timer_.cancel();
    acknowledge_timer_.cancel();
}

// False: a `done` has destroyed this.
bool SocketQueue::lose(std::string_view why) {
    const State before = state_;
    const bool answered = answered_;
    close();
    if (uint64_t more = 0; lost_log_.allow(loop_.now(), more))
        MIMIC_LOG("compute", kWarn, "mediator at {} {}, with {} requests{}", options_.path, why,
                  table_.waiting(), log::more_like_it(more));
    table_.requeue();
    if (!is_v3()) return lost_legacy(before, answered);
    pool_.reset(0);
    shared_ = {};
    // Whether the mediator has heard of it is not known. What is asked after it may not find what
    // was there before.
    if (std::exchange(forgets_, false)) session_ = 0;
    retry_later();
    if (!resumes_ || refusal_ != VGPU_ERROR_MEDIATOR_UNAVAILABLE) {
        patience_timer_.cancel();
        return fail_all(refusal_);
    }
    if (!patience_timer_.is_pending())
        patience_timer_.start(loop_, options_.resume_patience, [this] { patience_is_over(); });
    return true;
}

// One that ends a connection after an answer, or instead of one, may be there all the same.
bool SocketQueue::lost_legacy(State before, bool answered) {
    const auto weak = weak_.ptr();
    if (has_connection_each() && before == State::kReady)
        state_ = State::kIdle;
    else if (options_.protocol == Protocol::kPacket && answered && connect_now())
        state_ = State::kReady;
    else
        retry_later();
    if (!fail_again(VGPU_ERROR_MEDIATOR_UNAVAILABLE)) return false;
    if (state_ == State::kAway) return fail_all(VGPU_ERROR_MEDIATOR_UNAVAILABLE);
    if (!taking_) flush_soon();
    return true;
}

// A new connection of a protocol that has one request in flight, because that one was given up.
bool SocketQueue::renew() {
    close();
    if (has_connection_each()) {
        state_ = State::kIdle;
    } else if (connect_now()) {
        state_ = State::kReady;
    } else {
        retry_later();
        return fail_all(VGPU_ERROR_MEDIATOR_UNAVAILABLE);
    }
    return true;
}

void SocketQueue::patience_is_over() {
    fail_all(VGPU_ERROR_MEDIATOR_UNAVAILABLE);
}

// Those that come meanwhile are answered without an entry, so this ends.
bool SocketQueue::fail_all(vgpu_error error) {
    while (Entry* const entry = oldest_waiting())
        if (!finish(*entry, error, {})) return false;
    return true;
}

bool SocketQueue::fail_again(vgpu_error error) {
    std::vector<uint64_t> ids;
    for (Entry* entry = table_.first(); entry != nullptr; entry = table_.after(*entry))
        if (entry->again) ids.push_back(entry->id);
    for (const uint64_t id : ids) {
        Entry* const entry = table_.find(id);
        if (entry != nullptr && entry->again && !finish(*entry, error, {})) return false;
    }
    return true;
}

}  // namespace mimic::compute
