// SPDX-License-Identifier: Apache-2.0
// What a real function counts, tells its observer and hands to its tracer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "pci/function/capabilities.h"
#include "pci/testing/function.h"
#include "pci/trace/trace_ring.h"

namespace mimic::pci {
namespace {

using ::testing::ElementsAre;

class Observer final : public FunctionObserver {
public:
    void on_event(const Function& function, const FunctionEvent& event) override {
        events.push_back(fmt::format("{} {} {}{}{}", function.name(), static_cast<int>(event.kind),
                                     event.value, event.text.empty() ? "" : " ", event.text) +
                         (event.state.empty() ? "" : " " + std::string(event.state)));
    }
    std::vector<std::string> events;
};

class FunctionTrace : public ::testing::Test {
protected:
    FunctionTrace() : ring_(kMinTraceBytes, clock_) {
        CapabilityBuilder builder(function_);
        EXPECT_TRUE(builder.add_pcie({}));
        EXPECT_TRUE(builder.add_msix({.vectors = 4, .pba_offset = 0x800}));
        slot_.memory.add(0x1000, 4096);
        function_.attach(slot_);
        function_.set_tracer(&ring_);
    }
    ~FunctionTrace() override { function_.detach(); }

    std::vector<std::string> seen() {
        std::vector<std::string> result;
        next_ = ring_.read(next_, [&result](const TraceRecord& record) {
            const TraceEvent& event = record.event;
            std::string text = fmt::format("{}:{:#x}+{} v{} f{}", static_cast<int>(event.kind),
                                           event.address, event.size, event.value, event.flags);
            for (const uint8_t byte : event.data) text += fmt::format(" {:02x}", byte);
            result.push_back(text + std::string(event.text));
            return true;
        });
        return result;
    }
    void master() {
        function_.write_u16(regs::COMMAND, regs::COMMAND_BUS_MASTER | regs::COMMAND_MEMORY_SPACE);
        seen();
    }

