// SPDX-License-Identifier: Apache-2.0
// What the adapter makes of targets that are not as kind as the example's (test_targets.cpp).
#include "integrations/systemc/test_program.h"

namespace mimic::sim {
namespace {

class SystemcAdapter : public SystemcProgram {
protected:
    void start(const std::string& target, bool lock_step = false) {
        run(MIMIC_SYSTEMC_TARGETS, {target}, lock_step);
    }
    uint32_t status(const SSTRequest& request) { return ask(request).response.status; }
};

TEST_F(SystemcAdapter, TargetWithTheNonBlockingInterfaceAloneIsMemory) {
    start("at");
    EXPECT_EQ(status(memory(SST_REQ_WRITE, 1000, 200, 0x42)), uint32_t{SST_STATUS_OK});
    const Told read = ask(memory(SST_REQ_READ, 1100, 200));
    EXPECT_EQ(read.response.status, uint32_t{SST_STATUS_OK});
    EXPECT_EQ(read.response.payload.data[99], 0x42);
    EXPECT_EQ(read.response.payload.data[100], 0);
    EXPECT_EQ(read.latency(), 40 * kNano);
    // Many at once.
    const uint64_t first = ids_ + 1;
    for (int i = 0; i < 100; ++i) submit(memory(SST_REQ_READ, 1000, 8));
    ASSERT_TRUE(until([&] { return told_.size() == first + 99; }));
    for (uint64_t id = first; id < first + 100; ++id) {
        EXPECT_EQ(told_[id].response.status, uint32_t{SST_STATUS_OK});
        EXPECT_EQ(told_[id].response.payload.data[7], 0x42);
    }
}

TEST_F(SystemcAdapter, TargetsThatFailAreAnsweredForAndGoOn) {
    start("odd");
    EXPECT_EQ(status(memory(SST_REQ_READ, 0, 8)), uint32_t{SST_STATUS_ERROR});
    EXPECT_EQ(status(memory(SST_REQ_READ, 8, 8)), uint32_t{SST_STATUS_ERROR});
    EXPECT_EQ(status(memory(SST_REQ_READ, 16, 8)), uint32_t{SST_STATUS_ERROR});
    EXPECT_EQ(status(memory(SST_REQ_READ, 24, 8)), uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(status(memory(SST_REQ_READ, 32, 8)), uint32_t{SST_STATUS_ERROR});
    EXPECT_EQ(status(memory(SST_REQ_READ, 48, 8)), uint32_t{SST_STATUS_INVALID});
    // More failures than the adapter has threads: none is used up.
    for (int i = 0; i < 100; ++i) {
        ASSERT_EQ(status(memory(SST_REQ_READ, 0, 8)), uint32_t{SST_STATUS_ERROR});
    }
    EXPECT_EQ(status(memory(SST_REQ_READ, 40, 8)), uint32_t{SST_STATUS_OK});
}

TEST_F(SystemcAdapter, WindowsGetThePayloadAndTheExtensionTheRequest) {
    start("odd");
    SSTRequest request{};
    request.type = SST_REQ_CONFIGURE;
    request.payload.config.param_id = 3;
    request.payload.config.value = 0x1122334455667788;
    EXPECT_EQ(status(request), uint32_t{SST_STATUS_OK});
    uint64_t configured = 0;
    const Told read = ask(memory(SST_REQ_READ, 40, 8));
    std::memcpy(&configured, read.response.payload.data, sizeof configured);
    EXPECT_EQ(configured, 0x1122334455667788u);

    request = compute(5);
    request.flags = SST_FLAG_WORK;
    sst_work work{};
    work.m = 600;
    std::memcpy(request.payload.data + SST_WORK_OFFSET, &work, sizeof work);
    const Told told = ask(request);
    EXPECT_EQ(told.response.result, 600u);                  // the target's
    EXPECT_EQ(told.response.payload.compute.cycles, 300u);  // 600 ns at 500 MHz
    EXPECT_EQ(told.latency(), 600 * kNano);
    EXPECT_EQ(ask(compute(5)).response.payload.compute.cycles, 0u);
}

}  // namespace
}  // namespace mimic::sim
