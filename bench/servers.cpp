// SPDX-License-Identifier: Apache-2.0
#include "bench/servers.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/event_loop.h"
#include "bench/measure.h"
#include "bench/wire.h"
#include "devices/mock_accel/mock_accel.h"
#include "vfio_user/server.h"

namespace mimic::bench {
namespace {

constexpr size_t kReadRequest = 32;
constexpr size_t kReadReply = 36;

[[noreturn]] void fail_with(const char* what) {
    std::perror(what);
    std::exit(1);
}

// Blocking recv and send of the same sizes: the floor that any request-reply server over this socket has.
[[noreturn]] void serve_bare(int fd) {
    std::array<uint8_t, 65536> buffer;
    const std::array<uint8_t, kReadReply> reply{};
    for (;;) {
        const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (n <= 0) ::_exit(0);
        // A request of the read's size gets a reply, anything else is the one-way stream of the write benchmark.
        if (static_cast<size_t>(n) == kReadRequest &&
            ::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) < 0)
            ::_exit(0);
    }
}

[[noreturn]] void serve_mimic(const std::string& path) {
    auto loop = EventLoop::create();
    if (!loop) fail_with("event loop");
    mock_accel::Options options;
    options.name = "bench";
    options.identifier = "BENCH-0001";
    auto device = mock_accel::MockAccel::create(options);
    if (!device) fail_with(device.error().message().c_str());
    vfio_user::LoopContext context(**loop);
    auto server = vfio_user::Server::create(context, **device, {path, {}});
    if (!server) fail_with(server.error().message().c_str());
    (*loop)->run();
    ::_exit(0);
}

}  // namespace

Child Child::start(Kind kind, int cpu) {
    Child child;
    const auto path = "/tmp/mimic-bench-" + std::to_string(::getpid()) + ".sock";
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) fail_with("socketpair");
    child.pid_ = ::fork();
    if (child.pid_ < 0) fail_with("fork");
    if (child.pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::close(pair[0]);
        pin_to(cpu);
        if (kind == Kind::kBare) serve_bare(pair[1]);
        serve_mimic(path);
    }
    ::close(pair[1]);
    child.fd_.reset(pair[0]);
    if (kind == Kind::kBare) return child;
    for (int i = 0; i < 500; ++i) {
        if (auto fd = unix_connect(path)) {
            child.fd_ = std::move(*fd);
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (!negotiate(child.fd())) fail_with("negotiation with the server");
    ::unlink(path.c_str());
    return child;
}

Child::Child(Child&& other) noexcept
    : fd_(std::move(other.fd_)), pid_(std::exchange(other.pid_, -1)) {}

Child::~Child() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

}  // namespace mimic::bench