    SteadyClock clock_;
    TraceRing ring_;
    FakeSlot slot_;
    TestFunction function_;
    uint64_t next_ = 0;
};

TEST_F(FunctionTrace, AccessesHaveTheirValues) {
    function_.write_u16(regs::COMMAND, 0x0006);
    function_.read_u32(0);
    const uint8_t word[]{1, 2, 3, 4};
    function_.write_bar(0, 0x8000, word);
    uint8_t got[2]{};
    function_.read_bar(0, 0x8010, got);
    EXPECT_THAT(seen(), ElementsAre("1:0x4+2 v0 f0 06 00", "0:0x0+4 v0 f0 e5 1d 01 00",
                                    "3:0x8000+4 v0 f0 01 02 03 04", "2:0x8010+2 v0 f0 00 00"));
    const FunctionCounters& counters = function_.counters();
    EXPECT_EQ(counters.config_reads, 1U);
    EXPECT_EQ(counters.config_writes, 1U);
    EXPECT_EQ(counters.bar_reads, 1U);
    EXPECT_EQ(counters.bar_writes, 1U);
}

// Each look at this clock is 10 ns later.
class TickClock final : public Clock {
public:
    TimePoint now() const override { return TimePoint(Duration(++ticks_ * 10)); }

private:
    mutable int64_t ticks_ = 0;
};

TEST_F(FunctionTrace, AccessesLastUntilTheyHaveActed) {
    const TickClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    function_.set_tracer(&ring);
    function_.write_u16(regs::COMMAND, 0x0006);
    function_.read_u32(0);
    uint8_t word[]{1, 2, 3, 4};
    function_.write_bar(0, 0x8000, word);
    function_.read_bar(0, 0x8010, word);
    // What a write causes lies inside of it.
    function_.write_u16(function_.config().find_capability(0x10) + regs::DEVCTL,
                        regs::DEVCTL_INITIATE_FLR);
    std::vector<std::pair<int64_t, int64_t>> times;
    ring.read(0, [&times](const TraceRecord& record) {
        times.emplace_back(record.time_ns, record.duration_ns);
        return true;
    });
    EXPECT_THAT(times, ElementsAre(std::pair(10, 10), std::pair(40, 10), std::pair(50, 10),
                                   std::pair(80, 10), std::pair(90, 20), std::pair(100, 0)));
    function_.set_tracer(nullptr);
}

TEST_F(FunctionTrace, WithoutATracerThingsAreOnlyCounted) {
    function_.set_tracer(nullptr);
    function_.read_u32(0);
    uint8_t got[2]{};
    function_.read_bar(0, 0x8010, got);
    EXPECT_TRUE(seen().empty());
    EXPECT_EQ(function_.counters().config_reads, 1U);
    EXPECT_EQ(function_.counters().bar_reads, 1U);
}

TEST_F(FunctionTrace, InterruptsThatLeaveAreSeen) {
    function_.write_u16(function_.config().find_capability(0x11) + 2, 0x8000);
    master();
    function_.raise_msix(2);
    EXPECT_THAT(seen(), ElementsAre("7:0x0+0 v2 f0"));
    EXPECT_EQ(function_.counters().interrupts, 1U);
    EXPECT_THAT(slot_.vectors, ElementsAre(2U));
}

TEST_F(FunctionTrace, MappedDmaIsSeenWithoutItsBytes) {
    master();
    ASSERT_TRUE(function_.dma()->span(0x1000, 64, memory::DmaAccess::kWrite));
    EXPECT_THAT(seen(), ElementsAre("6:0x1000+64 v0 f0"));
    EXPECT_EQ(function_.counters().dma_writes, 1U);
    EXPECT_EQ(function_.counters().dma_write_bytes, 64U);
}

TEST_F(FunctionTrace, KeepingBytesMakesAllDmaPassReadAndWrite) {
    master();
    ring_.set_dma_bytes(2);
    slot_.memory.put(0x1000, std::byte{7});
    EXPECT_FALSE(function_.dma()->span(0x1000, 64, memory::DmaAccess::kRead));
    function_.dma()->read(0x1000, 3, [](const auto& bytes) { EXPECT_TRUE(bytes); });
    const std::array<std::byte, 1> data{std::byte{9}};
    function_.dma()->write(0x1000, data, [](const auto& written) { EXPECT_TRUE(written); });
    EXPECT_THAT(seen(), ElementsAre("4:0x1000+3 v0 f0 07 00", "5:0x1000+1 v0 f0 09"));
}

TEST_F(FunctionTrace, DmaThatCompletesLaterIsSeenTwice) {
    master();
    ring_.set_dma_bytes(8);
    slot_.memory.answers_later = true;
    const std::array<std::byte, 1> data{std::byte{9}};
    function_.dma()->read(0x1000, 2, [](const auto&) {});
    function_.dma()->write(0x1008, data, [](const auto&) {});
    EXPECT_THAT(seen(), ElementsAre("4:0x1000+2 v0 f4", "5:0x1008+1 v0 f4 09"));
    while (slot_.memory.answer()) {
    }
    EXPECT_THAT(seen(), ElementsAre("4:0x1000+2 v0 f8 00 00", "5:0x1008+1 v0 f8"));
}

TEST_F(FunctionTrace, FailedDmaHasItsError) {
    master();
    bool failed = false;
    function_.dma()->read(0x10, 2, [&failed](const auto& bytes) { failed = !bytes; });
    EXPECT_TRUE(failed);
    EXPECT_THAT(seen(), ElementsAre(fmt::format("4:0x10+2 v{} f16", EFAULT)));
}

TEST_F(FunctionTrace, DmaMayOutliveTheTracer) {
    master();
    slot_.memory.answers_later = true;
    bool done = false;
    function_.dma()->read(0x1000, 2, [&done](const auto&) { done = true; });
    seen();
    function_.set_tracer(nullptr);
    EXPECT_TRUE(slot_.memory.answer());
    EXPECT_TRUE(done);
    EXPECT_TRUE(seen().empty());
}

TEST_F(FunctionTrace, FaultsMarkWhatTheyChange) {
    function_.set_faults(std::make_unique<FunctionFaults>(function_.fault_hooks(), slot_.runner()));
    function_.write_u16(function_.config().find_capability(0x11) + 2, 0x8000);
    master();
    ASSERT_TRUE(function_.faults()->arm(*parse_fault("irq-lost", {})));
    function_.raise_msix(1);
    EXPECT_THAT(seen(), ElementsAre("13:0x0+0 v1 f0irq-lost armed", "13:0x0+0 v1 f0irq-lost active",
                                    "13:0x0+0 v1 f0irq-lost struck", "13:0x0+0 v1 f0irq-lost done",
                                    "7:0x0+0 v1 f1"));
    ASSERT_TRUE(function_.faults()->arm(*parse_fault("all-ones", {})));
    seen();
    function_.read_u32(0);
    EXPECT_EQ(seen().back(), "0:0x0+4 v0 f1 ff ff ff ff");
    EXPECT_EQ(function_.counters().interrupts, 0U);
}

TEST_F(FunctionTrace, TheObserverHearsOfRareEvents) {
    Observer observer;
    function_.set_observer(&observer);
    function_.reset(ResetKind::kConventional);
    function_.report_error({.correctable = true, .bit = regs::AER_BAD_TLP});
    function_.detach();
    function_.attach(slot_);
    function_.set_observer(nullptr);
    EXPECT_THAT(observer.events,
                ElementsAre("test0 2 1", fmt::format("test0 4 {}", regs::AER_BAD_TLP), "test0 2 3",
                            "test0 1 0", "test0 0 0"));
    EXPECT_EQ(function_.counters().errors, 1U);
}

}  // namespace
}  // namespace mimic::pci
