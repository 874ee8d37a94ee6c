// SPDX-License-Identifier: Apache-2.0
#include "base/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <functional>
#include <vector>

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

// Sockets are looked at when the turn of the tasks is over, however many wait.
TEST(EventLoop, TasksThatTakeLongLeaveTheSocketsTheirTurn) {
    auto loop = EventLoop::create().value();
    UniqueFd ready(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    std::vector<int> order;
    size_t seen = 0;
    CountingHandler handler([&] {
        seen = order.size();
        loop->unwatch(ready.get());
    });
    ASSERT_TRUE(loop->watch(ready.get(), EPOLLIN, handler));
    const auto work = [&](int number) {
        order.push_back(number);
        for (const auto end = loop->now() + EventLoop::kTurn; loop->now() < end;) {
        }
    };
    for (int i = 0; i < 100; ++i) loop->post([&, i] { work(i); });
    loop->post([&] { loop->post([&] { loop->stop(); }); });
    loop->run();
    EXPECT_EQ(handler.calls, 1);
    EXPECT_LT(seen, 3u);
    ASSERT_EQ(order.size(), 100u);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(EventLoop, TasksThatPostThemselvesLeaveTheSocketsTheirTurn) {
    auto loop = EventLoop::create().value();
    UniqueFd ready(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    CountingHandler handler([&] { loop->stop(); });
    ASSERT_TRUE(loop->watch(ready.get(), EPOLLIN, handler));
    int runs = 0;
    std::function<void()> again = [&] {
        ++runs;
        loop->post(again);
    };
    again();
    loop->run();
    EXPECT_EQ(handler.calls, 1);
    EXPECT_LE(runs, 3);  // one by hand, one before the sockets, one behind them
}

TEST(EventLoop, ShareBeginsWithTheFirstQuestionAndEnds) {
    auto loop = EventLoop::create().value();
    UniqueFd a(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    UniqueFd b(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    const auto greedy = [&] {
        const auto begin = loop->now();
        while (loop->now() < begin + 2 * EventLoop::kTurn) {
        }
        EXPECT_FALSE(loop->share_is_over());
        while (!loop->share_is_over()) {
        }
    };
    CountingHandler first(greedy);
    CountingHandler second(greedy);
    ASSERT_TRUE(loop->watch(a.get(), EPOLLIN, first));
    ASSERT_TRUE(loop->watch(b.get(), EPOLLIN, second));
    loop->run_once(0ns);
    EXPECT_EQ(first.calls, 1);
    EXPECT_EQ(second.calls, 1);
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
