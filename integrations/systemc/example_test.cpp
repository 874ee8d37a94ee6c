// SPDX-License-Identifier: Apache-2.0
// The example's program, a SystemC simulation in a process of its own, as a device behind its
// socket.
#include <algorithm>
#include <cstdlib>

#include "integrations/systemc/test_program.h"

namespace mimic::sim {
namespace {

class SystemcExample : public SystemcProgram {
protected:
    void start(const std::vector<std::string>& arguments = {}, bool lock_step = false) {
        // Another build of it, such as one for SystemC 3.0. Nothing here sets the environment.
        // NOLINTNEXTLINE(concurrency-mt-unsafe)
        const char* const other = std::getenv("MIMIC_SYSTEMC_EXAMPLE");
        run(other != nullptr ? other : MIMIC_SYSTEMC_EXAMPLE, arguments, lock_step);
    }
};

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
