// SPDX-License-Identifier: Apache-2.0
// Requests and answers, whatever the protocol. The connection's coming and going is in
// connection.cpp.
#include "compute/socket/socket_queue.h"

#include <sys/epoll.h>
#include <sys/un.h>

#include <algorithm>
#include <utility>

namespace mimic::compute {
namespace {

// Not read by the mediator: beyond that requests wait here, where they can still be taken back.
constexpr size_t kMostUnsent = size_t{1} << 20;

}  // namespace

Result<std::unique_ptr<Queue>> make_socket_queue(SocketOptions options, TaskRunner& runner) {
    static constexpr std::string_view kVm = "<vm_id>";
    if (const size_t at = options.path.find(kVm); at != std::string::npos)
        options.path.replace(at, kVm.size(), std::to_string(options.identity.vm_id));
    if (options.path.empty() || options.path.size() >= sizeof sockaddr_un{}.sun_path)
        return fail(std::errc::filename_too_long,
                    "mediator socket \"{}\": 1 .. {} bytes are allowed", options.path,
                    sizeof sockaddr_un{}.sun_path - 1);
    EventLoop* const loop = runner.event_loop();
    if (loop == nullptr)
        return fail(std::errc::not_supported, "a mediator's socket needs an event loop");
    auto queue = std::make_unique<SocketQueue>(std::move(options), *loop);
    queue->start();
    return queue;
}

void SocketQueue::submit(uint32_t tag, std::vector<std::byte> request, size_t room, Done done) {
    thread_.check();
    ++counters_.submitted;
    if (request.empty()) return finish_at_once(done, VGPU_ERROR_INVALID_LENGTH);
    if (request.size() > longest_request())
        return finish_at_once(done, VGPU_ERROR_REQUEST_TOO_LARGE);
    if (!may_wait()) return finish_at_once(done, refusal_);
    if (table_.waiting() >= kMaxInFlight || table_.bytes() + request.size() > kMaxBytes)
        return finish_at_once(done, VGPU_ERROR_QUEUE_FULL);
    Entry* const entry = table_.add(std::move(request));
    if (entry == nullptr) return finish_at_once(done, VGPU_ERROR_QUEUE_FULL);
    entry->tag = tag;
    entry->room = room;
    entry->submitted = loop_.now();
    entry->done = std::move(done);
    watch_time();
    if (!taking_) flush_soon();
}

void SocketQueue::reset() {
    thread_.check();
    bool had_sent = false;
    for (Entry* entry = table_.first(); entry != nullptr;) {
        Entry* const next = table_.after(*entry);
        if (is_v3() && entry->state == InFlight::State::kSent) {
            cancel(*entry);
            table_.forget(*entry);
        } else if (entry->state != InFlight::State::kForgotten) {
            had_sent = had_sent || entry->state == InFlight::State::kSent;
            table_.remove(*entry);
        }
        entry = next;
    }
    // Its answer could not be told from that of the next request.
    if (had_sent) renew();
    if (stream_) flush_soon();
}

void SocketQueue::start_over() {
    const uint64_t connection = connection_;
    reset();  // nothing waits any more: no `done` runs below
    if (!is_v3()) {
        if (options_.protocol == Protocol::kPacket && state_ == State::kReady &&
            connection == connection_)
            renew();
        return;
    }
    if (state_ == State::kReady) {
        forget();
        flush_soon();
        return;
    }
    // It is not known who has the session now: that one frees it when its patience is over.
    session_ = 0;
    if (state_ != State::kGreeting) return;
    close();
    try_to_connect();
}

bool SocketQueue::may_wait() const {
    return state_ != State::kAway || patience_timer_.is_pending();
}

size_t SocketQueue::longest_request() const {
    if (!is_v3()) return wire::kMaxLegacyPayload;
    if (state_ != State::kReady) return VGPU_MAX_MESSAGE;
    return std::min<size_t>(std::max(limits_.max_payload, pool_.size()), VGPU_MAX_MESSAGE);
}

bool SocketQueue::send_queued() {
    const auto weak = weak_.ptr();
    if (state_ == State::kIdle && table_.first_queued() != nullptr) {
        if (!connect_now()) return lose("has gone");
        state_ = State::kReady;
    }
    while (state_ == State::kReady) {
        Entry* const entry = table_.first_queued();
        if (entry == nullptr || table_.with_mediator() >= max_in_flight_ ||
            stream_.out_size() >= kMostUnsent)
            break;
        if (!is_v3())
            send_legacy(*entry);
        else if (!send_frame(*entry))
            break;
        table_.sent(*entry);
    }
    return true;
}

// All requests of a turn leave together: a doorbell of a ring brings many.
void SocketQueue::flush_soon() {
    if (flush_timer_.is_pending()) return;
    flush_timer_.post(loop_, [this] {
        if (send_queued()) flush_now();
    });
}

void SocketQueue::flush_now() {
    if (!stream_) return;
    // A mediator that has gone is noticed by reading, after the answers that it left.
    if (!stream_.flush()) stream_.out().clear();
    watch_output();
}

void SocketQueue::watch_output() {
    const bool wanted = stream_.out_size() != 0;
    if (wanted == watches_output_) return;
    watches_output_ = wanted;
    const uint32_t events = EPOLLIN | (wanted ? uint32_t{EPOLLOUT} : 0);
    if (const auto done = loop_.rewatch(stream_.fd(), events); !done)
        MIMIC_LOG("compute", kWarn, "{}: {}", options_.path, done.error().message());
}

void SocketQueue::on_fd_ready(uint32_t events) {
    thread_.check();
    const bool input = (events & ~uint32_t{EPOLLOUT}) != 0;
    if (input && !take_answers()) return;
    if (!input) flush_now();
    if (!send_queued()) return;
    if (stream_ && is_v3()) acknowledge(false);
    flush_now();
}

// False: a `done` has destroyed this.
bool SocketQueue::take_answers() {
    const auto weak = weak_.ptr();
    const uint64_t connection = connection_;
    const bool descriptors_wanted = is_v3() && state_ == State::kGreeting;
    const auto got = stream_.fill(descriptors_wanted ? &descriptors_ : nullptr);
    taking_ = true;
    Took took = Took::kMessage;
    while (took == Took::kMessage) took = take_one();
    if (!weak) return false;
    taking_ = false;
    if (got != Stream::Got::kEnd || !stream_ || connection != connection_) return true;
    return lose("has gone");
}

SocketQueue::Took SocketQueue::take_one() {
    if (!stream_) return Took::kEnded;
    switch (options_.protocol) {
        case Protocol::kPacket:
            return take_packet();
        case Protocol::kV1:
            return take_legacy(wire::parse_v1(stream_.in().bytes()));
        case Protocol::kV2:
            return take_legacy(wire::parse_v2(stream_.in().bytes()));
        case Protocol::kV3:
            break;
    }
    return state_ == State::kGreeting ? take_hello() : take_frame();
}

bool SocketQueue::finish(Entry& entry, vgpu_error error, std::span<const std::byte> response) {
    if (error == VGPU_OK && response.size() > entry.room) error = VGPU_ERROR_INVALID_LENGTH;
    if (error != VGPU_OK) response = {};
    ++counters_.answered;
    if (error != VGPU_OK) ++counters_.failed;
    const auto weak = weak_.ptr();
    const Done done = std::move(entry.done);
    table_.remove(entry);
    done(Completion{error, response});
    return weak.get() != nullptr;
}

// Nothing of this after it: `done` may destroy it.
void SocketQueue::finish_at_once(const Done& done, vgpu_error error) {
    ++counters_.answered;
    ++counters_.failed;
    done(Completion{error, {}});
}

InFlight::Entry* SocketQueue::oldest_waiting() {
    Entry* entry = table_.first();
    while (entry != nullptr && entry->state == InFlight::State::kForgotten)
        entry = table_.after(*entry);
    return entry;
}

// A timer that comes too early looks again; that is cheaper than to move it with each request.
void SocketQueue::watch_time() {
    if (deadline_timer_.is_pending()) return;
    const Entry* const entry = oldest_waiting();
    if (entry == nullptr) return;
    const Duration left = entry->submitted + options_.answer_timeout - loop_.now();
    deadline_timer_.start(loop_, std::max(left, Duration{}), [this] { time_passed(); });
}

void SocketQueue::time_passed() {
    const TimePoint now = loop_.now();
    for (Entry* entry = oldest_waiting(); entry != nullptr; entry = oldest_waiting()) {
        if (now - entry->submitted < options_.answer_timeout) break;
        if (!time_out(*entry)) return;
    }
    watch_time();
    if (send_queued()) flush_now();
}

bool SocketQueue::time_out(Entry& entry) {
    const auto weak = weak_.ptr();
    const Done done = std::move(entry.done);
    const bool was_sent = entry.state == InFlight::State::kSent;
    if (was_sent && is_v3()) {
        cancel(entry);
        table_.forget(entry);
    } else {
        table_.remove(entry);
        if (was_sent && !renew()) return false;
    }
    ++counters_.answered;
    ++counters_.failed;
    done(Completion{VGPU_ERROR_TIMEOUT, {}});
    return weak.get() != nullptr;
}

void SocketQueue::unknown(uint64_t id) {
    ++counters_.unknown;
    if (uint64_t more = 0; wrong_log_.allow(loop_.now(), more))
        MIMIC_LOG("compute", kWarn, "mediator at {}: an answer to nothing (id {}){}", options_.path,
                  id, log::more_like_it(more));
}

}  // namespace mimic::compute
