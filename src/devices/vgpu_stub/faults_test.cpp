// SPDX-License-Identifier: Apache-2.0
// What `mimic inject` breaks: answers of the mediator, the mediator, DMA, doorbells, messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/vgpu_stub/test_bench.h"
#include "pci/faults/function_faults.h"

namespace mimic::vgpu_stub {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

struct VgpuFaultsTest : testing::Test {
    VgpuFaultsTest() {
        bench.device->set_faults(
            std::make_unique<pci::FunctionFaults>(bench.device->fault_hooks(), bench.slot.time));
        bench.write(INTERRUPT_CTRL, kInterruptDone);
    }
    ~VgpuFaultsTest() override { bench.device->set_faults(nullptr); }

    void arm(std::string_view name, pci::FaultOptions options = {}) {
        const auto fault = pci::parse_fault(name, options);
        ASSERT_TRUE(fault.has_value()) << fault.error().message();
        const Status armed = bench.device->faults()->arm(*fault);
        ASSERT_TRUE(armed.has_value()) << armed.error().message();
    }
    void request() {
        bench.put_request(bytes_of(16));
        bench.write(DOORBELL, 1);
    }
    void answer() { bench.queue().answer(0, VGPU_OK, bytes_of(32)); }
    uint64_t counter(std::string_view name) {
        for (const auto& [key, value] : bench.device->model_counters())
            if (name == key) return value;
        ADD_FAILURE() << name;
        return 0;
    }

    Bench bench{{.timeout = 35s}};
};

TEST_F(VgpuFaultsTest, ALostAnswerIsATimeout) {
    arm("sim-drop");
    request();
    answer();
    bench.slot.time.advance(34999ms);
    EXPECT_EQ(bench.state(), State::kBusy);
    bench.slot.time.advance(1ms);
    EXPECT_EQ(bench.read(ERROR_CODE), 4U);
    EXPECT_EQ(counter("model_mediator_timeouts"), 1U);
    EXPECT_EQ(counter("model_requests_in_flight"), 0U);
}

TEST_F(VgpuFaultsTest, AWrongIdIsATimeoutAndCounted) {
    arm("sim-wrong-id");
    request();
    answer();
    bench.slot.time.advance(35s);
    EXPECT_EQ(bench.read(ERROR_CODE), 4U);
    EXPECT_EQ(counter("model_mediator_unknown"), 1U);
}

TEST_F(VgpuFaultsTest, ALateAnswerComesLater) {
    arm("sim-delay", {{"delay", "30ms"}});
    request();
    answer();
    bench.slot.time.advance(29ms);
    EXPECT_EQ(bench.state(), State::kBusy);
    bench.slot.time.advance(1ms);
    EXPECT_EQ(bench.state(), State::kDone);
    EXPECT_EQ(bench.response(), bytes_of(32));
}

TEST_F(VgpuFaultsTest, AnAnswerAfterItsTimeHarmsNobody) {
    arm("sim-delay", {{"delay", "40s"}});
    request();
    answer();
    bench.slot.time.advance(35s);
    EXPECT_EQ(bench.read(ERROR_CODE), 4U);
    request();
    bench.slot.time.advance(5s);
    EXPECT_EQ(bench.state(), State::kBusy);
    answer();
    EXPECT_EQ(bench.state(), State::kDone);
}

TEST_F(VgpuFaultsTest, ACorruptAnswerHasOtherBytes) {
    arm("sim-corrupt");
    request();
    answer();
    EXPECT_EQ(bench.state(), State::kDone);
    EXPECT_EQ(bench.read(RESPONSE_LEN), 32U);
    EXPECT_NE(bench.response(), bytes_of(32));
    request();
    answer();
    EXPECT_EQ(bench.response(), bytes_of(32));
}

TEST_F(VgpuFaultsTest, ADeadMediatorFailsWhatIsUnderWay) {
    request();
    arm("sim-dead");
    bench.slot.time.run();
    EXPECT_EQ(bench.read(ERROR_CODE), 3U);
    EXPECT_THAT(bench.slot.take_vectors(), ElementsAre(kRegisterVector));
    answer();  // the queue's, too late
    EXPECT_EQ(bench.read(ERROR_CODE), 3U);
    request();
    EXPECT_EQ(bench.read(ERROR_CODE), 3U);
    bench.device->faults()->clear();
    bench.slot.time.run();
    request();
    answer();
    EXPECT_EQ(bench.state(), State::kDone);
}

TEST_F(VgpuFaultsTest, ResetForgetsWhatAFaultHolds) {
    arm("sim-delay", {{"delay", "30ms"}});
    request();
    answer();
    bench.device->reset(pci::ResetKind::kFunctionLevel);
    bench.slot.time.advance(1s);
    EXPECT_EQ(bench.state(), State::kIdle);
    EXPECT_EQ(bench.read(INTERRUPT_STATUS), 0U);
}

TEST_F(VgpuFaultsTest, DmaThatFailsIsError14) {
    bench.slot.memory.add(0x1000, 0x1000);
    arm("dma-fail");
    bench.set_dma(0x1000, 64, 0x1800, 64);
    bench.write(DMA_DOORBELL, 1);
    bench.slot.time.run();
    EXPECT_EQ(bench.read(ERROR_CODE), 14U);
}

TEST_F(VgpuFaultsTest, AStuckDoorbellAndALostMessage) {
    arm("doorbell-stuck");
    request();
    EXPECT_EQ(bench.state(), State::kIdle);
    bench.device->faults()->clear();
    request();
    EXPECT_EQ(bench.state(), State::kBusy);
    arm("irq-lost");
    bench.slot.take_vectors();
    answer();
    EXPECT_EQ(bench.state(), State::kDone);
    EXPECT_THAT(bench.slot.take_vectors(), IsEmpty());
    EXPECT_EQ(bench.read(INTERRUPT_STATUS), kInterruptDone);
}

TEST(VgpuFaultsWithoutExtensionsTest, WhatNeverHappensCannotBeBroken) {
    Bench bench({.extensions = false});
    bench.device->set_faults(
        std::make_unique<pci::FunctionFaults>(bench.device->fault_hooks(), bench.slot.time));
    std::vector<std::string> never;
    for (const pci::FaultRefusal& one : bench.device->faults()->refusals())
        if (!one.for_now) never.emplace_back(one.fault);
    EXPECT_THAT(never, testing::Contains("dma-fail"));
    EXPECT_THAT(never, testing::Contains("irq-lost"));
    EXPECT_THAT(never, testing::Not(testing::Contains("sim-drop")));
    EXPECT_THAT(never, testing::Not(testing::Contains("doorbell-stuck")));
    bench.device->set_faults(nullptr);
}

}  // namespace
}  // namespace mimic::vgpu_stub
