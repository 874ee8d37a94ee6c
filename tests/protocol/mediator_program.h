// SPDX-License-Identifier: Apache-2.0
// What tests of the real mimic-mediator share: the program, and a device's queue that asks it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "compute/queue.h"
#include "compute/request.h"

namespace mimic::compute {

/// `mimic-mediator` with one cpu backend and the sockets m.sock and, of VM 3, vm-3.sock in a
/// folder.
class MediatorProgram {
public:
    explicit MediatorProgram(const std::string& folder)
        : log_(folder + "/log"),
          words_{MIMIC_MEDIATOR,
                 "--socket",
                 folder + "/m.sock",
                 "--vm-sockets",
                 folder + "/vm-<vm_id>.sock",
                 "--vm",
                 "3",
                 "--pool",
                 "A=cpu",
                 "--run-folder",
                 folder + "/run",
                 "--quiet",
                 "--name",
                 "test-" + std::to_string(::getpid())} {}
    /// One that reads a file, which names its sockets and its run folder.
    MediatorProgram(const std::string& folder, const std::string& config)
        : log_(folder + "/log"), words_{MIMIC_MEDIATOR, "--config",
                                        config,         "--quiet",
                                        "--name",       "test-" + std::to_string(::getpid())} {}
    ~MediatorProgram() {
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

/// 64-bit values as parameters.
inline std::vector<uint32_t> wide(std::initializer_list<uint64_t> values) {
    std::vector<uint32_t> params;
    for (const uint64_t value : values) push_wide(params, value);
    return params;
}

/// A folder, the program (not started) and a loop.
class MediatorFolder {
public:
    static constexpr Duration kPatience = std::chrono::seconds(90);

    MediatorFolder() {
        folder_ = (std::filesystem::temp_directory_path() / "mimic-mediator-XXXXXX").string();
        EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
        program_ = std::make_unique<MediatorProgram>(folder_);
    }
    ~MediatorFolder() {
        queue_.reset();
        program_.reset();
        if (::testing::Test::HasFailure()) std::cerr << std::ifstream(folder_ + "/log").rdbuf();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    /// The queue of VM 3 unless `options` names another, connected when this returns true.
    bool connect(SocketOptions options = {}) {
        const bool is_packet = options.protocol == Protocol::kPacket;
        options.path = folder_ + (is_packet ? "/vm-<vm_id>.sock" : "/m.sock");
        if (options.identity.vm_id == 0) options.identity.vm_id = 3;
        options.answer_timeout = options.resume_patience = kPatience;
        queue_ = make_socket_queue(options, *loop_).value();
        return until([this] { return queue_->connected(); });
    }

    bool until(const std::function<bool()>& condition) {
        const TimePoint end = loop_->now() + kPatience;
        while (!condition()) {
            if (loop_->now() > end) return false;
            loop_->run_once(std::chrono::milliseconds(10));
        }
        return true;
    }

    /// One request, and the response that must come, with status OK.
    std::vector<std::byte> ask(std::vector<std::byte> request, size_t room = VGPU_BUFFER_SIZE) {
        bool ended = false;
        std::vector<std::byte> response;
        queue_->submit(1, std::move(request), room, [&](const Completion& done) {
            EXPECT_EQ(done.error, VGPU_OK);
            response.assign(done.response.begin(), done.response.end());
            ended = true;
        });
        EXPECT_TRUE(until([&] { return ended; }));
        const auto view = view_response(response);
        EXPECT_TRUE(view && view->header.status == VGPU_OK);
        return response;
    }
    /// How a request ends: its error, or the status of its response.
    uint32_t status_of(std::vector<std::byte> request) {
        bool ended = false;
        uint32_t status = VGPU_OK;
        queue_->submit(1, std::move(request), VGPU_BUFFER_SIZE, [&](const Completion& done) {
            const auto view = view_response(done.response);
            status = done.error != VGPU_OK ? uint32_t{done.error} : view ? view->header.status : 0;
            ended = true;
        });
        EXPECT_TRUE(until([&] { return ended; }));
        return status;
    }
    /// A handle of memory on the backend.
    uint64_t allocate(uint64_t size) {
        const auto response = ask(make_request(VGPU_OP_MEM_ALLOC, wide({size})));
        const auto view = view_response(response);
        return view ? view->results.wide(0) : 0;
    }
    void write(uint64_t handle, std::span<const std::byte> data) {
        ask(make_request(VGPU_OP_MEM_WRITE, wide({handle, 0}), data));
    }
    std::vector<std::byte> read(uint64_t handle, size_t size) {
        const auto response = ask(make_request(VGPU_OP_MEM_READ, wide({handle, 0, size})),
                                  size + VGPU_BUFFER_SIZE);
        const auto view = view_response(response);
        return view ? std::vector<std::byte>(view->data.begin(), view->data.end())
                    : std::vector<std::byte>{};
    }

    std::string folder_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<MediatorProgram> program_;
    std::unique_ptr<Queue> queue_;
};

}  // namespace mimic::compute
