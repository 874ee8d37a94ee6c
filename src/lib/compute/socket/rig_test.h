// SPDX-License-Identifier: Apache-2.0
// What the tests of the socket queue share: a loop, a fake mediator and a queue on it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "base/private_files.h"
#include "compute/queue.h"
#include "compute/request.h"
#include "compute/testing/fake_mediator.h"

namespace mimic::compute {

inline std::vector<std::byte> pattern(size_t size, unsigned seed = 1) {
    std::vector<std::byte> bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 + seed);
    return bytes;
}

inline FakeMediator::Reply echo(const FakeMediator::Request& request) {
    return {VGPU_OK, request.bytes};
}

/// Why and with what a request ended.
struct Ended {
    vgpu_error error = VGPU_OK;
    std::vector<std::byte> response;
};

class SocketQueueRig : public ::testing::Test {
protected:
    SocketQueueRig() {
        std::string name = (std::filesystem::temp_directory_path() / "mimic-queue-XXXXXX").string();
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        options_.path = folder_ + "/m-<vm_id>.sock";
        options_.identity = {7, 'B', 2};
        options_.retry_least = std::chrono::milliseconds(1);
        options_.retry_most = std::chrono::milliseconds(10);
    }
    ~SocketQueueRig() override {
        queue_.reset();
        mediator_.reset();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    void listen(FakeMediator::Options options = {}) {
        options.protocol = options_.protocol;
        auto mediator = FakeMediator::listen(folder_ + "/m-7.sock", std::move(options), *loop_);
        ASSERT_TRUE(mediator) << mediator.error().message();
        mediator_ = std::move(*mediator);
    }
    void listen_and_echo() {
        FakeMediator::Options options;
        options.script = echo;
        listen(std::move(options));
    }
    void make_queue() {
        auto queue = make_socket_queue(options_, *loop_);
        ASSERT_TRUE(queue) << queue.error().message();
        queue_ = std::move(*queue);
    }
    /// Both, and connected.
    void connect(FakeMediator::Options options = {}) {
        listen(std::move(options));
        make_queue();
        ASSERT_TRUE(until([this] { return queue_->connected(); }));
    }

    template <typename Condition>
    bool until(Condition condition) {
        const TimePoint end = loop_->now() + std::chrono::seconds(60);
        while (!condition()) {
            if (loop_->now() > end) return false;
            loop_->run_once(std::chrono::milliseconds(5));
        }
        return true;
    }

    /// Asks, and remembers how it ends at the same index.
    size_t ask(std::vector<std::byte> request, size_t room = VGPU_MAX_MESSAGE, uint32_t tag = 5) {
        const size_t index = ended_.size();
        ended_.emplace_back();
        queue_->submit(tag, std::move(request), room, [this, index](const Completion& done) {
            EXPECT_FALSE(ended_[index].has_value()) << "answered twice";
            ended_[index] = Ended{done.error, {done.response.begin(), done.response.end()}};
        });
        return index;
    }
    bool has_ended(size_t index) {
        return until([&] { return ended_[index].has_value(); });
    }
    bool all_ended() {
        return until([this] {
            for (const auto& one : ended_)
                if (!one) return false;
            return true;
        });
    }
    bool asked(size_t count) {
        return until([&] { return mediator_->requests().size() >= count; });
    }

    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::string folder_;
    SocketOptions options_;
    std::unique_ptr<FakeMediator> mediator_;
    std::unique_ptr<Queue> queue_;
    std::vector<std::optional<Ended>> ended_;
};

}  // namespace mimic::compute
