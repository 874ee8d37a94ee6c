// SPDX-License-Identifier: Apache-2.0
// The mediator's socket: NOPs from a device's queue to the mimic-mediator beside this program and
// back, against a bare ping-pong of the same bytes (a frame and a request, a frame and a response)
// over the same kind of socket, with one request in flight and with 64. Each is two processes, and
// they take turns. NOPs pass admission, limits and the engine, and run on no backend.
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/event_loop.h"
#include "bench/measure.h"
#include "compute/queue.h"
#include "compute/request.h"
#include "compute/wire.h"

namespace mimic::bench {
namespace {

using namespace compute;

constexpr int kRounds = 31;
constexpr uint64_t kRequestsAlone = 2000;  // of a round
constexpr uint64_t kRequestsBatched = 100'000;
constexpr size_t kBatch = 64;
constexpr size_t kRequestBytes = sizeof(wire::Frame) + sizeof(vgpu_request);
constexpr size_t kResponseBytes = sizeof(wire::Frame) + sizeof(vgpu_response);

[[noreturn]] void give_up(const std::string& why) {
    std::fputs(fmt::format("bench_vgpu_socket: {}\n", why).c_str(), stderr);
    std::_Exit(1);
}

bool read_all(int fd, std::byte* at, size_t size) {
    while (size != 0) {
        const ssize_t got = ::read(fd, at, size);
        if (got <= 0) return false;
        at += got;
        size -= static_cast<size_t>(got);
    }
    return true;
}

bool write_all(int fd, const std::byte* at, size_t size) {
    while (size != 0) {
        const ssize_t sent = ::send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += sent;
        size -= static_cast<size_t>(sent);
    }
    return true;
}

/// A process that is ended with this one.
class Child {
public:
    explicit Child(pid_t pid) : pid_(pid) {}
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        ::kill(pid_, SIGTERM);
        ::waitpid(pid_, nullptr, 0);
    }

private:
    const pid_t pid_;
};

/// As bare as it gets: blocking calls, one each a message, or a batch of `batch` messages.
class BarePingPong {
public:
    explicit BarePingPong(size_t batch)
        : batch_(batch), requests_(batch * kRequestBytes), responses_(batch * kResponseBytes) {
        std::array<int, 2> pair{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
            give_up("socketpair failed");
        const pid_t pid = ::fork();
        if (pid < 0) give_up("fork failed");
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::close(pair[0]);
            while (read_all(pair[1], requests_.data(), requests_.size()) &&
                   write_all(pair[1], responses_.data(), responses_.size())) {
            }
            std::_Exit(0);
        }
        ::close(pair[1]);
        fd_.reset(pair[0]);
        child_ = std::make_unique<Child>(pid);
    }

    /// Seconds of so many requests.
    double run(uint64_t requests) {
        const uint64_t start = now_ns();
        for (uint64_t done = 0; done < requests; done += batch_)
            if (!write_all(fd_.get(), requests_.data(), requests_.size()) ||
                !read_all(fd_.get(), responses_.data(), responses_.size()))
                give_up("the bare peer has gone");
        return static_cast<double>(now_ns() - start) * 1e-9;
    }

private:
    const size_t batch_;
    std::vector<std::byte> requests_;
    std::vector<std::byte> responses_;
    UniqueFd fd_;
    std::unique_ptr<Child> child_;
};

/// The queue of a device, with `depth` NOPs in flight.
class Ours {
public:
    Ours(const std::string& path, uint32_t vm, size_t depth) : depth_(depth) {
        SocketOptions options;
        options.path = path;
        options.identity.vm_id = vm;
        queue_ = make_socket_queue(options, *loop_).value();
        loop_->set_spin(std::chrono::microseconds(50));  // as the loops of device hosts
        const uint64_t start = now_ns();
        while (!queue_->connected()) {
            loop_->run_once(std::chrono::milliseconds(1));
            if (now_ns() - start > 20'000'000'000u) give_up("mimic-mediator does not come");
        }
    }

    double run(uint64_t requests) {
        left_ = waiting_ = requests;
        const uint64_t start = now_ns();
        loop_->post([this] {
            for (size_t i = 0; i < depth_; ++i) submit();
        });
        loop_->run();
        return static_cast<double>(now_ns() - start) * 1e-9;
    }

private:
    void submit() {
        if (left_ == 0) return;
        --left_;
        // The request is made anew, as a device does that gets it from a guest.
        queue_->submit(1, request_, VGPU_BUFFER_SIZE, [this](const Completion& done) {
            if (done.error != VGPU_OK) give_up(fmt::format("error {}", int{done.error}));
            if (--waiting_ == 0) return loop_->stop();
            submit();
        });
    }

    const size_t depth_;
    uint64_t left_ = 0;
    uint64_t waiting_ = 0;
    const std::vector<std::byte> request_ = make_request(VGPU_OP_NOP);
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<Queue> queue_;
};

void compare(const std::string& name, Ours& ours, BarePingPong& bare, uint64_t requests,
             const std::string& goal) {
    ours.run(requests / 4);
    bare.run(requests / 4);
    std::vector<double> ratios, our_rates, bare_rates;
    for (int round = 0; round < kRounds; ++round) {
        const double bare_time = bare.run(requests);
        const double our_time = ours.run(requests);
        our_rates.push_back(static_cast<double>(requests) / our_time);
        bare_rates.push_back(static_cast<double>(requests) / bare_time);
        ratios.push_back(bare_time / our_time);
    }
    fmt::print("{}: ours {:.0f} k/s, bare {:.0f} k/s, ratio {:.2f} (goal {})\n", name,
               median(our_rates) / 1e3, median(bare_rates) / 1e3, median(ratios), goal);
    std::fflush(stdout);
}

std::unique_ptr<Child> start_mediator(const std::string& folder, const std::string& socket) {
    const auto beside = std::filesystem::read_symlink("/proc/self/exe").parent_path() /
                        "mimic-mediator";
    std::vector<std::string> words{
        beside,         "--socket",      socket,    "--pool", "A=cpu:1",
        "--run-folder", folder + "/run", "--quiet", "--name", fmt::format("bench-{}", ::getpid())};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t pid = 0;
    if (::posix_spawn(&pid, words[0].c_str(), nullptr, nullptr, arguments.data(), environ) != 0)
        give_up(words[0] + " cannot be started");
    return std::make_unique<Child>(pid);
}

void run(const std::string& folder) {
    const std::string socket = folder + "/mediator.sock";
    const auto mediator = start_mediator(folder, socket);
    {
        Ours ours(socket, 1, 1);
        BarePingPong bare(1);
        compare("mediator's socket, NOP, one in flight", ours, bare, kRequestsAlone,
                "ratio >= 0.80");
    }
    Ours ours(socket, 2, kBatch);
    BarePingPong bare(kBatch);
    compare("mediator's socket, NOP, 64 in flight, batched", ours, bare, kRequestsBatched,
            "ours >= 1500 k/s");
}

}  // namespace
}  // namespace mimic::bench

int main() {
    std::string folder = "/tmp/mimic-bench-vgpu-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) mimic::bench::give_up("mkdtemp failed");
    mimic::bench::run(folder);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
}
