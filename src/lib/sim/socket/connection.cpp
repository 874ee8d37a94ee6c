// SPDX-License-Identifier: Apache-2.0
// How a SocketSimulator's peer comes, is asked what it can, goes and comes back.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/private_files.h"
#include "base/unix_socket.h"
#include "sim/socket/socket_simulator.h"
#include "sim/socket/wire.h"

namespace mimic::sim {
namespace {

// A connection that lived this long was a good one: the next retries are quick again. Arbitrary.
constexpr Duration kGoodLife = std::chrono::seconds(1);
constexpr Duration kLockStepLook = std::chrono::milliseconds(5);

}  // namespace

SocketSimulator::SocketSimulator(SocketOptions options, std::string folder, EventLoop& loop)
    : options_(std::move(options)),
      folder_(std::move(folder)),
      loop_(loop),
      table_(options_.max_in_flight + options_.max_queued),
      born_(loop.now()),
      retry_(options_.first_retry) {}

SocketSimulator::~SocketSimulator() {
    close();
    if (child_) Child::end(std::move(*child_), loop_);
    if (folder_.empty()) return;
    if (const auto removed = remove_tree(folder_); !removed)
        MIMIC_LOG("sim", kWarn, "{}", removed.error().message());
}

void SocketSimulator::start() {
    try_to_connect();
}

void SocketSimulator::try_to_connect() {
    if (stream_) return;
    run_program();
    auto fd = unix_connect_now(options_.path);
    if (fd) {
        connected(std::move(*fd));
    } else {
        MIMIC_LOG("sim", kDebug, "{}", fd.error().message());
        retry_later();
    }
}

void SocketSimulator::run_program() {
    if (options_.command.empty() || (child_ && child_->running())) return;
    if (child_) {
        if (uint64_t more = 0; child_log_.allow(loop_.now(), more))
            MIMIC_LOG("sim", kWarn, "simulator {} ended: {}; starting it again{}",
                      options_.command.front(), child_->how_it_ended(), log::more_like_it(more));
        child_.reset();
    }
    // One that was killed leaves its socket, in whose way the next would not get. In a folder of
    // the user's it may be somebody else's.
    if (!folder_.empty()) ::unlink(options_.path.c_str());
    auto child = Child::start(options_.command);
    if (child) {
        child_ = std::move(*child);
    } else if (uint64_t more = 0; child_log_.allow(loop_.now(), more)) {
        MIMIC_LOG("sim", kError, "simulator {}: {}{}", options_.command.front(),
                  child.error().message(), log::more_like_it(more));
    }
}

void SocketSimulator::retry_later() {
    retry_timer_.start(loop_, retry_, [this] { try_to_connect(); });
    retry_ = std::min(retry_ * 2, options_.last_retry);
}

void SocketSimulator::connected(UniqueFd fd) {
    stream_ = Stream(std::move(fd));
    if (const auto watched = loop_.watch(stream_.fd(), EPOLLIN, *this); !watched) {
        MIMIC_LOG("sim", kWarn, "{}: {}", options_.path, watched.error().message());
        stream_.close();
        return retry_later();
    }
    retry_timer_.cancel();
    ++counters_.connections;
    late_.clear();  // their answers went with the former
    connected_at_ = loop_.now();
    if (offer() == 0) return hello_answered(0);
    state_ = State::kAsking;
    say_hello();
}

uint32_t SocketSimulator::offer() const {
    return (options_.pipelined ? uint32_t{SST_FLAG_PIPELINE} : 0) |
           (options_.timed ? uint32_t{SST_FLAG_TIMED} : 0);
}

void SocketSimulator::say_hello() {
    SSTRequest request{};
    request.type = SST_REQ_NOOP;
    write(request, kHelloId, offer(), 0);
    owed_ = 1;
    watch_time();
    flush_now();
}

void SocketSimulator::hello_answered(uint32_t accepted) {
    state_ = State::kReady;
    accepted &= offer();
    pipelined_ = (accepted & SST_FLAG_PIPELINE) != 0;
    timed_ = (accepted & SST_FLAG_TIMED) != 0;
    MIMIC_LOG("sim", kInfo, "simulator at {}: {}, {}", options_.path,
              pipelined_ ? "many requests in flight" : "one request in flight",
              timed_ ? "with simulated times" : "without simulated times");
    tell(SST_EVENT_NOTIFICATION, SST_NOTICE_SIMULATOR_READY);
}

// Lock-step has no later: the first request waits for a program that is still starting.
void SocketSimulator::connect_for_lock_step() {
    if (std::exchange(waited_, true) || counters_.connections != 0) return;
    const TimePoint end = loop_.now() + options_.wait_limit;
    for (;;) {
        try_to_connect();
        if (stream_ || loop_.now() >= end) return;
        std::this_thread::sleep_for(kLockStepLook);
    }
}

void SocketSimulator::close() {
    if (!stream_) return;
    loop_.unwatch(stream_.fd());
    stream_.close();
    state_ = State::kAway;
    watches_output_ = pipelined_ = timed_ = reset_wanted_ = false;
    owed_ = 0;
    queue_.clear();
    flush_timer_.cancel();
}

void SocketSimulator::lose(std::string_view why) {
    const auto weak = weak_.ptr();
    close();
    if (uint64_t more = 0; lost_log_.allow(loop_.now(), more))
        MIMIC_LOG("sim", kWarn, "simulator at {} {}, with {} requests{}", options_.path, why,
                  table_.size(), log::more_like_it(more));
    if (loop_.now() - connected_at_ >= kGoodLife) retry_ = options_.first_retry;
    retry_later();
    tell(SST_EVENT_ERROR, static_cast<uint64_t>(SST_ERROR_SIMULATOR_LOST) << 56);
    // Those that come meanwhile are answered without an entry, so this ends.
    while (weak && state_ == State::kAway) {
        Entry* const entry = table_.oldest();
        if (entry == nullptr) return;
        ++counters_.lost;
        give_up(*entry, SST_STATUS_NO_DEVICE);
    }
}

}  // namespace mimic::sim
