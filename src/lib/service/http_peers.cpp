// SPDX-License-Identifier: Apache-2.0
#include "service/http_peers.h"

#include <microhttpd.h>
#include <sys/socket.h>

#include <algorithm>

namespace mimic::service {

HttpServer::Peers::Peers(HttpLimits limits) : limits_(limits), thread_([this] { run(); }) {}

HttpServer::Peers::~Peers() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

HttpServer::Peers::Peer* HttpServer::Peers::of(MHD_Connection* connection) {
    const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != nullptr ? static_cast<Peer*>(info->socket_context) : nullptr;
}

// Whoever serves the connection then reads its end, and closes it.
void HttpServer::Peers::drop(Peer& peer) {
    peer.dropped = true;
    ::shutdown(peer.fd, SHUT_RDWR);
}

HttpServer::Peers::Peer* HttpServer::Peers::opened(int fd) {
    const std::lock_guard lock(mutex_);
    const auto is_stranger = [](const Peer& peer) { return !peer.known && !peer.dropped; };
    if (std::count_if(peers_.begin(), peers_.end(), is_stranger) >= limits_.strangers) {
        drop(*std::find_if(peers_.begin(), peers_.end(), is_stranger));
    }
    peers_.push_back({.fd = fd, .deadline = SteadyClock().now() + limits_.head});
    changed_.notify_all();
    return &peers_.back();
}

void HttpServer::Peers::closed(Peer* peer) {
    if (peer == nullptr) return;
    const std::lock_guard lock(mutex_);
    if (peer->known) --known_;
    peers_.remove_if([peer](const Peer& one) { return &one == peer; });
}

bool HttpServer::Peers::admit(Peer* peer) {
    if (peer == nullptr) return false;
    const std::lock_guard lock(mutex_);
    if (!peer->known) {
        if (known_ >= kMaxHttpConnections) return false;
        peer->known = true;
        ++known_;
    }
    peer->deadline = SteadyClock().now() + limits_.body;
    changed_.notify_all();
    return true;
}

void HttpServer::Peers::request_arrived(Peer* peer) {
    if (peer == nullptr) return;
    const std::lock_guard lock(mutex_);
    // A stranger's time goes on: it may ask for the page again and again, but not for ever.
    if (peer->known) peer->deadline = TimePoint::max();
}

void HttpServer::Peers::answered(Peer* peer) {
    if (peer == nullptr) return;
    const std::lock_guard lock(mutex_);
    if (!peer->known) return;
    peer->deadline = SteadyClock().now() + limits_.head;
    changed_.notify_all();
}

void HttpServer::Peers::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const TimePoint now = SteadyClock().now();
        TimePoint next = TimePoint::max();
        for (Peer& peer : peers_) {
            if (peer.dropped) continue;
            if (peer.deadline <= now) {
                drop(peer);
            } else {
                next = std::min(next, peer.deadline);
            }
        }
        if (next == TimePoint::max()) {
            changed_.wait(lock);
        } else {
            changed_.wait_for(lock, next - now);
        }
    }
}

}  // namespace mimic::service
