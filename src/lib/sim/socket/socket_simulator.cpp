// SPDX-License-Identifier: Apache-2.0
// Requests and answers. The connection's coming and going is in connection.cpp.
#include "sim/socket/socket_simulator.h"

#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/socket/wire.h"

namespace mimic::sim {
namespace {

// Unread by the peer: beyond that requests wait here, where they can still be taken back.
constexpr size_t kMostUnsent = size_t{1} << 20;

constexpr uint64_t error_data(sst_error error, uint64_t request_id) {
    return static_cast<uint64_t>(error) << 56 | (request_id & ((uint64_t{1} << 56) - 1));
}

// What no simulator needs to see.
bool is_well_formed(const SSTRequest& request) {
    switch (request.type) {
        case SST_REQ_READ:
            return request.payload.memory.size <= SST_MAX_DATA_SIZE;
        case SST_REQ_WRITE:
            return request.payload.memory.size <= SST_MAX_DATA_SIZE - sizeof request.payload.memory;
        default:
            return request.type <= SST_REQ_CONFIGURE;
    }
}

uint64_t nanoseconds_since(TimePoint start, TimePoint time) {
    return static_cast<uint64_t>(std::max<int64_t>((time - start).count(), 0));
}

SimTime of_cycles(uint64_t cycles, uint64_t clock_hz) {
    __extension__ using Wide = unsigned __int128;
    const Wide time = static_cast<Wide>(cycles) * 1'000'000'000'000u / clock_hz;
    return time > ~SimTime{} ? ~SimTime{} : static_cast<SimTime>(time);
}

}  // namespace

SimTime SocketSimulator::now() const {
    return timed_ ? peer_time_ : picoseconds(nanoseconds_since(born_, loop_.now()));
}

void SocketSimulator::submit(const SSTRequest& request, SimTime guest_time, Done done) {
    thread_.check();
    ++counters_.submitted;
    if (!is_well_formed(request))
        return answer_at_once(request, SST_STATUS_INVALID, guest_time, done);
    if (state_ == State::kAway && options_.lock_step) connect_for_lock_step();
    if (state_ == State::kAway) {
        ++counters_.lost;
        return answer_at_once(request, SST_STATUS_NO_DEVICE, guest_time, done);
    }
    Entry* const entry = table_.add();
    if (entry == nullptr) return answer_at_once(request, SST_STATUS_BUSY, guest_time, done);
    entry->request_id = request.request_id;
    entry->user_data = request.user_data;
    entry->type = request.type;
    entry->guest_time = guest_time;
    entry->submitted = loop_.now();
    entry->done = std::move(done);
    const uint64_t id = entry->id;
    if (queue_.empty() && may_send()) {
        send(*entry, request);
    } else {
        if (!entry->request) entry->request = std::make_unique<SSTRequest>();
        *entry->request = request;
        queue_.push_back(id);
    }
    watch_time();
    if (options_.lock_step) return wait_for(id);
    flush_soon();
}

void SocketSimulator::reset() {
    thread_.check();
    while (Entry* const entry = table_.oldest()) {
        if (entry->state == RequestTable::State::kSent) {
            late_.add(entry->id, {LateIds::Why::kForgotten, entry->request_id});
            if (pipelined_) --owed_;
        }
        table_.remove(*entry);
    }
    queue_.clear();
    peer_time_ = 0;
    born_ = loop_.now();
    if (state_ == State::kAway) return;  // whoever comes begins anew
    reset_wanted_ = true;
    send_queued();
    flush_soon();
}

bool SocketSimulator::may_send() const {
    if (state_ != State::kReady || reset_wanted_) return false;
    if (!pipelined_) return owed_ == 0;
    return owed_ < options_.max_in_flight && out_size() < kMostUnsent;
}

void SocketSimulator::send_queued() {
    if (reset_wanted_ && state_ == State::kReady && (pipelined_ || owed_ == 0)) send_reset();
    while (!queue_.empty() && may_send()) {
        Entry* const entry = table_.find(queue_.front());
        queue_.pop_front();
        if (entry != nullptr) send(*entry, *entry->request);
    }
}

void SocketSimulator::send_reset() {
    SSTRequest request{};
    request.type = SST_REQ_RESET;
    // Its answer tells nothing: a peer of Linux SST says INVALID.
    const uint64_t id = 1 + resets_++ % (RequestTable::kFirstId - 1);
    late_.add(id, {LateIds::Why::kForgotten, 0});
    reset_wanted_ = false;
    write(request, id, 0, 0);
    if (!pipelined_) ++owed_;
}

void SocketSimulator::send(Entry& entry, const SSTRequest& request) {
    const uint64_t submitted = options_.lock_step ? entry.guest_time / kPicosecondsPerNanosecond
                                                  : nanoseconds_since(born_, entry.submitted);
    entry.state = RequestTable::State::kSent;
    write(request, entry.id, request.flags & ~kSocketFlags, submitted);
    ++owed_;
}

void SocketSimulator::write(const SSTRequest& request, uint64_t id, uint32_t flags,
                            uint64_t submitted) {
    std::byte* const place = stream_.out().grow(request_size(timed_));
    std::memcpy(place, &request, sizeof request);
    auto& sent = *reinterpret_cast<SSTRequest*>(place);
    sent.flags = flags;
    sent.request_id = id;
    if (timed_) {
        const sst_submit trailer{submitted};
        std::memcpy(place + sizeof request, &trailer, sizeof trailer);
    }
    if (owed_ == 0) last_sign_ = loop_.now();
}

// All requests of a turn leave together: a kick brings many.
void SocketSimulator::flush_soon() {
    if (taking_ || flush_timer_.is_pending()) return;
    flush_timer_.post(loop_, [this] { flush_now(); });
}

void SocketSimulator::flush_now() {
    if (!stream_) return;
    // A peer that has gone is noticed by reading, after the answers that it left.
    if (!stream_.flush()) stream_.out().clear();
    watch_output();
}

void SocketSimulator::watch_output() {
    const bool wanted = stream_.out().size() != 0;
    if (wanted == watches_output_) return;
    watches_output_ = wanted;
    const uint32_t events = EPOLLIN | (wanted ? uint32_t{EPOLLOUT} : 0);
    if (const auto done = loop_.rewatch(stream_.fd(), events); !done)
        MIMIC_LOG("sim", kWarn, "{}: {}", options_.path, done.error().message());
}

void SocketSimulator::on_fd_ready(uint32_t events) {
    thread_.check();
    if ((events & ~uint32_t{EPOLLOUT}) != 0 && !take_answers()) return;
    if (stream_ && (events & EPOLLOUT) != 0) {
        flush_now();
        send_queued();
        flush_now();
    }
}

// False: the device has destroyed this meanwhile.
bool SocketSimulator::take_answers() {
    const auto weak = weak_.ptr();
    const auto got = stream_.fill();
    const bool outer = std::exchange(taking_, true);
    while (stream_ && stream_.in().size() >= response_size(timed_)) {
        auto& in = stream_.in();
        std::byte* const message = in.data();
        const bool with_timing = timed_;
        sst_timing timing{};
        if (with_timing) std::memcpy(&timing, message + sizeof(SSTResponse), sizeof timing);
        in.drop(response_size(with_timing));  // the bytes stay until the next fill()
        const sst_timing* const told = with_timing ? &timing : nullptr;
        if (options_.lock_step) {  // where a callback may get there
            SSTResponse copy;
            std::memcpy(&copy, message, sizeof copy);
            take_answer(copy, told);
        } else {
            take_answer(*reinterpret_cast<SSTResponse*>(message), told);
        }
        if (!weak) return false;
    }
    taking_ = outer;
    if (stream_ && got == Stream::Got::kEnd) {
        lose("has gone");
        return weak.get() != nullptr;
    }
    if (outer) return true;
    send_queued();
    flush_now();
    return true;
}

void SocketSimulator::take_answer(SSTResponse& response, const sst_timing* timing) {
    last_sign_ = loop_.now();
    if (state_ == State::kAsking) {
        // Whatever it says: it is the answer to what was asked.
        owed_ = 0;
        return hello_answered(response.request_id == kHelloId ? response.reserved : 0);
    }
    Entry* const entry = table_.find(response.request_id);
    if (entry == nullptr || entry->state != RequestTable::State::kSent)
        return unexpected(response.request_id);
    --owed_;
    ++counters_.answered;
    if (response.status > SST_STATUS_NO_DEVICE) response.status = SST_STATUS_ERROR;
    if (timing != nullptr) peer_time_ = std::max(peer_time_, picoseconds(timing->finished));
    finish(*entry, response, timing);
}

void SocketSimulator::unexpected(uint64_t id) {
    const auto known = late_.take(id);
    if (known.why != LateIds::Why::kNone && !pipelined_ && owed_ > 0) --owed_;
    switch (known.why) {
        case LateIds::Why::kForgotten:
            return;
        case LateIds::Why::kTimeout:
            ++counters_.late;
            return tell(SST_EVENT_ERROR, error_data(SST_ERROR_LATE, known.request_id));
        case LateIds::Why::kNone:
            break;
    }
    ++counters_.unknown;
    if (uint64_t more = 0; wrong_log_.allow(loop_.now(), more))
        MIMIC_LOG("sim", kWarn, "{}: an answer to nothing (id {}){}", options_.path, id,
                  log::more_like_it(more));
    tell(SST_EVENT_ERROR, error_data(SST_ERROR_UNKNOWN_ID, id));
}

void SocketSimulator::finish(Entry& entry, SSTResponse& response, const sst_timing* timing) {
    response.request_id = entry.request_id;
    response.user_data = entry.user_data;
    response.reserved = 0;
    const Answer answer = answer_of(entry, response, timing);
    const Done done = std::move(entry.done);
    table_.remove(entry);
    done(answer);  // nothing of this object after it: it may be gone
}

void SocketSimulator::give_up(Entry& entry, uint32_t status) {
    if (entry.state == RequestTable::State::kSent) {
        late_.add(entry.id, {LateIds::Why::kTimeout, entry.request_id});
        if (pipelined_ && owed_ > 0) --owed_;
    }
    SSTResponse response{};
    response.status = status;
    finish(entry, response, nullptr);
}

void SocketSimulator::answer_at_once(const SSTRequest& request, uint32_t status, SimTime guest_time,
                                     const Done& done) {
    SSTResponse response{};
    response.status = status;
    response.request_id = request.request_id;
    response.user_data = request.user_data;
    const SimTime time = options_.lock_step ? guest_time : now();
    done(Answer{response, time, time});
}

Answer SocketSimulator::answer_of(const Entry& entry, const SSTResponse& response,
                                  const sst_timing* timing) const {
    if (options_.lock_step) {
        const SimTime latency = latency_in_lock_step(entry, response, timing);
        return {response, entry.guest_time, saturating_add(entry.guest_time, latency)};
    }
    if (timing != nullptr) {
        const SimTime finished = picoseconds(timing->finished);
        return {response, finished - std::min(finished, picoseconds(timing->latency)), finished};
    }
    if (timed_) return {response, now(), now()};  // an answer of ours, in the peer's time
    return {response, picoseconds(nanoseconds_since(born_, entry.submitted)), now()};
}

SimTime SocketSimulator::latency_in_lock_step(const Entry& entry, const SSTResponse& response,
                                              const sst_timing* timing) const {
    if (timing != nullptr) return picoseconds(timing->latency);
    if (entry.type != SST_REQ_COMPUTE || response.status != SST_STATUS_OK) return 0;
    return of_cycles(response.payload.compute.cycles, options_.clock_hz);
}

void SocketSimulator::watch_time() {
    TimePoint due = TimePoint::max();
    if (const Entry* const entry = table_.oldest()) due = entry->submitted + options_.timeout;
    if (!pipelined_ && owed_ > 0) due = std::min(due, last_sign_ + 2 * options_.timeout);
    if (due == TimePoint::max()) return;
    // One that comes too early looks again; that is cheaper than to move it with each request.
    if (deadline_timer_.is_pending() && deadline_due_ <= due) return;
    deadline_due_ = due;
    deadline_timer_.start(loop_, due - loop_.now(), [this] { time_passed(); });
}

void SocketSimulator::time_passed() {
    const auto weak = weak_.ptr();
    const TimePoint time = loop_.now();
    for (;;) {
        Entry* const entry = table_.oldest();
        if (entry == nullptr || time - entry->submitted < options_.timeout) break;
        const uint64_t id = entry->id;
        ++counters_.timeouts;
        give_up(*entry, SST_STATUS_TIMEOUT);
        if (!weak) return;
        if (!queue_.empty() && queue_.front() == id) queue_.pop_front();
    }
    if (stream_ && !pipelined_ && owed_ > 0 && time - last_sign_ >= 2 * options_.timeout) {
        lose("does not answer");
        if (!weak) return;
    }
    send_queued();
    flush_now();
    watch_time();
}

// Lock-step: until the request is answered, whatever else comes meanwhile.
void SocketSimulator::wait_for(uint64_t id) {
    const auto weak = weak_.ptr();
    const TimePoint end = loop_.now() + std::min(options_.wait_limit, options_.timeout);
    while (Entry* const entry = table_.find(id)) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - loop_.now()).count();
        if (left <= 0) {
            ++counters_.timeouts;
            return give_up(*entry, SST_STATUS_TIMEOUT);
        }
        flush_now();
        const short output = stream_.out().size() != 0 ? POLLOUT : 0;
        pollfd ready{stream_.fd(), static_cast<short>(POLLIN | output), 0};
        if (::poll(&ready, 1, static_cast<int>(left)) <= 0) continue;
        if ((ready.revents & ~POLLOUT) != 0 && !take_answers()) return;
        if (!weak) return;
        send_queued();
    }
}

void SocketSimulator::tell(uint32_t type, uint64_t data) {
    if (observer_ == nullptr) return;
    observer_->on_event(SSTEvent{type, 0, now() / kPicosecondsPerNanosecond, data});
}

}  // namespace mimic::sim
