// SPDX-License-Identifier: Apache-2.0
// The mediator's process is killed again and again under load, as it would be by the kernel when
// memory is short. Devices come back to the next one by themselves; what was acknowledged is there,
// and what was in flight is answered once and was done at most once.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/event_loop.h"
#include "base/private_files.h"
#include "compute/queue.h"
#include "compute/request.h"

namespace mimic::mediator {
namespace {

using namespace std::chrono_literals;

constexpr int kKills = 5;
constexpr uint32_t kRequests = 3000;  // of each VM
constexpr size_t kInFlight = 32;
constexpr auto kPatience = 90s;

/// The program, with two backends that outlive it.
class Program {
public:
    Program() {
        MIMIC_CHECK(::mkdtemp(folder_.data()) != nullptr);
        start();
    }
    ~Program() {
        kill(SIGKILL);
        // Nobody comes back to its backends.
        for (const pid_t pid : backends()) ::kill(pid, SIGKILL);
        if (testing::Test::HasFailure()) {
            for (const std::string& line : last_lines(log(), 50)) ADD_FAILURE() << line;
        }
        static_cast<void>(remove_tree(folder_));
    }

    std::string socket() const { return folder_ + "/mediator.sock"; }

    void start() {
        // Into a file: a backend that holds a pipe of ours would keep ctest waiting for its end.
        posix_spawn_file_actions_t files;
        ::posix_spawn_file_actions_init(&files);
        ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log().c_str(),
                                           O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
        // Another mediator of this user may run at the same time.
        const std::string name = "killed-" + std::to_string(::getpid());
        std::vector<std::string> words = {
            MIMIC_MEDIATOR, "--pool",      "A=cpu:1,cpu:1",    "--socket", socket(), "--run-folder",
            folder_ + "/r", "--audit-log", folder_ + "/audit", "--quiet",  "--name", name};
        std::vector<char*> pointers;
        for (std::string& word : words) pointers.push_back(word.data());
        pointers.push_back(nullptr);
        MIMIC_CHECK(
            ::posix_spawn(&pid_, words[0].c_str(), &files, nullptr, pointers.data(), environ) == 0);
        ::posix_spawn_file_actions_destroy(&files);
    }

    void kill(int number) {
        ::kill(pid_, number);
        int status = 0;
        ASSERT_EQ(::waitpid(pid_, &status, 0), pid_);
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == number)
            << "it ended before it was killed";
    }

private:
    std::string log() const { return folder_ + "/log"; }

    // Those of this folder, by what they were started with.
    std::vector<pid_t> backends() const {
        std::vector<pid_t> found;
        for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
            const std::string name = entry.path().filename();
            if (name.find_first_not_of("0123456789") != std::string::npos) continue;
            std::ifstream file(entry.path() / "cmdline");
            const std::string words{std::istreambuf_iterator<char>(file), {}};
            if (words.find(folder_) != std::string::npos) found.push_back(std::stoi(name));
        }
        return found;
    }

    std::string folder_ = "/tmp/mimic-killed-XXXXXX";
    pid_t pid_ = 0;
};

/// A device's queue, with the requests of a test.
class Device {
public:
    Device(EventLoop& loop, const std::string& path, uint32_t vm) : loop_(loop) {
        compute::SocketOptions options;
        options.identity.vm_id = vm;
        options.path = path;
        options.answer_timeout = kPatience;
        options.resume_patience = kPatience;
        queue_ = compute::make_socket_queue(options, loop).value();
    }

    compute::Queue& queue() { return *queue_; }
    const std::map<vgpu_error, uint32_t>& ended() const { return ended_; }
    uint32_t answered() const { return answered_; }

    /// Asks, and counts how it ended.
    void ask(std::vector<std::byte> request) {
        queue_->submit(
            0, std::move(request), 4096,
            [this, once = std::make_shared<bool>(false)](const compute::Completion& completion) {
                EXPECT_FALSE(std::exchange(*once, true)) << "answered twice";
                vgpu_error error = completion.error;
                if (const auto view = compute::view_response(completion.response);
                    error == VGPU_OK && view)
                    error = static_cast<vgpu_error>(view->header.status);
                ++ended_[error];
                ++answered_;
            });
    }

    /// Asks and waits; the data and results of the answer.
    std::vector<std::byte> ask_now(std::vector<std::byte> request) {
        std::optional<std::vector<std::byte>> got;
        queue_->submit(0, std::move(request), 1 << 20, [&](const compute::Completion& completion) {
            EXPECT_EQ(completion.error, VGPU_OK);
            got.emplace(completion.response.begin(), completion.response.end());
        });
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (!got && std::chrono::steady_clock::now() < end) loop_.run_once(10ms);
        return got.value_or(std::vector<std::byte>{});
    }

