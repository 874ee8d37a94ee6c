// SPDX-License-Identifier: Apache-2.0
// The simulator's socket against a bare ping-pong of the same bytes over the same kind of socket:
// 4,104 bytes there, 4,112 back, with one request in flight and with 64 in batches. Both ends are
// threads of this process in both cases; batches of the two are taken in turns, so that what else
// the machine does meets both.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/event_loop.h"
#include "base/stream.h"
#include "base/unix_socket.h"
#include "bench/measure.h"
#include "sim/socket/client.h"
#include "sim/socket/server.h"

namespace mimic::bench {
namespace {

using namespace sim;

constexpr int kRounds = 31;
constexpr int kRequestsAlone = 2000;  // of a round
constexpr int kBatchesOfRound = 200;
constexpr size_t kBatch = 64;

void read_all(int fd, void* data, size_t size) {
    auto* at = static_cast<char*>(data);
    while (size != 0) {
        const ssize_t got = ::read(fd, at, size);
        if (got <= 0) std::abort();
        at += got;
        size -= static_cast<size_t>(got);
    }
}

void write_all(int fd, const void* data, size_t size) {
    const auto* at = static_cast<const char*>(data);
    while (size != 0) {
        const ssize_t sent = ::send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0) std::abort();
        at += sent;
        size -= static_cast<size_t>(sent);
    }
}

/// As bare as it gets: blocking calls, one of each a message, or a batch of `batch` messages.
class BarePingPong {
public:
    explicit BarePingPong(size_t batch) : batch_(batch) {
        std::array<int, 2> pair{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) std::abort();
        here_.reset(pair[0]);
        for (const int fd : pair) {  // as ours
            const int bytes = static_cast<int>(Stream::kMostAtOnce);
            ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        }
        thread_ = std::thread([this, fd = pair[1]] { answer(UniqueFd(fd)); });
        requests_.resize(batch);
        responses_.resize(batch);
    }
    ~BarePingPong() {
        ::shutdown(here_.get(), SHUT_RDWR);
        thread_.join();
    }

    /// Seconds of `exchanges` batches.
    double run(int exchanges) {
        const uint64_t start = now_ns();
        for (int i = 0; i < exchanges; ++i) {
            // The request is made anew, as a device does that gets it from a guest.
            for (auto& request : requests_) request = model_;
            write_all(here_.get(), requests_.data(), batch_ * sizeof(SSTRequest));
            read_all(here_.get(), responses_.data(), batch_ * sizeof(SSTResponse));
        }
        return static_cast<double>(now_ns() - start) * 1e-9;
    }

private:
    void answer(UniqueFd fd) const {
        std::vector<SSTRequest> requests(batch_);
        std::vector<SSTResponse> responses(batch_);
        for (;;) {
            auto* at = reinterpret_cast<char*>(requests.data());
            for (size_t left = batch_ * sizeof(SSTRequest); left != 0;) {
                const ssize_t got = ::read(fd.get(), at, left);
                if (got <= 0) return;
                at += got;
                left -= static_cast<size_t>(got);
            }
            for (size_t i = 0; i < batch_; ++i) responses[i].request_id = requests[i].request_id;
            write_all(fd.get(), responses.data(), batch_ * sizeof(SSTResponse));
        }
    }

    const size_t batch_;
    const SSTRequest model_{};
    UniqueFd here_;
    std::thread thread_;
    std::vector<SSTRequest> requests_;
    std::vector<SSTResponse> responses_;
};

/// Our server on a loop of its own thread, answering at once.
class Echo final : private ServerHandler {
public:
    explicit Echo(const std::string& path) {
        loop_ = EventLoop::create().value();
        loop_->set_spin(std::chrono::microseconds(50));  // as the loops of device hosts
        ServerOptions options;
        options.path = path;
        server_ = Server::listen(options, *loop_, *this).value();
        thread_ = std::thread([this] {
            loop_->run();
            server_.reset();
        });
    }
    ~Echo() {
        loop_->stop();
        thread_.join();
    }

private:
    void on_connected(uint64_t) override {}
    void on_disconnected(uint64_t) override {}
    void on_request(const Asked& asked) override {
        server_->answer(asked.ticket, response_, {0, 0});
    }
    const SSTResponse response_{};
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<Server> server_;
    std::thread thread_;
};

/// Our client, as a device uses it: `batch` requests, and the next when all are answered.
class Ours {
public:
    Ours(const std::string& path, size_t batch, bool pipelined) : batch_(batch) {
        SocketOptions options;
        options.path = path;
        options.pipelined = pipelined;
        options.timed = pipelined;
        simulator_ = make_socket_simulator(options, *loop_).value();
        loop_->set_spin(std::chrono::microseconds(50));
        while (!simulator_->ready()) loop_->run_once(std::chrono::milliseconds(1));
    }

    double run(int exchanges) {
        left_ = exchanges;
        const uint64_t start = now_ns();
        loop_->post([this] { submit(); });
        loop_->run();
        return static_cast<double>(now_ns() - start) * 1e-9;
    }

private:
    void submit() {
        waiting_ = batch_;
        for (size_t n = 0; n < batch_; ++n)
            simulator_->submit(request_, 0, [this](const Answer&) { answered(); });
    }
    void answered() {
        if (--waiting_ != 0) return;
        if (--left_ == 0) return loop_->stop();
        submit();
    }

    const size_t batch_;
    size_t waiting_ = 0;
    int left_ = 0;
    const SSTRequest request_{};
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<Simulator> simulator_;
};

void compare(const std::string& name, Ours& ours, BarePingPong& bare, size_t batch) {
    const int exchanges = batch == 1 ? kRequestsAlone : kBatchesOfRound;
    ours.run(exchanges / 4);
    bare.run(exchanges / 4);
    std::vector<double> ratios, our_rates, bare_rates;
    for (int round = 0; round < kRounds; ++round) {
        const double bare_time = bare.run(exchanges);
        const double our_time = ours.run(exchanges);
        const double requests = static_cast<double>(exchanges) * static_cast<double>(batch);
        our_rates.push_back(requests / our_time);
        bare_rates.push_back(requests / bare_time);
        ratios.push_back(bare_time / our_time);
    }
    fmt::print("{}: ours {:.0f} k/s, bare {:.0f} k/s, ratio {:.2f} (goal >= 0.80)\n", name,
               median(our_rates) / 1e3, median(bare_rates) / 1e3, median(ratios));
    std::fflush(stdout);
}

}  // namespace
}  // namespace mimic::bench

int main() {
    using namespace mimic::bench;  // NOLINT(google-build-using-namespace): a program
    const std::string path = fmt::format("/tmp/mimic-bench-sim-{}.sock", ::getpid());
    Echo echo(path);
    {
        Ours ours(path, 1, true);
        BarePingPong bare(1);
        compare("simulator's socket, 4 KiB each way, one in flight", ours, bare, 1);
    }
    {
        Ours ours(path, 1, false);
        BarePingPong bare(1);
        compare("the same, as with a peer of Linux SST", ours, bare, 1);
    }
    Ours ours(path, kBatch, true);
    BarePingPong bare(kBatch);
    compare("simulator's socket, 4 KiB each way, 64 in flight", ours, bare, kBatch);
}
