// SPDX-License-Identifier: Apache-2.0
// How long DMA of a function is answered: not beyond a reset, the end of its attachment or itself.
// The functions here are freed for real, so that AddressSanitizer sees an answer that finds one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "pci/function/capabilities.h"
#include "pci/testing/function.h"
#include "pci/trace/trace_ring.h"

namespace mimic::pci {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FunctionDmaTest : public ::testing::Test {
protected:
    FunctionDmaTest() {
        CapabilityBuilder builder(*function);
        EXPECT_TRUE(builder.add_power_management({}));
        EXPECT_TRUE(builder.add_pcie({}));
        slot.memory.add(0x1000, 8, memory::FakeMemory::Kind::kCopied);
        slot.memory.add(0x2000, 8, memory::FakeMemory::Kind::kCopied);
        slot.memory.answers_later = true;
        function->attach(slot);
        master(true);
    }
    ~FunctionDmaTest() override {
        if (function) function->detach();
    }

    void master(bool on) { function->write_u16(regs::COMMAND, on ? regs::COMMAND_BUS_MASTER : 0); }

    /// Has the function read, and write, in both of the ways that there are. Each notes the errno
    /// of its answer in `answers`.
    void start() {
        const std::array<std::byte, 2> data{};
        const auto note = [this](const auto& result) {
            answers.push_back(result ? 0 : result.error().errno_value());
        };
        function->dma_read(0x1000, 8, note);
        function->dma_write(0x2000, data, note);
        if (memory::DmaSpace* const memory = function->dma()) {
            memory->read(0x1000, 8, note);
            memory->write(0x2000, data, note);
        }
    }

    /// Gives all answers, and does what was posted.
    void settle() {
        do {
            slot.time.run_all();
        } while (slot.memory.answer());
    }

    FakeSlot slot;
    std::unique_ptr<TestFunction> function = std::make_unique<TestFunction>();
    std::vector<int> answers;
};

TEST_F(FunctionDmaTest, IsAnsweredWhenMemoryAnswers) {
    start();
    EXPECT_THAT(answers, IsEmpty());
    settle();
    EXPECT_THAT(answers, ElementsAre(0, 0, 0, 0));
    slot.memory.answers_later = false;
    start();
    EXPECT_EQ(answers.size(), 8U) << "before dma_read() returns";
}

TEST_F(FunctionDmaTest, IsNotAnsweredAfterAnyReset) {
    for (const auto kind :
         {ResetKind::kFunctionLevel, ResetKind::kConventional, ResetKind::kPower}) {
        start();
        function->reset(kind);
        master(true);
        settle();
        EXPECT_THAT(answers, IsEmpty()) << static_cast<int>(kind);
    }
    start();
    settle();
    EXPECT_EQ(answers.size(), 4U) << "what is asked for after a reset is answered";
}

TEST_F(FunctionDmaTest, IsNotAnsweredAfterAnFlrOfTheGuest) {
    start();
    function->write_u16(function->pcie_capability() + regs::DEVCTL, regs::DEVCTL_INITIATE_FLR);
    settle();
    EXPECT_THAT(answers, IsEmpty());
}

TEST_F(FunctionDmaTest, IsNotAnsweredAfterDetach) {
    start();
    function->detach();
    function->attach(slot);
    settle();
    EXPECT_THAT(answers, IsEmpty());
}

TEST_F(FunctionDmaTest, IsNotAnsweredAfterADetachInTheMiddleOfAReset) {
    function->during_reset = [this] {
        function->during_reset = nullptr;
        master(true);
        start();
        function->detach();
    };
    function->reset(ResetKind::kFunctionLevel);
    settle();
    EXPECT_THAT(answers, IsEmpty());
}

TEST_F(FunctionDmaTest, IsNotAnsweredAfterTheFunctionHasGone) {
    start();
    function->detach();
    function.reset();
    settle();
    EXPECT_THAT(answers, IsEmpty());
}

// The read itself may be what resets: of a register of its own, or one that ends its PF's VFs.
TEST_F(FunctionDmaTest, IsNotAnsweredIfItEndsTheFunctionItself) {
    slot.memory.answers_later = false;
    slot.memory.on_transfer = [this] {
        slot.memory.on_transfer = nullptr;
        function->detach();
        function.reset();
    };
    function->dma_read(0x1000, 8, [this](const auto&) { answers.push_back(0); });
    EXPECT_EQ(function, nullptr);
    EXPECT_THAT(answers, IsEmpty());
}

TEST_F(FunctionDmaTest, FailsAtOnceWhileTheFunctionMayNotMasterTheBus) {
    master(false);
    start();
    EXPECT_THAT(answers, ElementsAre(EPERM, EPERM));
    EXPECT_THAT(slot.memory.messages, IsEmpty());
    master(true);
    const uint32_t pm = function->config().find_capability(regs::CAP_ID_PM);
    function->write_u16(pm + regs::PMCSR, 3);  // D3hot
    start();
    EXPECT_EQ(answers.size(), 4U);
    function->write_u16(pm + regs::PMCSR, 0);
    function->detach();
    start();
    EXPECT_EQ(answers.size(), 6U);
    EXPECT_EQ(answers.back(), EPERM);
}

TEST_F(FunctionDmaTest, ThatHasBegunGoesOnWhenBusMasteringIsTurnedOff) {
    start();
    master(false);
    settle();
    EXPECT_THAT(answers, ElementsAre(0, 0, 0, 0));
}

TEST_F(FunctionDmaTest, ThatIsNotAnsweredIsStillTraced) {
    SteadyClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    function->set_tracer(&ring);
    start();
    function->reset(ResetKind::kFunctionLevel);
    const uint64_t before = ring.next();
    settle();
    EXPECT_THAT(answers, IsEmpty());
    EXPECT_EQ(ring.next() - before, 4U) << "the bytes did pass";
    function->set_tracer(nullptr);
}

TEST_F(FunctionDmaTest, ThatAFaultHoldsUpEndsWithTheFunctionToo) {
    function->set_faults(std::make_unique<FunctionFaults>(function->fault_hooks(), slot.time));
    Fault slow;
    slow.kind = FaultKind::kDmaSlow;
    slow.delay = std::chrono::milliseconds(5);
    slow.count = 0;  // all
    ASSERT_TRUE(function->faults()->arm(slow));
    start();
    EXPECT_THAT(slot.memory.messages, IsEmpty()) << "memory was not asked yet";
    function->detach();
    function.reset();
    settle();
    EXPECT_THAT(answers, IsEmpty());
}

}  // namespace
}  // namespace mimic::pci
