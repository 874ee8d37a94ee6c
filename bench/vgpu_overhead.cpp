// SPDX-License-Identifier: Apache-2.0
// What the whole mediator costs on jobs of 1 ms: `spin` kernels from a device's queue through the
// mimic-mediator beside this program to its backend and back, against the same kernel called in
// this program. The two take turns. With four in flight, what a job costs more is the mediator's
// overhead; with one, it is latency.
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/event_loop.h"
#include "bench/measure.h"
#include "compute/queue.h"
#include "mediator/backend/backend.h"
#include "mediator/backend/cpu_executor.h"
#include "mediator/backend/testing/requests.h"

namespace mimic::bench {
namespace {

namespace backend = mediator::backend;

constexpr int kRounds = 15;
constexpr int kJobs = 200;  // of a round
constexpr uint64_t kJobNs = 1'000'000;

[[noreturn]] void give_up(const std::string& why) {
    std::fputs(fmt::format("bench_vgpu_overhead: {}\n", why).c_str(), stderr);
    std::_Exit(1);
}

// A mediator with one cpu backend, until destroyed.
class Mediator {
public:
    Mediator(const std::string& folder, const std::string& socket) {
        const auto self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
        std::vector<std::string> words = {(self / "mimic-mediator").string(),
                                          "--quiet",
                                          "--run-folder",
                                          folder + "/run",
                                          "--socket",
                                          socket,
                                          "--pool",
                                          "A=cpu:1",
                                          "--name",
                                          fmt::format("bench-{}", ::getpid())};  // beside others
        std::vector<char*> arguments;
        for (auto& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        if (::posix_spawn(&pid_, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0) {
            give_up(words[0] + " cannot be started");
        }
    }
    ~Mediator() {
        ::kill(pid_, SIGTERM);
        ::waitpid(pid_, nullptr, 0);
    }

private:
    pid_t pid_ = 0;
};

/// A device's queue with so many jobs in flight.
class Mediated {
public:
    Mediated(const std::string& socket, int depth) : depth_(depth) {
        compute::SocketOptions options;
        options.identity = {static_cast<uint32_t>(depth), 'A', 1};
        options.path = socket;
        queue_ = compute::make_socket_queue(options, *loop_).value();
        const TimePoint end = loop_->now() + std::chrono::seconds(20);
        while (!queue_->connected() && loop_->now() < end) {
            loop_->run_once(std::chrono::milliseconds(1));
        }
        if (!queue_->connected()) give_up("no mediator came");
        loop_->set_spin(std::chrono::microseconds(50));  // as the loops of device hosts
    }

    /// ns of a job.
    double run(int jobs) {
        left_to_start_ = left_to_end_ = jobs;
        const uint64_t begin = now_ns();
        loop_->post([this] {
            for (int i = 0; i < depth_; ++i) submit();
        });
        loop_->run();
        return static_cast<double>(now_ns() - begin) / jobs;
    }

private:
    void submit() {
        if (left_to_start_ == 0) return;
        --left_to_start_;
        queue_->submit(0, request_, 1024, [this](const compute::Completion& completion) {
            const backend::testing::Response response(completion.response);
            if (completion.error != VGPU_OK || response.status() != VGPU_OK) {
                give_up(fmt::format("a job ended with error {}, status {}",
                                    static_cast<int>(completion.error),
                                    static_cast<int>(response.status())));
            }
            if (--left_to_end_ == 0) return loop_->stop();
            submit();
        });
    }

    const int depth_;
    int left_to_start_ = 0, left_to_end_ = 0;
    const std::vector<std::byte> request_ = backend::testing::spin(kJobNs);
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<compute::Queue> queue_;
};

/// A backend's process alone, on a loop of ours: the next job within the end of the last.
class Alone {
public:
    explicit Alone(const std::string& folder) {
        const auto self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
        backend::BackendPlace place;
        place.run_folder = folder + "/alone";
        place.program = (self / "mimic-mediator").string();
        mediator::BackendConfig config;
        config.name = "A0";
        backend_ = backend::make_backend(config, place, *loop_).value();
        const TimePoint end = loop_->now() + std::chrono::seconds(20);
        while (!backend_->ready() && loop_->now() < end) {
            loop_->run_once(std::chrono::milliseconds(1));
        }
        if (!backend_->ready()) give_up("the backend does not start");
        loop_->set_spin(std::chrono::microseconds(50));  // as that of mimic-mediator
    }
    ~Alone() { backend_->stop(); }

    /// ns of a job.
    double run(int jobs) {
        left_ = jobs;
        const uint64_t begin = now_ns();
        loop_->post([this] { start(); });
        loop_->run();
        return static_cast<double>(now_ns() - begin) / jobs;
    }

private:
    void start() {
        backend::Job job;
        job.request = request_;
        job.room = 1024;
        backend_->start(job, std::chrono::seconds(30), [this](const backend::Outcome& outcome) {
            if (outcome.error != VGPU_OK) give_up("a job failed");
            if (--left_ == 0) return loop_->stop();
            start();
        });
    }

    int left_ = 0;
    const std::vector<std::byte> request_ = backend::testing::spin(kJobNs);
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<backend::Backend> backend_;
};

/// The kernel itself. ns of a job.
double run_directly(int jobs) {
    backend::CpuExecutor executor(1);
    const backend::StopSignal stop;
    backend::KernelCall call;
    call.kernel = backend::Kernel::kSpin;
    call.n = kJobNs;
    const uint64_t begin = now_ns();
    for (int i = 0; i < jobs; ++i) {
        if (executor.run(call, stop) != VGPU_OK) give_up("the kernel failed");
    }
    return static_cast<double>(now_ns() - begin) / jobs;
}

template <typename Ours>
void compare(const std::string& name, Ours& mediated, const std::string& goal) {
    mediated.run(kJobs / 4);
    std::vector<double> direct, through, more;
    for (int round = 0; round < kRounds; ++round) {
        direct.push_back(run_directly(kJobs));
        through.push_back(mediated.run(kJobs));
        more.push_back((through.back() / direct.back() - 1) * 100);
    }
    fmt::print("{}: {:.1f} us a job, direct {:.1f} us, overhead {:.2f} %{}\n", name,
               median(through) / 1e3, median(direct) / 1e3, median(more), goal);
    std::fflush(stdout);
}

void run(const std::string& folder) {
    const std::string socket = folder + "/mediator.sock";
    const Mediator mediator(folder, socket);
    {
        Mediated four(socket, 4);
        compare("mediator, jobs of 1 ms, 4 in flight", four, " (goal <= 1 %)");
    }
    {
        Mediated one(socket, 1);
        compare("mediator, jobs of 1 ms, one in flight", one, "");
    }
    Alone alone(folder);
    compare("of which the backend's process alone", alone, "");
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
