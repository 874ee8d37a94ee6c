// SPDX-License-Identifier: Apache-2.0
// The real mimic-mediator, killed and started again under load, seen by the queue of a device. Each
// job adds one to a number in a VM's memory on the backend, so that the number says how often jobs
// were carried out: as often as they were answered, never twice.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "compute/queue.h"
#include "compute/request.h"

namespace mimic::compute {
namespace {

constexpr size_t kDepth = 16;
constexpr int kRestarts = 4;
constexpr uint64_t kBetween = 200;  // answers between two of them
constexpr Duration kPatience = std::chrono::seconds(90);

class Program {
public:
    explicit Program(const std::string& folder)
        : log_(folder + "/log"), words_{MIMIC_MEDIATOR,  "--socket", folder + "/m.sock",
                                        "--pool",        "A=cpu",    "--run-folder",
                                        folder + "/run", "--quiet"} {}
    ~Program() {
        if (pid_ != 0) end(SIGKILL);
    }

    void start() {
        std::vector<char*> arguments;
        for (auto& word : words_) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        // Not ours: backends, which outlive it, would keep whoever reads this test's output.
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_addopen(&actions, 1, log_.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                           0600);
        ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
        const int failed = ::posix_spawn(&pid_, MIMIC_MEDIATOR, &actions, nullptr, arguments.data(),
                                         environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ASSERT_EQ(failed, 0);
    }
    void end(int signal) {
        ::kill(pid_, signal);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }

private:
    const std::string log_;
    std::vector<std::string> words_;
    pid_t pid_ = 0;
};

std::vector<std::byte> saxpy(uint64_t y, uint64_t x) {
    vgpu_launch launch{};
    std::memcpy(launch.name, "saxpy", sizeof "saxpy");
    const float one = 1;
    uint64_t bits = 0;
    std::memcpy(&bits, &one, sizeof one);
    const std::array<vgpu_arg, 4> args{
        vgpu_arg{VGPU_ARG_MEMORY, 8, y, 0}, vgpu_arg{VGPU_ARG_MEMORY, 8, x, 0},
        vgpu_arg{VGPU_ARG_VALUE, 8, 1, 0}, vgpu_arg{VGPU_ARG_VALUE, 4, bits, 0}};
    launch.arg_count = args.size();
    std::vector<std::byte> data(sizeof launch + sizeof args);
    std::memcpy(data.data(), &launch, sizeof launch);
    std::memcpy(data.data() + sizeof launch, args.data(), sizeof args);
    return make_request(VGPU_OP_LAUNCH, {}, data);
}

std::vector<uint32_t> wide(std::initializer_list<uint64_t> values) {
    std::vector<uint32_t> params;
    for (const uint64_t value : values) push_wide(params, value);
    return params;
}

/// A signal that ends the mediator.
class MediatorRestart : public ::testing::TestWithParam<int> {
protected:
    MediatorRestart() {
        folder_ = (std::filesystem::temp_directory_path() / "mimic-restart-XXXXXX").string();
        EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
        program_ = std::make_unique<Program>(folder_);
        SocketOptions options;
        options.path = folder_ + "/m.sock";
        options.identity.vm_id = 3;
        options.answer_timeout = options.resume_patience = kPatience;
        queue_ = make_socket_queue(options, *loop_).value();
    }
    ~MediatorRestart() override {
        queue_.reset();
        program_.reset();
        if (HasFailure()) std::cerr << std::ifstream(folder_ + "/log").rdbuf();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    bool until(const std::function<bool()>& condition) {
        const TimePoint end = loop_->now() + kPatience;
        while (!condition() && loop_->now() < end) loop_->run_once(std::chrono::milliseconds(10));
        return condition();
    }

    /// One request, and the response that must come, with status OK.
    std::vector<std::byte> ask(std::vector<std::byte> request) {
        bool ended = false;
        std::vector<std::byte> response;
        queue_->submit(1, std::move(request), VGPU_BUFFER_SIZE, [&](const Completion& done) {
            EXPECT_EQ(done.error, VGPU_OK);
            response.assign(done.response.begin(), done.response.end());
            ended = true;
        });
        EXPECT_TRUE(until([&] { return ended; }));
        const auto view = view_response(response);
        EXPECT_TRUE(view && view->header.status == VGPU_OK);
        return response;
    }
    uint64_t allocate() {
        const auto response = ask(make_request(VGPU_OP_MEM_ALLOC, wide({sizeof(float)})));
        const auto view = view_response(response);
        return view ? view->results.wide(0) : 0;
    }
    void write(uint64_t handle, float value) {
        std::vector<std::byte> data(sizeof value);
        std::memcpy(data.data(), &value, sizeof value);
        ask(make_request(VGPU_OP_MEM_WRITE, wide({handle, 0}), data));
    }
    float read(uint64_t handle) {
        float value = -1;
        const auto response = ask(make_request(VGPU_OP_MEM_READ, wide({handle, 0, sizeof value})));
        const auto view = view_response(response);
        EXPECT_TRUE(view && view->data.size() == sizeof value);
        if (view && view->data.size() == sizeof value)
            std::memcpy(&value, view->data.data(), sizeof value);
        return value;
    }

    /// Adds one, and again when that was answered.
    void add_one() {
        if (!goes_on_) return;
        queue_->submit(1, job_, VGPU_BUFFER_SIZE, [this](const Completion& done) {
            const auto view = view_response(done.response);
            uint32_t error = done.error;
            if (error == VGPU_OK && view) error = view->header.status;
            if (error == VGPU_OK && !view) error = VGPU_ERROR_BACKEND;
            ++(error == VGPU_OK ? done_ : failed_[error]);
            loop_->post([this] { add_one(); });  // not at once: it may have failed within submit()
        });
    }

    std::string folder_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<Program> program_;
    std::unique_ptr<Queue> queue_;
    std::vector<std::byte> job_;
    bool goes_on_ = true;
    uint64_t done_ = 0;
    std::map<uint32_t, uint64_t> failed_;
};

TEST_P(MediatorRestart, UnderLoadLosesNothingAndDoesNothingTwice) {
    program_->start();
    ASSERT_TRUE(until([this] { return queue_->connected(); }));
    const uint64_t y = allocate();
    const uint64_t x = allocate();
    ASSERT_NE(y, 0u);
    write(x, 1);
    job_ = saxpy(y, x);
    for (size_t i = 0; i < kDepth; ++i) add_one();
    for (int restart = 0; restart < kRestarts; ++restart) {
        const uint64_t wanted = done_ + kBetween;
        ASSERT_TRUE(until([&] { return done_ >= wanted; })) << restart;
        program_->end(GetParam());
        program_->start();
    }
    const uint64_t wanted = done_ + kBetween;
    ASSERT_TRUE(until([&] { return done_ >= wanted; }));
    goes_on_ = false;
    ASSERT_TRUE(until([this] { return queue_->in_flight() == 0; }));
    EXPECT_EQ(read(y), static_cast<float>(done_));
    EXPECT_EQ(read(x), 1.0f);
    // A mediator that was told to end may refuse what comes meanwhile, but says so.
    for (const auto& [error, count] : failed_)
        EXPECT_TRUE(GetParam() == SIGTERM && error == VGPU_ERROR_CANCELLED)
            << count << " failed with " << error;
    EXPECT_GE(queue_->counters().connections, kRestarts + 1u);
    if (GetParam() == SIGKILL) {
        EXPECT_GT(queue_->counters().resent, 0u);
    }
}

INSTANTIATE_TEST_SUITE_P(Signals, MediatorRestart, ::testing::Values(SIGKILL, SIGINT, SIGTERM),
                         [](const auto& one) { return std::string(::sigabbrev_np(one.param)); });

}  // namespace
}  // namespace mimic::compute
