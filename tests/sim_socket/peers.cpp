// SPDX-License-Identifier: Apache-2.0
#include "tests/sim_socket/peers.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/private_files.h"

namespace mimic::sim::testing {

SocketFolder::SocketFolder() {
    std::string pattern = "/tmp/mimic-sim-test-XXXXXX";
    MIMIC_CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
}

SocketFolder::~SocketFolder() {
    (void)remove_tree(folder_);
}

bool run_until(EventLoop& loop, const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) return false;
        loop.run_once(std::chrono::milliseconds(5));
    }
    return true;
}

SSTRequest request_of(uint32_t type, uint64_t id, uint64_t user_data) {
    SSTRequest request{};
    request.type = type;
    request.request_id = id;
    request.user_data = user_data;
    return request;
}

bool read_exactly(int fd, void* data, size_t size) {
    auto* at = static_cast<char*>(data);
    while (size != 0) {
        const ssize_t got = ::read(fd, at, size);
        if (got <= 0) return false;
        at += got;
        size -= static_cast<size_t>(got);
    }
    return true;
}

bool write_exactly(int fd, const void* data, size_t size) {
    const auto* at = static_cast<const char*>(data);
    while (size != 0) {
        const ssize_t sent = ::send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += sent;
        size -= static_cast<size_t>(sent);
    }
    return true;
}

PeerServer::PeerServer(const std::string& path, Serve serve)
    : listener_(UnixListener::listen(path).value()), serve_(std::move(serve)) {
    thread_ = std::thread([this] { run(); });
}

PeerServer::~PeerServer() {
    stop_ = true;
    if (const int fd = fd_; fd >= 0) ::shutdown(fd, SHUT_RDWR);
    thread_.join();
}

void PeerServer::run() {
    while (!stop_) {
        pollfd ready{listener_.fd(), POLLIN, 0};
        if (::poll(&ready, 1, 10) <= 0) continue;
        const UniqueFd fd(::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd) continue;
        fd_ = fd.get();
        if (!stop_) serve_(fd.get());
        fd_ = -1;
    }
}

size_t Events::count(uint32_t type, uint64_t data) const {
    return static_cast<size_t>(std::count_if(all.begin(), all.end(), [&](const SSTEvent& event) {
        return event.type == type && event.data == data;
    }));
}

}  // namespace mimic::sim::testing
