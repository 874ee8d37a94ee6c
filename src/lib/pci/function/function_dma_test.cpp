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

// Memory of zeros that answers when the test says so, and time that the test moves.
class SlowSlot final : public Slot, public memory::DmaSpace, public TaskRunner {
public:
    void send_msix(uint32_t) override {}
    void send_msi(uint32_t) override {}
    void set_intx(bool) override {}
    memory::DmaSpace& dma() override { return *this; }
    TaskRunner& runner() override { return *this; }

    std::optional<std::span<std::byte>> span(uint64_t, uint64_t, memory::DmaAccess) override {
        return std::nullopt;
    }
    void read(uint64_t, uint64_t size, ReadDone done) override {
        answer([size, done = std::move(done)] {
            const std::vector<std::byte> zeros(size);
            done(std::span<const std::byte>(zeros));
        });
    }
    void write(uint64_t, std::span<const std::byte>, WriteDone done) override {
        answer([done = std::move(done)] { done({}); });
    }

    void post(Task task) override { tasks.push_back(std::move(task)); }
    void post_delayed(Task task, Duration) override { tasks.push_back(std::move(task)); }
    TimePoint now() const override { return {}; }
    bool is_current() const override { return true; }

    /// Gives all answers, and does what was posted.
    void settle() {
        for (auto* const queue : {&tasks, &answers})
            for (const auto& next : std::exchange(*queue, {})) next();
    }

    std::vector<Task> answers;
    std::vector<Task> tasks;
    std::function<void()> before_answer;
    bool later = true;

private:
    void answer(Task task) {
        if (later) return answers.push_back(std::move(task));
        if (before_answer) before_answer();
        task();
    }
};

class FunctionDmaTest : public ::testing::Test {
protected:
    FunctionDmaTest() {
        CapabilityBuilder builder(*function);
        EXPECT_TRUE(builder.add_power_management({}));
        EXPECT_TRUE(builder.add_pcie({}));
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

    SlowSlot slot;
    std::unique_ptr<TestFunction> function = std::make_unique<TestFunction>();
    std::vector<int> answers;
};

TEST_F(FunctionDmaTest, IsAnsweredWhenMemoryAnswers) {
    start();
    EXPECT_THAT(answers, IsEmpty());
    slot.settle();
    EXPECT_THAT(answers, ElementsAre(0, 0, 0, 0));
    slot.later = false;
    start();
    EXPECT_EQ(answers.size(), 8U) << "before dma_read() returns";
}

TEST_F(FunctionDmaTest, IsNotAnsweredAfterAnyReset) {
    for (const auto kind :
         {ResetKind::kFunctionLevel, ResetKind::kConventional, ResetKind::kPower}) {
        start();
        function->reset(kind);
        master(true);
        slot.settle();
        EXPECT_THAT(answers, IsEmpty()) << static_cast<int>(kind);
    }
    start();
    slot.settle();
    EXPECT_EQ(answers.size(), 4U) << "what is asked for after a reset is answered";
}

TEST_F(FunctionDmaTest, IsNotAnsweredAfterAnFlrOfTheGuest) {
    start();
    function->write_u16(function->pcie_capability() + regs::DEVCTL, regs::DEVCTL_INITIATE_FLR);
    slot.settle();
    EXPECT_THAT(answers, IsEmpty());
}

TEST_F(FunctionDmaTest, IsNotAnsweredAfterDetach) {
    start();
    function->detach();
    function->attach(slot);
    slot.settle();
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
    slot.settle();
    EXPECT_THAT(answers, IsEmpty());
}

TEST_F(FunctionDmaTest, IsNotAnsweredAfterTheFunctionHasGone) {
    start();
    function->detach();
    function.reset();
    slot.settle();
    EXPECT_THAT(answers, IsEmpty());
}

// The read itself may be what resets: of a register of its own, or one that ends its PF's VFs.
TEST_F(FunctionDmaTest, IsNotAnsweredIfItEndsTheFunctionItself) {
    slot.later = false;
    slot.before_answer = [this] {
        slot.before_answer = nullptr;
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
    EXPECT_THAT(slot.answers, IsEmpty());
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
    slot.settle();
    EXPECT_THAT(answers, ElementsAre(0, 0, 0, 0));
}

TEST_F(FunctionDmaTest, ThatIsNotAnsweredIsStillTraced) {
    SteadyClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    function->set_tracer(&ring);
    start();
    function->reset(ResetKind::kFunctionLevel);
    const uint64_t before = ring.next();
    slot.settle();
    EXPECT_THAT(answers, IsEmpty());
    EXPECT_EQ(ring.next() - before, 4U) << "the bytes did pass";
    function->set_tracer(nullptr);
}

TEST_F(FunctionDmaTest, ThatAFaultHoldsUpEndsWithTheFunctionToo) {
    function->set_faults(std::make_unique<FunctionFaults>(function->fault_hooks(), slot));
    Fault slow;
    slow.kind = FaultKind::kDmaSlow;
    slow.delay = std::chrono::milliseconds(5);
    slow.count = 0;  // all
    ASSERT_TRUE(function->faults()->arm(slow));
    start();
    EXPECT_THAT(slot.answers, IsEmpty()) << "memory was not asked yet";
    function->detach();
    function.reset();
    slot.settle();
    EXPECT_THAT(answers, IsEmpty());
}

}  // namespace
}  // namespace mimic::pci
