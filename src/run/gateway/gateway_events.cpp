// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway_events.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/unix_socket.h"

namespace mimic::gateway {
namespace {

constexpr size_t kMaxSources = 1024;  // arbitrary

}  // namespace

GatewayEvents::GatewayEvents(FindSources find, service::EventHub& hub, Options options)
    : find_(std::move(find)),
      hub_(hub),
      options_(options),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

GatewayEvents::~GatewayEvents() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ::eventfd_write(wake_.get(), 1);
    if (thread_.joinable()) thread_.join();
}

std::shared_ptr<service::EventQueue> GatewayEvents::subscribe(std::optional<uint64_t> after,
                                                              const std::string& machine) {
    // First, so that it hears what comes while others are still waited for.
    auto reader = hub_.subscribe(after, machine);
    std::unique_lock lock(mutex_);
    const uint64_t mine = ++asked_;
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    ::eventfd_write(wake_.get(), 1);
    changed_.wait_for(lock, 2 * options_.patience, [&] { return answered_ >= mine; });
    return reader;
}

void GatewayEvents::run() {
    TimePoint scanned{};
    uint64_t scanned_for = 0;
    for (;;) {
        uint64_t asked = 0;
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
            asked = asked_;
        }
        if (const TimePoint now = SteadyClock().now();
            asked != scanned_for || now - scanned >= options_.rescan) {
            poll_streams({});  // so that one that has ended is connected to again, not waited for
            scan();
            scanned = now;
            scanned_for = asked;
        }
        if (settled()) {
            const std::lock_guard lock(mutex_);
            answered_ = scanned_for;
            changed_.notify_all();
        }
        // Often enough for the next scan, and to see that nobody is waited for any longer.
        poll_streams(settled() ? options_.rescan
                               : std::min(options_.rescan, options_.patience / 10));
    }
}

void GatewayEvents::scan() {
    if (hub_.forget_if_idle()) {
        streams_.clear();
        return;
    }
    for (auto& [socket, stream] : streams_) stream.listed = false;
    for (const auto& source : find_()) {
        const auto known = streams_.find(source.socket);
        if (known == streams_.end() && streams_.size() >= kMaxSources) continue;
        Stream& stream = known != streams_.end() ? known->second : streams_[source.socket];
        stream.listed = true;
        stream.machine = source.machine;
        if (!stream.fd) connect(source.socket, stream);
    }
    // One that is read from may have something to say about its end.
    std::erase_if(streams_,
                  [](const auto& entry) { return !entry.second.listed && !entry.second.fd; });
}

void GatewayEvents::connect(const std::string& socket, Stream& stream) const {
    auto fd = unix_connect_now(socket);
    if (!fd) return;  // dead, or too busy: the next scan tries again
    stream.fd = std::move(*fd);
    stream.unsent = service::event_stream_request(stream.last_id);
    stream.events = {};
    stream.waited_until = SteadyClock().now() + options_.patience;
}

// Whether nobody needs to be waited for any longer.
bool GatewayEvents::settled() const {
    const TimePoint now = SteadyClock().now();
    return std::all_of(streams_.begin(), streams_.end(), [now](const auto& entry) {
        const Stream& stream = entry.second;
        return !stream.fd || stream.events.subscribed() || now >= stream.waited_until;
    });
}

void GatewayEvents::poll_streams(Duration patience) {
    std::vector<pollfd> fds{{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
    std::vector<Stream*> order;
    for (auto& [socket, stream] : streams_) {
        if (!stream.fd) continue;
        const short events = stream.unsent.empty() ? POLLIN : POLLOUT;
        fds.push_back({.fd = stream.fd.get(), .events = events, .revents = 0});
        order.push_back(&stream);
    }
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(patience);
    ::poll(fds.data(), fds.size(), static_cast<int>(wait.count()));
    eventfd_t woken = 0;
    ::eventfd_read(wake_.get(), &woken);
    for (size_t i = 0; i < order.size(); ++i)
        if (fds[i + 1].revents != 0) serve(*order[i]);
}

void GatewayEvents::serve(Stream& stream) const {
    const auto would_block = [] { return errno == EAGAIN || errno == EINTR; };
    if (!stream.unsent.empty()) {
        const ssize_t sent = ::send(stream.fd.get(), stream.unsent.data(), stream.unsent.size(),
                                    MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) stream.unsent.erase(0, static_cast<size_t>(sent));
        if (sent < 0 && !would_block()) stream.fd.reset();
        return;
    }
    std::array<char, 16384> buffer{};
    const ssize_t count = ::recv(stream.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && would_block()) return;
    const bool good = count > 0 && stream.events.take({buffer.data(), static_cast<size_t>(count)},
                                                      [&](service::StreamEvent event) {
                                                          pass_on(stream, std::move(event));
                                                      });
    if (!good) stream.fd.reset();
}

void GatewayEvents::pass_on(Stream& stream, service::StreamEvent event) const {
    // We were too slow for it, and ask for the rest when the stream has ended.
    if (event.type == "dropped") return;
    event.data["machine"] = stream.machine;
    if (event.id) stream.last_id = event.id;
    hub_.pass_on(event.type, event.data);
}

}  // namespace mimic::gateway
