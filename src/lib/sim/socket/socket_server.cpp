// SPDX-License-Identifier: Apache-2.0
#include "sim/socket/socket_server.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

namespace mimic::sim {
namespace {

// Without descriptors for a waiting client: look again then, instead of in each turn.
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);
constexpr int kLooksForPatience = 4;  // so it may take a quarter longer

}  // namespace

Result<std::unique_ptr<Server>> Server::listen(const ServerOptions& options, EventLoop& loop,
                                               ServerHandler& handler) {
    MIMIC_ASSIGN_OR_RETURN(auto listener, UnixListener::listen(options.path));
    auto server = std::make_unique<SocketServer>(options, std::move(listener), loop, handler);
    MIMIC_TRY(server->start());
    return server;
}

SocketServer::SocketServer(ServerOptions options, UnixListener listener, EventLoop& loop,
                           ServerHandler& handler)
    : options_(std::move(options)),
      listener_(std::move(listener)),
      loop_(loop),
      handler_(handler) {}

SocketServer::~SocketServer() {
    loop_.unwatch(listener_.fd());
}

Status SocketServer::start() {
    return loop_.watch(listener_.fd(), EPOLLIN, *this);
}

void SocketServer::on_fd_ready(uint32_t /*events*/) {
    thread_.check();
    while (accept_one()) {
        if (loop_.share_is_over()) return;
    }
}

bool SocketServer::accept_one() {
    auto fd = listener_.accept();
    if (!fd) {
        if (uint64_t more = 0; accept_log_.allow(loop_.now(), more))
            MIMIC_LOG("sim", kWarn, "{}{}", fd.error().message(), log::more_like_it(more));
        loop_.unwatch(listener_.fd());
        accept_timer_.start(loop_, kAcceptPause, [this] {
            if (const auto watched = start(); !watched)
                MIMIC_LOG("sim", kError, "{}", watched.error().message());
        });
        return false;
    }
    if (!*fd) return false;
    if (connections_.size() >= options_.max_clients) {
        ++counters_.refused;
        return true;  // and closes it
    }
    const uint64_t id = ++last_id_;
    auto connection = std::make_unique<ServerConnection>(*this, id, std::move(*fd));
    if (const auto started = connection->start(); !started) {
        MIMIC_LOG("sim", kWarn, "{}", started.error().message());
        return true;
    }
    ++counters_.connections;
    connections_[id] = std::move(connection);
    handler_.on_connected(id);
    return true;
}

void SocketServer::answer(const Ticket& ticket, const SSTResponse& response,
                          const sst_timing& timing) {
    thread_.check();
    const auto found = connections_.find(ticket.client);
    if (found == connections_.end()) {
        ++counters_.dropped;
        return;
    }
    found->second->answer(ticket, response, timing);
}

ServerCounters SocketServer::counters() const {
    ServerCounters counters = counters_;
    counters.clients = connections_.size();
    return counters;
}

void SocketServer::flush_soon(ServerConnection& connection) {
    if (std::find(unflushed_.begin(), unflushed_.end(), connection.id()) == unflushed_.end())
        unflushed_.push_back(connection.id());
    if (!flush_timer_.is_pending()) flush_timer_.post(loop_, [this] { flush_all(); });
}

void SocketServer::flush_all() {
    for (const uint64_t id : std::exchange(unflushed_, {})) {
        const auto found = connections_.find(id);
        if (found != connections_.end()) found->second->answers_over();
    }
}

void SocketServer::watch_time() {
    if (patience_timer_.is_pending()) return;
    patience_timer_.start(loop_, options_.patience / kLooksForPatience, [this] { time_passed(); });
}

void SocketServer::time_passed() {
    std::vector<uint64_t> watched;
    for (const auto& [id, connection] : connections_) {
        if (connection->is_watched()) watched.push_back(id);
    }
    const TimePoint now = loop_.now();
    for (const uint64_t id : watched) {
        const auto found = connections_.find(id);
        if (found != connections_.end()) found->second->time_passed(now);
    }
    for (const auto& [id, connection] : connections_) {
        if (connection->is_watched()) return watch_time();
    }
}

void SocketServer::lost(ServerConnection& connection) {
    const uint64_t id = connection.id();
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    gone_.push_back(std::move(found->second));
    connections_.erase(found);
    if (!reap_timer_.is_pending()) reap_timer_.post(loop_, [this] { gone_.clear(); });
    handler_.on_disconnected(id);
}

}  // namespace mimic::sim
