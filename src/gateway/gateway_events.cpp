// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway_events.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/unix_socket.h"
#include "gateway/peer_json.h"

namespace mimic::gateway {
namespace {

using Json = nlohmann::ordered_json;

// A process that sends more without an event in it is not heard any more.
constexpr size_t kMaxEvent = size_t{64} << 10;
constexpr size_t kMaxSources = 1024;  // arbitrary
constexpr size_t kMaxType = 32;       // the same

// HTTP/1.0: the answer then comes without chunks and ends with the connection.
std::string request(std::optional<uint64_t> after) {
    std::string text = "GET /v1/events HTTP/1.0\r\nHost: localhost\r\n";
    if (after) text += fmt::format("Last-Event-ID: {}\r\n", *after);
    return text + "\r\n";
}

// The value of line `name` ("data: ") of an event; empty if it has none.
std::string_view line_of(std::string_view event, std::string_view name) {
    while (!event.empty()) {
        const std::string_view line = event.substr(0, event.find('\n'));
        if (line.starts_with(name)) return line.substr(name.size());
        event.remove_prefix(std::min(line.size() + 1, event.size()));
    }
    return {};
}

bool is_type(std::string_view text) {
    return !text.empty() && text.size() <= kMaxType &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
}

}  // namespace

GatewayEvents::GatewayEvents(FindSources find, control::EventHub& hub, Options options)
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

std::shared_ptr<control::EventQueue> GatewayEvents::subscribe(std::optional<uint64_t> after,
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
    stream.unsent = request(stream.last_id);
    stream.received.clear();
    stream.subscribed = false;
    stream.waited_until = SteadyClock().now() + options_.patience;
}

// Whether nobody needs to be waited for any longer.
bool GatewayEvents::settled() const {
    const TimePoint now = SteadyClock().now();
    return std::all_of(streams_.begin(), streams_.end(), [now](const auto& entry) {
        const Stream& stream = entry.second;
        return !stream.fd || stream.subscribed || now >= stream.waited_until;
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
    if (count > 0) stream.received.append(buffer.data(), static_cast<size_t>(count));
    if (count <= 0 || !take_head(stream) || !take_events(stream)) stream.fd.reset();
}

// False for another answer than a stream, such as too many of them.
bool GatewayEvents::take_head(Stream& stream) const {
    if (stream.subscribed) return true;
    const size_t end = stream.received.find("\r\n\r\n");
    if (end == std::string::npos) return true;
    if (!stream.received.starts_with("HTTP/1.") || stream.received.find(" 200 ") != 8) return false;
    stream.received.erase(0, end + 4);
    stream.subscribed = true;
    return true;
}

// False for one that is not heard any longer.
bool GatewayEvents::take_events(Stream& stream) const {
    size_t at = 0;
    bool good = true;
    if (stream.subscribed) {
        for (size_t end = 0; good && (end = stream.received.find("\n\n", at)) != std::string::npos;
             at = end + 2)
            good = take_event(stream, std::string_view(stream.received).substr(at, end - at));
    }
    stream.received.erase(0, at);
    return good && stream.received.size() <= kMaxEvent;
}

bool GatewayEvents::take_event(Stream& stream, std::string_view block) const {
    if (block.size() > kMaxEvent) return false;
    const std::string_view type = line_of(block, "event: ");
    if (type.empty()) return true;  // a comment, or "retry"
    // We were too slow for it, and ask for the rest when the stream has ended.
    if (type == "dropped") return true;
    Json data = parse_peer_json(line_of(block, "data: "));
    const auto time = data.find("time_us");
    if (!is_type(type) || time == data.end() || !time->is_number_unsigned()) return false;
    data["machine"] = stream.machine;
    if (const auto id = control::event_id(line_of(block, "id: "))) stream.last_id = *id;
    hub_.pass_on(type, data);
    return true;
}

}  // namespace mimic::gateway
