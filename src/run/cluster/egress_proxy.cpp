// SPDX-License-Identifier: Apache-2.0
#include "cluster/egress_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>

#include "base/private_files.h"

namespace mimic::cluster {
namespace {

constexpr unsigned kMaxConnections = 256;  // arbitrary: logs -f and exec hold one each
constexpr size_t kMaxRequest = 8192;       // arbitrary; the API server's has 100 bytes
constexpr int kRequestTimeout_ms = 10'000;

/// The end of a request is no more than this away from its beginning. Empty: it is none.
std::string read_request(int client) {
    std::string request;
    std::array<char, 512> buffer{};
    while (request.size() < kMaxRequest) {
        pollfd readable{.fd = client, .events = POLLIN, .revents = 0};
        if (::poll(&readable, 1, kRequestTimeout_ms) <= 0) return "";
        // The API server sends no more before the answer: nothing of the stream is read here.
        const ssize_t count = ::recv(client, buffer.data(), buffer.size(), 0);
        if (count <= 0) return "";
        request.append(buffer.data(), static_cast<size_t>(count));
        if (request.ends_with("\r\n\r\n")) return request;
    }
    return "";
}

UniqueFd connect_loopback(uint16_t port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!fd ||
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fd.reset();
    return fd;
}

/// Copies what `from` has to `to`. False: `from` has ended, or `to` takes no more.
bool copy_some(int from, int to) {
    std::array<char, 16384> buffer{};
    const ssize_t count = ::recv(from, buffer.data(), buffer.size(), 0);
    if (count <= 0) return false;
    return write_all(to, {buffer.data(), static_cast<size_t>(count)}).has_value();
}

/// Carries bytes both ways until both ends are done or `stop` is readable.
void relay(int left, int right, int stop) {
    std::array<pollfd, 3> fds{{{left, POLLIN, 0}, {right, POLLIN, 0}, {stop, POLLIN, 0}}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
        if (fds[2].revents != 0) return;
        for (const size_t side : {size_t{0}, size_t{1}}) {
            if (fds[side].fd < 0 || fds[side].revents == 0) continue;
            const int to = side == 0 ? right : left;
            if (copy_some(fds[side].fd, to)) continue;
            ::shutdown(to, SHUT_WR);
            fds[side].fd = -1;  // poll(2) passes it over
        }
    }
}

}  // namespace

std::string connect_target(std::string_view request) {
    constexpr std::string_view kMethod = "CONNECT ";
    const std::string_view line = request.substr(0, request.find("\r\n"));
    if (!line.starts_with(kMethod)) return "";
    const size_t end = line.find(' ', kMethod.size());
    if (end == std::string_view::npos || !line.substr(end + 1).starts_with("HTTP/1.")) return "";
    return std::string(line.substr(kMethod.size(), end - kMethod.size()));
}

Result<std::unique_ptr<EgressProxy>> EgressProxy::create(const std::string& socket,
                                                         std::map<std::string, uint16_t> targets) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket.size() >= sizeof address.sun_path)
        return fail(std::errc::filename_too_long, "{}", socket);
    std::memcpy(address.sun_path, socket.c_str(), socket.size());
    UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::unlink(socket.c_str());
    if (!listener ||
        ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener.get(), 64) != 0)
        return fail_errno("{}", socket);
    UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
    if (!stop) return fail_errno("eventfd");
    return std::unique_ptr<EgressProxy>(
        new EgressProxy(std::move(listener), std::move(stop), std::move(targets)));
}

EgressProxy::EgressProxy(UniqueFd listener, UniqueFd stop, std::map<std::string, uint16_t> targets)
    : listener_(std::move(listener)),
      stop_(std::move(stop)),
      targets_(std::move(targets)),
      thread_([this] { accept_all(); }) {}

EgressProxy::~EgressProxy() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
    thread_.join();
    while (connections_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

void EgressProxy::accept_all() {
    for (;;) {
        std::array<pollfd, 2> fds{{{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
        if (::poll(fds.data(), fds.size(), -1) < 0) continue;
        if (fds[1].revents != 0) return;
        UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!client || connections_ >= kMaxConnections) continue;
        ++connections_;
        std::thread([this, fd = client.release()] {
            serve(UniqueFd(fd));
            --connections_;
        }).detach();
    }
}

void EgressProxy::serve(UniqueFd client) const {
    const auto target = targets_.find(connect_target(read_request(client.get())));
    const UniqueFd server = target == targets_.end() ? UniqueFd()
                                                     : connect_loopback(target->second);
    const std::string_view answer = server ? "HTTP/1.1 200 OK\r\n\r\n"
                                           : "HTTP/1.1 502 Bad Gateway\r\n\r\n";
    if (!write_all(client.get(), answer) || !server) return;
    relay(client.get(), server.get(), stop_.get());
}

}  // namespace mimic::cluster
