// SPDX-License-Identifier: Apache-2.0
// The example's program, a SystemC simulation in a process of its own, as a device behind its
// socket.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <sstream>

#include "base/event_loop.h"
#include "sim/socket/client.h"

namespace mimic::sim {
namespace {

constexpr SimTime kNano = kPicosecondsPerNanosecond;
// Far beyond what a loaded machine needs.
constexpr auto kPatience = std::chrono::seconds(60);

struct Told {
    SSTResponse response;
    SimTime submitted;
    SimTime finished;
    SimTime latency() const { return finished - submitted; }
};

class SystemcExample : public testing::Test {
protected:
    void start(std::vector<std::string> arguments = {}, bool lock_step = false) {
        SocketOptions options;
        // Another build of it, such as one for SystemC 3.0.
        const char* const other = std::getenv("MIMIC_SYSTEMC_EXAMPLE");
        std::istringstream words(other != nullptr ? other : MIMIC_SYSTEMC_EXAMPLE);
        for (std::string word; words >> word;) options.command.push_back(word);
        options.command.push_back("{socket}");
        options.command.insert(options.command.end(), arguments.begin(), arguments.end());
        options.timeout = kPatience;
        options.lock_step = lock_step;
        auto made = make_socket_simulator(options, *loop_);
        ASSERT_TRUE(made) << made.error().message();
        simulator_ = std::move(*made);
        ASSERT_TRUE(until([&] { return simulator_->ready(); })) << "the program does not serve";
    }
    template <typename Condition>
    bool until(Condition condition) {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (!condition() && std::chrono::steady_clock::now() < end) {
            loop_->run_once(std::chrono::milliseconds(20));
        }
        return condition();
    }
    void submit(SSTRequest request, SimTime guest_time = 0) {
        request.request_id = ++ids_;
        simulator_->submit(request, guest_time, [this](const Answer& answer) {
            told_[answer.response.request_id] = {answer.response, answer.submitted,
                                                 answer.finished};
        });
    }
    Told ask(const SSTRequest& request, SimTime guest_time = 0) {
        if (HasFatalFailure()) return {};
        submit(request, guest_time);
        EXPECT_TRUE(until([&] { return told_.count(ids_) != 0; }));
        return told_[ids_];
    }

    std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
    std::unique_ptr<Simulator> simulator_;
    uint64_t ids_ = 0;
    std::map<uint64_t, Told> told_;
};

SSTRequest compute(uint64_t units) {
    SSTRequest request{};
    request.type = SST_REQ_COMPUTE;
    request.payload.compute.compute_units = units;
    return request;
}

SSTRequest memory(uint32_t type, uint64_t address, uint32_t size, uint8_t fill = 0) {
    SSTRequest request{};
    request.type = type;
    std::memset(request.payload.data, fill, sizeof request.payload.data);
    request.payload.memory.addr = address;
    request.payload.memory.size = size;
    return request;
}

TEST_F(SystemcExample, MemoryIsTheTargetsAndTakesItsTime) {
    start();
    const Told written = ask(memory(SST_REQ_WRITE, 100, 64, 0x77));
    EXPECT_EQ(written.response.status, uint32_t{SST_STATUS_OK});
    EXPECT_EQ(written.response.result, 64u);
    // The first message says that both know times; from the second on they are SystemC's.
    const Told read = ask(memory(SST_REQ_READ, 96, 80));
    EXPECT_EQ(read.response.status, uint32_t{SST_STATUS_OK});
    EXPECT_EQ(read.response.payload.data[3], 0);
    EXPECT_EQ(read.response.payload.data[4], 0x77);
    EXPECT_EQ(read.response.payload.data[67], 0x77);
    EXPECT_EQ(read.response.payload.data[68], 0);
    EXPECT_EQ(read.latency(), 30 * kNano);
    EXPECT_EQ(ask(memory(SST_REQ_READ, 0, 0)).response.status, uint32_t{SST_STATUS_OK});
    SSTRequest reset{};
    reset.type = SST_REQ_RESET;
    ask(reset);
    EXPECT_EQ(ask(memory(SST_REQ_READ, 100, 4)).response.payload.data[0], 0);
}

TEST_F(SystemcExample, WhatTheTargetHasNotIsInvalid) {
    start();
    const auto status = [&](const SSTRequest& request) { return ask(request).response.status; };
    EXPECT_EQ(status(memory(SST_REQ_READ, (1 << 20) - 4, 8)), uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(status(memory(SST_REQ_READ, ~0ull, 8)), uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(status(memory(SST_REQ_WRITE, 0, 4065)), uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(status(compute(SST_MAX_COMPUTE_UNITS + 1)), uint32_t{SST_STATUS_INVALID});
    SSTRequest request{};
    request.type = SST_REQ_CONFIGURE;  // it has no window for that
    EXPECT_EQ(status(request), uint32_t{SST_STATUS_INVALID});
    request.type = 99;
    EXPECT_EQ(status(request), uint32_t{SST_STATUS_INVALID});
}

TEST_F(SystemcExample, ComputationsAtTheSameTimeTakeTurnsOnTheEngine) {
    start();
    EXPECT_EQ(ask(compute(7)).response.payload.compute.cycles, 70u);
    constexpr uint64_t kMany = 200;  // more than the adapter has threads
    const uint64_t first = ids_ + 1;
    for (uint64_t i = 0; i < kMany; ++i) submit(compute(10));
    ASSERT_TRUE(until([&] { return told_.size() == first + kMany - 1; }));
    std::vector<SimTime> ends;
    for (uint64_t id = first; id < first + kMany; ++id) {
        EXPECT_EQ(told_[id].response.status, uint32_t{SST_STATUS_OK});
        ends.push_back(told_[id].finished);
    }
    std::sort(ends.begin(), ends.end());
    // One at a time, 100 ns each; only where the simulation ran dry in between is there a gap.
    for (size_t i = 1; i < ends.size(); ++i) EXPECT_GE(ends[i] - ends[i - 1], 100 * kNano) << i;
}

TEST_F(SystemcExample, LockStepFollowsTheGuestsClock) {
    start({"lock-step"}, true);
    ask(compute(1), 1000 * kNano);
    const Told second = ask(compute(5), 5000 * kNano);
    EXPECT_EQ(second.response.status, uint32_t{SST_STATUS_OK});
    EXPECT_EQ(second.submitted, 5000 * kNano);
    EXPECT_EQ(second.finished, 5050 * kNano);
    // Submitted while the engine still works: it waits for it.
    const Told third = ask(compute(1), 5020 * kNano);
    EXPECT_EQ(third.finished, 5060 * kNano);
}

TEST_F(SystemcExample, ScaledTakesWallTime) {
    start({"scaled", "1000"});
    ask(compute(1));
    const auto begin = std::chrono::steady_clock::now();
    const Told told = ask(compute(2000));
    EXPECT_EQ(told.response.status, uint32_t{SST_STATUS_OK});
    EXPECT_EQ(told.latency(), 20'000 * kNano);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(20));
}

}  // namespace
}  // namespace mimic::sim