    uint64_t allocate(uint64_t size) {
        std::vector<uint32_t> params;
        compute::push_wide(params, size);
        const auto response = ask_now(compute::make_request(VGPU_OP_MEM_ALLOC, params));
        const auto view = compute::view_response(response);
        EXPECT_TRUE(view && view->header.status == VGPU_OK);
        return view ? view->results.wide(0) : 0;
    }
    void write(uint64_t handle, std::span<const std::byte> data) {
        std::vector<uint32_t> params;
        compute::push_wide(params, handle);
        compute::push_wide(params, 0);
        ask_now(compute::make_request(VGPU_OP_MEM_WRITE, params, data));
    }
    std::vector<std::byte> read(uint64_t handle, uint64_t size) {
        std::vector<uint32_t> params;
        compute::push_wide(params, handle);
        compute::push_wide(params, 0);
        compute::push_wide(params, size);
        const auto response = ask_now(compute::make_request(VGPU_OP_MEM_READ, params));
        const auto view = compute::view_response(response);
        if (!view) return {};
        return {view->data.begin(), view->data.end()};
    }

private:
    EventLoop& loop_;
    std::unique_ptr<compute::Queue> queue_;
    std::map<vgpu_error, uint32_t> ended_;
    uint32_t answered_ = 0;
};

// y[0] += 1 * x[0]: to do it twice, or not at all, shows.
std::vector<std::byte> increment(uint64_t y, uint64_t x) {
    vgpu_launch launch{};
    std::strcpy(launch.name, "saxpy");
    launch.arg_count = 4;
    const float one = 1.0F;
    vgpu_arg args[4] = {{VGPU_ARG_MEMORY, 8, y, 0},
                        {VGPU_ARG_MEMORY, 8, x, 0},
                        {VGPU_ARG_VALUE, 8, 1, 0},
                        {VGPU_ARG_VALUE, 4, 0, 0}};
    std::memcpy(&args[3].value, &one, sizeof one);
    std::vector<std::byte> data(sizeof launch + sizeof args);
    std::memcpy(data.data(), &launch, sizeof launch);
    std::memcpy(data.data() + sizeof launch, args, sizeof args);
    return compute::make_request(VGPU_OP_LAUNCH, {}, data);
}

TEST(MediatorKilled, WhatWasAcknowledgedSurvivesAndTheRestIsDoneAtMostOnce) {
    Program program;
    const auto loop = EventLoop::create().value();
    Device counting(*loop, program.socket(), 1);
    Device adding(*loop, program.socket(), 2);
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!counting.queue().connected() || !adding.queue().connected()) {
        ASSERT_LT(std::chrono::steady_clock::now(), end);
        loop->run_once(10ms);
    }
    std::vector<std::byte> pattern(100'000);
    for (size_t i = 0; i < pattern.size(); ++i) pattern[i] = std::byte(i * 31);
    const uint64_t kept = counting.allocate(pattern.size());
    const uint64_t y = counting.allocate(4);
    const uint64_t x = counting.allocate(4);
    const float one = 1.0F;
    counting.write(kept, pattern);
    counting.write(x, std::as_bytes(std::span(&one, 1)));

    uint32_t counted = 0;
    uint32_t added = 0;
    int kills = 0;
    while (counting.answered() < kRequests || adding.answered() < kRequests) {
        ASSERT_LT(std::chrono::steady_clock::now(), end);
        while (counted < kRequests && counted - counting.answered() < kInFlight) {
            counting.ask(increment(y, x));
            ++counted;
        }
        while (added < kRequests && added - adding.answered() < kInFlight) {
            adding.ask(compute::make_request(VGPU_OP_SUM, std::vector<uint32_t>{added, 1}));
            ++added;
        }
        loop->run_once(10ms);
        // A turn may have taken all that was in flight: then the next one has more.
        const bool at_work = counting.queue().in_flight() + adding.queue().in_flight() > 0;
        if (at_work && kills < kKills &&
            counting.answered() > kRequests / (kKills + 1) * (kills + 1)) {
            program.kill(SIGKILL);
            program.start();
            ++kills;
        }
    }
    EXPECT_EQ(kills, kKills);
    EXPECT_EQ(adding.ended().at(VGPU_OK), kRequests);

    // Only what ran in the moment of a kill may have been ended; whether it was done is not known.
    const uint32_t done = counting.ended().at(VGPU_OK);
    for (const auto& [error, count] : counting.ended()) {
        EXPECT_TRUE(error == VGPU_OK || error == VGPU_ERROR_CANCELLED) << error;
    }
    EXPECT_GE(done, kRequests - kKills);
    float value = 0;
    const auto bytes = counting.read(y, sizeof value);
    ASSERT_EQ(bytes.size(), sizeof value);
    std::memcpy(&value, bytes.data(), sizeof value);
    EXPECT_GE(value, static_cast<float>(done));
    EXPECT_LE(value, static_cast<float>(kRequests));
    EXPECT_TRUE(counting.read(kept, pattern.size()) == pattern);
    EXPECT_GE(counting.queue().counters().connections, static_cast<uint64_t>(kKills) + 1);
    EXPECT_GT(counting.queue().counters().resent + adding.queue().counters().resent, 0U);
}

}  // namespace
}  // namespace mimic::mediator
