// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <gtest/gtest.h>

namespace mimic {
namespace {

using namespace std::chrono_literals;

class CountingHandler : public FdHandler {
public:
    explicit CountingHandler(std::function<void()> then = {}) : then_(std::move(then)) {}
    void on_fd_ready(uint32_t) override {
        ++calls;
        if (then_) then_();
    }
    int calls = 0;

private:
    std::function<void()> then_;
};

TEST(EventLoop, RunsPostedTasksInOrder) {
    auto loop = EventLoop::create().value();
    std::vector<int> order;
    loop->post([&] { order.push_back(1); });
    loop->post([&] { order.push_back(2); });
    loop->run_once(0ns);
    EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(EventLoop, RunsDelayedTaskNotBeforeItsTime) {
    auto loop = EventLoop::create().value();
    const auto start = loop->now();
    TimePoint ran{};
    loop->post_delayed(
        [&] {
            ran = loop->now();
            loop->stop();
        },
        5ms);
    loop->run();
    EXPECT_GE(ran - start, 5ms);
}

TEST(EventLoop, PostFromAnotherThreadWakesIt) {
    auto loop = EventLoop::create().value();
    std::thread other([&] { loop->post([&] { loop->stop(); }); });
    loop->run();
    other.join();
}

TEST(EventLoop, UnwatchedHandlerOfTheSameBatchIsNotCalled) {
    auto loop = EventLoop::create().value();
    UniqueFd a(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    UniqueFd b(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    CountingHandler* second = nullptr;
    CountingHandler first([&] { loop->unwatch(b.get()); });
    CountingHandler other([&] { loop->unwatch(a.get()); });
    second = &other;
    ASSERT_TRUE(loop->watch(a.get(), EPOLLIN, first));
    ASSERT_TRUE(loop->watch(b.get(), EPOLLIN, other));
    loop->run_once(0ns);
    EXPECT_EQ(first.calls + second->calls, 1);
}

TEST(EventLoop, SlotReusedInTheSameBatchDoesNotGetTheOldEvent) {
    auto loop = EventLoop::create().value();
    UniqueFd a(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    UniqueFd b(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    UniqueFd quiet(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    CountingHandler newcomer;
    auto swap = [&](int fd) {
        loop->unwatch(fd);
        ASSERT_TRUE(loop->watch(quiet.get(), EPOLLIN, newcomer));
    };
    bool swapped = false;
    CountingHandler first([&] {
        if (!std::exchange(swapped, true)) swap(b.get());
    });
    CountingHandler other([&] {
        if (!std::exchange(swapped, true)) swap(a.get());
    });
    ASSERT_TRUE(loop->watch(a.get(), EPOLLIN, first));
    ASSERT_TRUE(loop->watch(b.get(), EPOLLIN, other));
    loop->run_once(0ns);
    EXPECT_EQ(newcomer.calls, 0);
}

TEST(EventLoop, WatchOfAClosedDescriptorIsAnError) {
    auto loop = EventLoop::create().value();
    CountingHandler handler;
    EXPECT_FALSE(loop->watch(12345, EPOLLIN, handler));
}

}  // namespace
}  // namespace mimic
