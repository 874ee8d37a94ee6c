// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway_events.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "base/unix_socket.h"
#include "control/event_hub.h"

namespace mimic::gateway {
namespace {

using namespace std::chrono_literals;

// A process that sends more without an event in it is not heard any more.
constexpr size_t kMaxEvent = 64 * 1024;
constexpr size_t kMaxSources = 1024;  // arbitrary
constexpr auto kRescan = 1s;

// HTTP/1.0: the answer then comes without chunks and ends with the connection.
std::string request(std::optional<uint64_t> after) {
    std::string text = "GET /v1/events HTTP/1.0\r\nHost: localhost\r\n";
    if (after) text += fmt::format("Last-Event-ID: {}\r\n", *after);
    return text + "\r\n";
}

// The id of an event as text; 0 without one.
uint64_t id_of(std::string_view event) {
    if (!event.starts_with("id: ")) return 0;
    return control::event_id(event.substr(4, event.find('\n') - 4)).value_or(0);
}

bool is_event(std::string_view block) {
    return block.find("event: ") != std::string_view::npos &&
           std::none_of(block.begin(), block.end(), [](char c) { return c == '\0' || c == '\r'; });
}

}  // namespace

GatewayEvents::GatewayEvents(Sockets sockets, std::optional<uint64_t> after,
                             control::ProcessContext& process)
    : sockets_(std::move(sockets)), process_(process), after_(after) {
    ++process_.merged_readers;
    thread_ = std::thread([this] { run(); });
}

GatewayEvents::~GatewayEvents() {
    stop_ = true;
    thread_.join();
    --process_.merged_readers;
}

void GatewayEvents::run() {
    TimePoint scanned{};
    while (!stop_ && !queue_.closed()) {
        if (SteadyClock().now() - scanned >= kRescan) {
            connect_new(sockets_());
            scanned = SteadyClock().now();
        }
        std::vector<pollfd> fds;
        std::vector<Source*> order;
        for (auto& [path, source] : sources_) {
            const short events = source.unsent.empty() ? POLLIN : POLLOUT;
            fds.push_back({.fd = source.fd.get(), .events = events, .revents = 0});
            order.push_back(&source);
        }
        // Short, so that a reader who goes is noticed: nobody can wake this.
        ::poll(fds.data(), fds.size(), 100);
        for (size_t i = 0; i < fds.size(); ++i)
            if (fds[i].revents != 0) serve(*order[i], fds[i].revents);
        std::erase_if(sources_, [](const auto& entry) { return entry.second.ended; });
    }
}

void GatewayEvents::connect_new(const std::vector<std::string>& sockets) {
    for (const auto& path : sockets) {
        if (sources_.size() >= kMaxSources || sources_.contains(path)) continue;
        auto fd = unix_connect_now(path);
        if (!fd) continue;  // dead, or too busy: the next scan tries again
        // Who comes later, or again, has told us nothing since the last that we passed on.
        const auto after = last_id_ != 0 ? std::optional(last_id_) : after_;
        Source source;
        source.fd = std::move(*fd);
        source.unsent = request(after);
        sources_.emplace(path, std::move(source));
    }
}

void GatewayEvents::serve(Source& source, short revents) {
    if (!source.unsent.empty()) {
        const ssize_t sent = ::send(source.fd.get(), source.unsent.data(), source.unsent.size(),
                                    MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) source.unsent.erase(0, static_cast<size_t>(sent));
        if (sent < 0 && errno != EAGAIN && errno != EINTR) source.ended = true;
        return;
    }
    std::array<char, 16384> buffer{};
    const ssize_t count = ::recv(source.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR) && (revents & POLLERR) == 0) return;
    if (count <= 0) {
        source.ended = true;
        return;
    }
    source.received.append(buffer.data(), static_cast<size_t>(count));
    take_events(source);
    if (source.received.size() > kMaxEvent) source.ended = true;
}

void GatewayEvents::take_events(Source& source) {
    if (!source.body) {
        const size_t end = source.received.find("\r\n\r\n");
        if (end == std::string::npos) return;
        if (!source.received.starts_with("HTTP/1.") || source.received.find(" 200 ") > 12) {
            source.ended = true;  // too many streams: the next scan tries again
            return;
        }
        source.received.erase(0, end + 4);
        source.body = true;
    }
    size_t at = 0;
    for (size_t end = 0; (end = source.received.find("\n\n", at)) != std::string::npos;
         at = end + 2) {
        const std::string_view block(source.received.data() + at, end + 2 - at);
        if (!is_event(block)) continue;  // a comment, or "retry"
        last_id_ = std::max(last_id_, id_of(block));
        if (queue_.push(std::string(block))) ++process_.merged_readers_dropped;
    }
    source.received.erase(0, at);
}

}  // namespace mimic::gateway
