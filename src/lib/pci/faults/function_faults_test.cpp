// SPDX-License-Identifier: Apache-2.0
// What each fault does to accesses, messages and DMA, when it begins and when it ends; in virtual
// time.
#include "pci/faults/function_faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <span>
#include <vector>

#include "base/testing/virtual_time.h"
#include "memory/testing/fake_memory.h"

namespace mimic::pci {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<std::byte> kElevens(256, std::byte{0x11});

class FunctionFaultsTest : public testing::Test {
protected:
    FunctionFaultsTest() {
        std::ranges::copy(kElevens, memory.add(0, kElevens.size()).bytes.begin());
    }

    std::byte byte_at(uint64_t iova) { return memory.get<std::byte>(iova); }

    FunctionFaults::Hooks hooks() {
        FunctionFaults::Hooks all;
        all.send_message = [this](bool msix, uint32_t vector) {
            const bool swallowed = faults->message(msix, vector);
            log.push_back(fmt::format("{} {}{}", msix ? "msix" : "msi", vector,
                                      swallowed ? " swallowed" : ""));
        };
        all.messages = [this] { return FunctionFaults::Messages{true, vectors}; };
        all.report_error = [this](const FaultError& error) {
            log.push_back(fmt::format("error {:#x}", error.bit));
            return error_note;
        };
        all.never = [this](const Fault& fault) {
            return fault.vector == 99U ? "no vector" : never;
        };
        all.not_now = [this](const Fault&) { return not_now; };
        all.is_doorbell = [](unsigned bar, uint64_t offset) { return bar == 0 && offset == 0x104; };
        all.dma = [this] { return has_memory ? &memory : nullptr; };
        all.slot = [this](FaultKind kind) -> Status {
            log.push_back(fmt::format("slot {}", static_cast<int>(kind)));
            if (destroy_in_slot) faults.reset();
            if (slot_fails) return fail(std::errc::device_or_resource_busy, "the slot is empty");
            return {};
        };
        all.backend_changed = [this] {
            log.emplace_back(faults->is_backend_dead() ? "dead" : "alive");
        };
        all.hang = [this](Duration time) { log.push_back(fmt::format("hang {}", time / 1ms)); };
        all.crash = [this] { log.emplace_back("crash"); };
        return all;
    }

    Status inject(std::string_view name, const FaultOptions& options = {},
                  std::optional<uint64_t> after = {}, std::optional<Duration> at = {}) {
        auto fault = parse_fault(name, options);
        EXPECT_TRUE(fault) << name;
        fault->after_accesses = after;
        fault->at = at;
        return faults->arm(*fault);
    }

    // What a read of four zero bytes gives.
    uint32_t read(unsigned space = 0, uint64_t offset = 0) {
        uint32_t value = 0;
        faults->read(space, offset, {reinterpret_cast<uint8_t*>(&value), 4});
        return value;
    }
    bool write(unsigned space, uint64_t offset, size_t size = 4) {
        const std::array<uint8_t, 16> data{};
        return faults->write(space, offset, std::span(data).first(size));
    }
    FaultReport only_report() {
        const auto reports = faults->report();
        EXPECT_EQ(reports.size(), 1U);
        return reports.empty() ? FaultReport{} : reports.front();
    }
    std::vector<std::string> take() { return std::exchange(log, {}); }

    // The bytes that a read of [0, 16) finds, or what went wrong; empty while it lasts.
    void dma_read() {
        read_result.clear();
        faults->dma(&memory)->read(0, 16, [this](Result<std::span<const std::byte>> got) {
            if (!got) {
                read_result = got.error().code() == std::errc::io_error ? "EIO" : "ECANCELED";
                return;
            }
            for (const auto byte : *got)
                read_result += fmt::format("{:02x}", static_cast<int>(byte));
        });
    }

    VirtualTime runner;
    memory::FakeMemory memory;
    uint32_t vectors = 4;
    bool has_memory = true;
    bool slot_fails = false;
    bool destroy_in_slot = false;
    std::vector<std::string> log;
    std::string error_note;
    std::string never;
    std::string not_now;
    std::string read_result;
    const std::string right = std::string(32, '1');
    std::unique_ptr<FunctionFaults> faults = std::make_unique<FunctionFaults>(hooks(), runner);
};

TEST_F(FunctionFaultsTest, WithoutFaultsNothingChanges) {
    EXPECT_EQ(read(), 0U);
    EXPECT_FALSE(write(0, 0x104));
    EXPECT_FALSE(faults->message(true, 0));
    EXPECT_EQ(faults->dma(&memory), &memory);
    EXPECT_EQ(faults->dma(nullptr), nullptr);
    EXPECT_EQ(faults->accesses(), 2U);
    EXPECT_THAT(faults->report(), IsEmpty());
}

TEST_F(FunctionFaultsTest, ErrorsAreReportedAtOnce) {
    ASSERT_TRUE(inject("bad-tlp"));
    ASSERT_TRUE(inject("malformed-tlp"));
    EXPECT_THAT(take(), ElementsAre("error 0x40", "error 0x40000"));
    EXPECT_EQ(faults->report().at(1).state, FaultState::kDone);
    EXPECT_EQ(faults->report().at(1).strikes, 1U);
}

TEST_F(FunctionFaultsTest, AtATime) {
    ASSERT_TRUE(inject("bad-dllp", {}, {}, 5ms));
    ASSERT_TRUE(inject("all-ones", {}, {}, 7ms));
    runner.advance(4ms);
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(faults->report().front().state, FaultState::kArmed);
    runner.advance(1ms);
    EXPECT_THAT(take(), ElementsAre("error 0x80"));
    EXPECT_EQ(read(), 0U);
    runner.advance(2ms);
    EXPECT_EQ(read(), 0xffff'ffffU);
}

TEST_F(FunctionFaultsTest, AfterAccesses) {
    ASSERT_TRUE(inject("all-ones", {}, 2));
    ASSERT_TRUE(inject("bad-dllp", {}, 2));
    EXPECT_EQ(faults->report().front().accesses_left, 2U);
    EXPECT_EQ(read(), 0U);
    EXPECT_FALSE(write(7, 4));
    EXPECT_THAT(take(), IsEmpty());   // not inside the access
    EXPECT_EQ(read(), 0xffff'ffffU);  // also where the loop had no time for its tasks
    runner.advance(0ns);
    EXPECT_THAT(take(), ElementsAre("error 0x80"));
    ASSERT_TRUE(inject("clear"));
    ASSERT_TRUE(inject("bad-dllp", {}, 0));
    EXPECT_THAT(take(), ElementsAre("error 0x80"));
}

TEST_F(FunctionFaultsTest, TwoTriggersAreRefused) {
    EXPECT_FALSE(inject("all-ones", {}, 1, 1ms));
    EXPECT_THAT(faults->report(), IsEmpty());
}

TEST_F(FunctionFaultsTest, AllOnesUntilCleared) {
    ASSERT_TRUE(inject("all-ones"));
    EXPECT_EQ(read(0), 0xffff'ffffU);
    EXPECT_EQ(read(FunctionFaults::kConfigSpace), 0xffff'ffffU);
    EXPECT_TRUE(write(2, 0));
    EXPECT_TRUE(write(FunctionFaults::kConfigSpace, 4));
    EXPECT_EQ(only_report().strikes, 4U);
    ASSERT_TRUE(inject("clear"));
    EXPECT_EQ(read(), 0U);
    EXPECT_EQ(faults->report().back().state, FaultState::kCleared);
}

TEST_F(FunctionFaultsTest, OneIsClearedAndTheOthersStand) {
    ASSERT_TRUE(inject("all-ones"));
    ASSERT_TRUE(inject("bad-tlp", {}, {}, 2s));
    ASSERT_TRUE(inject("irq-lost", {{"count", "0"}}));
    EXPECT_FALSE(faults->clear(4));
    EXPECT_TRUE(faults->clear(1));
    EXPECT_FALSE(faults->clear(1));
    EXPECT_EQ(read(), 0U);
    EXPECT_TRUE(faults->message(true, 0));
    EXPECT_TRUE(faults->clear(2));
    runner.advance(3s);
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(faults->standing(FaultState::kActive), 1U);
}

TEST_F(FunctionFaultsTest, ClearLaterEndsWhatIsArmedToo) {
    ASSERT_TRUE(inject("all-ones"));
    ASSERT_TRUE(inject("bad-tlp", {}, 1000));
    ASSERT_TRUE(inject("bad-tlp", {}, {}, 2s));
    ASSERT_TRUE(inject("clear", {}, {}, 1s));
    runner.advance(1s);
    EXPECT_EQ(read(), 0U);
    for (const auto& report : faults->report())
        EXPECT_EQ(report.state, report.fault.kind == FaultKind::kClear ? FaultState::kDone
                                                                       : FaultState::kCleared);
    runner.advance(2s);
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(FunctionFaultsTest, LostInterrupts) {
    ASSERT_TRUE(inject("irq-lost", {{"vector", "1"}, {"count", "2"}}));
    EXPECT_FALSE(faults->message(true, 0));
    EXPECT_TRUE(faults->message(true, 1));
    EXPECT_TRUE(faults->message(true, 1));
    EXPECT_FALSE(faults->message(true, 1));
    EXPECT_EQ(only_report().state, FaultState::kDone);
    ASSERT_TRUE(inject("irq-lost", {{"count", "0"}}));
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(faults->message(false, 0));
    faults->clear();
    EXPECT_FALSE(faults->message(false, 0));
    runner.advance(1h);
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(FunctionFaultsTest, LateInterrupts) {
    ASSERT_TRUE(inject("irq-late", {{"delay", "3ms"}}));
    EXPECT_TRUE(faults->message(true, 2));
    EXPECT_FALSE(faults->message(true, 2));
    runner.advance(2ms);
    EXPECT_THAT(take(), IsEmpty());
    // What is late still comes, and no other fault meets it.
    ASSERT_TRUE(inject("clear"));
    ASSERT_TRUE(inject("irq-lost"));
    runner.advance(1ms);
    EXPECT_THAT(take(), ElementsAre("msix 2"));
}

TEST_F(FunctionFaultsTest, SpuriousInterrupts) {
    ASSERT_TRUE(inject("irq-spurious", {{"vector", "3"}, {"count", "2"}, {"delay", "5ms"}}));
    EXPECT_THAT(take(), ElementsAre("msix 3"));
    runner.advance(5ms);
    EXPECT_THAT(take(), ElementsAre("msix 3"));
    runner.advance(1h);
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(only_report().state, FaultState::kDone);
}

TEST_F(FunctionFaultsTest, SpuriousVectorsComeFromTheSeed) {
    const auto run = [this](uint64_t seed) {
        faults = std::make_unique<FunctionFaults>(hooks(), runner);
        auto fault = *parse_fault("irq-spurious", {{"count", "0"}});
        fault.seed = seed;
        EXPECT_TRUE(faults->arm(fault));
        runner.advance(50ms);
        faults->clear();
        runner.advance(1s);
        return take();
    };
    const auto first = run(7);
    EXPECT_EQ(first.size(), 51U);  // one at once, then one a millisecond
    EXPECT_EQ(run(7), first);
    EXPECT_NE(run(8), first);
    for (const auto& line : first) EXPECT_LT(line.back(), '4');
    EXPECT_EQ(std::set<std::string>(first.begin(), first.end()).size(), 4U);
}

TEST_F(FunctionFaultsTest, SpuriousWithoutVectorsIsNoted) {
    vectors = 0;
    ASSERT_TRUE(inject("irq-spurious"));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(only_report().note, HasSubstr("not enabled"));
    vectors = 2;
    ASSERT_TRUE(inject("irq-spurious", {{"vector", "2"}}));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(FunctionFaultsTest, StuckDoorbell) {
    ASSERT_TRUE(inject("doorbell-stuck", {{"count", "2"}}));
    EXPECT_FALSE(write(0, 0x100));
    EXPECT_FALSE(write(2, 0x104));
    EXPECT_FALSE(write(FunctionFaults::kConfigSpace, 0x104));
    EXPECT_TRUE(write(0, 0x104));
    EXPECT_TRUE(write(0, 0x100, 8));  // covers it
    EXPECT_FALSE(write(0, 0x104));
    EXPECT_EQ(read(0, 0x104), 0U);
}

TEST_F(FunctionFaultsTest, SlowDma) {
    ASSERT_TRUE(inject("dma-slow", {{"delay", "4ms"}, {"count", "2"}}));
    dma_read();
    EXPECT_EQ(read_result, "");
    EXPECT_EQ(faults->dma(&memory)->span(0, 4, memory::DmaAccess::kRead), std::nullopt);
    runner.advance(4ms);
    EXPECT_EQ(read_result, right);
    bool written = false;
    {
        const std::vector<std::byte> data(4, std::byte{0x22});  // gone before it is written
        faults->dma(&memory)->write(8, data, [&written](Status done) { written = bool(done); });
    }
    EXPECT_EQ(byte_at(8), std::byte{0x11});
    EXPECT_EQ(faults->dma(&memory), &memory);
    runner.advance(4ms);
    EXPECT_TRUE(written);
    EXPECT_EQ(byte_at(8), std::byte{0x22});
}

TEST_F(FunctionFaultsTest, SlowDmaFindsThatMemoryWentAway) {
    ASSERT_TRUE(inject("dma-slow"));
    dma_read();
    has_memory = false;
    runner.advance(1s);
    EXPECT_EQ(read_result, "ECANCELED");
}

TEST_F(FunctionFaultsTest, NothingHappensToThoseThatAreGone) {
    ASSERT_TRUE(inject("dma-slow", {{"count", "0"}}));
    ASSERT_TRUE(inject("irq-late"));
    ASSERT_TRUE(inject("irq-spurious", {{"count", "0"}}));
    ASSERT_TRUE(inject("bad-tlp", {}, {}, 1ms));
    dma_read();
    EXPECT_TRUE(faults->message(true, 0));
    take();
    faults.reset();
    runner.advance(1s);
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(read_result, "");
}

TEST_F(FunctionFaultsTest, FailedDma) {
    ASSERT_TRUE(inject("dma-fail", {{"count", "2"}}));
    memory::DmaSpace* const space = faults->dma(&memory);
    dma_read();
    EXPECT_EQ(read_result, "EIO");
    const std::vector<std::byte> data(4, std::byte{0x22});
    std::errc code{};
    space->write(0, data,
                 [&code](Status done) { code = done ? std::errc{} : done.error().code(); });
    EXPECT_EQ(code, std::errc::io_error);
    EXPECT_EQ(byte_at(0), std::byte{0x11});
    // A space that was asked for before still works once the fault is over.
    EXPECT_TRUE(space->span(0, 4, memory::DmaAccess::kRead));
    dma_read();
    EXPECT_EQ(read_result, right);
}

TEST_F(FunctionFaultsTest, CorruptDma) {
    ASSERT_TRUE(inject("dma-corrupt", {{"count", "2"}}));
    dma_read();
    const auto wrong = read_result;
    EXPECT_NE(wrong, right);
    EXPECT_EQ(wrong.size(), right.size());
    EXPECT_TRUE(std::ranges::equal(std::span(memory.at(0), kElevens.size()), kElevens));
    const std::vector<std::byte> data(1, std::byte{0x22});
    faults->dma(&memory)->write(8, data, [](const Status& done) { EXPECT_TRUE(done); });
    EXPECT_NE(byte_at(8), std::byte{0x22});
    // The same seed, the same bytes.
    std::ranges::copy(kElevens, memory.at(0));
    ASSERT_TRUE(inject("dma-corrupt"));
    dma_read();
    EXPECT_EQ(read_result, wrong);
}

TEST_F(FunctionFaultsTest, DmaFaultsAddUp) {
    ASSERT_TRUE(inject("dma-slow", {{"delay", "1ms"}}));
    ASSERT_TRUE(inject("dma-slow", {{"delay", "2ms"}}));
    ASSERT_TRUE(inject("dma-fail"));
    dma_read();
    runner.advance(2ms);
    EXPECT_EQ(read_result, "");
    runner.advance(1ms);
    EXPECT_EQ(read_result, "EIO");
    EXPECT_EQ(faults->dma(&memory), &memory);
}

TEST_F(FunctionFaultsTest, SlotAndItsErrors) {
    ASSERT_TRUE(inject("remove"));
    EXPECT_EQ(take().size(), 1U);
    slot_fails = true;
    const auto refused = inject("remove");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), std::errc::device_or_resource_busy);
    ASSERT_TRUE(inject("add", {}, {}, 1ms));
    runner.advance(1ms);
    EXPECT_EQ(faults->report().back().note, "the slot is empty");
    destroy_in_slot = true;
    EXPECT_FALSE(inject("remove"));
    EXPECT_EQ(faults, nullptr);
}

TEST_F(FunctionFaultsTest, TheHostFailsAfterTheAnswer) {
    ASSERT_TRUE(inject("host-hang", {{"delay", "2s"}}));
    ASSERT_TRUE(inject("host-crash"));
    EXPECT_THAT(take(), IsEmpty());
    runner.advance(FunctionFaults::kHostDelay);
    EXPECT_THAT(take(), ElementsAre("hang 2000", "crash"));
}

TEST_F(FunctionFaultsTest, WhatTheFunctionCannotDoIsRefused) {
    faults = std::make_unique<FunctionFaults>(FunctionFaults::Hooks{}, runner);
    const std::set<FaultKind> always{FaultKind::kIrqLost, FaultKind::kAllOnes, FaultKind::kDmaFail,
                                     FaultKind::kDmaCorrupt, FaultKind::kClear};
    for (const auto& entry : fault_names()) {
        const auto armed = inject(entry.name);
        EXPECT_EQ(bool(armed), always.contains(entry.kind)) << entry.name;
        if (!armed) {
            EXPECT_EQ(armed.error().code(), std::errc::not_supported);
        }
    }
}

TEST_F(FunctionFaultsTest, AnswersOfASimulatorAreStruckAsOftenAsAsked) {
    EXPECT_FALSE(faults->backend_answer().kind);
    ASSERT_TRUE(inject("sim-drop", {{"count", "2"}}));
    EXPECT_EQ(faults->backend_answer().kind, FaultKind::kBackendDrop);
    EXPECT_EQ(faults->backend_answer().kind, FaultKind::kBackendDrop);
    EXPECT_FALSE(faults->backend_answer().kind);
    ASSERT_TRUE(inject("sim-delay", {{"delay", "3ms"}}));
    EXPECT_EQ(faults->backend_answer().delay, 3ms);
    ASSERT_TRUE(inject("sim-wrong-id"));
    EXPECT_EQ(faults->backend_answer().kind, FaultKind::kBackendWrongId);
    uint64_t random[2];
    for (uint64_t& one : random) {
        ASSERT_TRUE(inject("sim-corrupt"));
        one = faults->backend_answer().random;
    }
    EXPECT_EQ(random[0], random[1]) << "the seed was the same";
    EXPECT_EQ(faults->strikes(), 6U);
    EXPECT_FALSE(faults->backend_dead());
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(FunctionFaultsTest, ASimulatorIsDeadUntilItsTimeOrUntilCleared) {
    ASSERT_TRUE(inject("sim-dead", {{"delay", "1s"}}));
    EXPECT_THAT(take(), ElementsAre("dead"));
    EXPECT_TRUE(faults->backend_dead());
    EXPECT_TRUE(faults->backend_dead());
    EXPECT_EQ(only_report().strikes, 2U);
    runner.advance(1s);
    EXPECT_THAT(take(), ElementsAre("alive"));
    EXPECT_EQ(only_report().state, FaultState::kDone);
    ASSERT_TRUE(inject("sim-dead"));
    runner.advance(1000s);
    EXPECT_TRUE(faults->backend_dead());
    faults->clear();
    EXPECT_THAT(take(), ElementsAre("dead", "alive"));
    ASSERT_TRUE(inject("sim-dead", {}, {}, 1s));
    EXPECT_FALSE(faults->backend_dead());
    runner.advance(1s);
    EXPECT_TRUE(faults->backend_dead());
}

TEST_F(FunctionFaultsTest, WithoutASimulatorItsFaultsAreRefused) {
    FunctionFaults none({}, runner);
    const auto refused = none.arm(*parse_fault("sim-drop", {}));
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("no simulator behind the device"));
}

TEST_F(FunctionFaultsTest, WhatCouldNeverStrikeIsRefusedAndListed) {
    const auto refused = inject("irq-late", {{"vector", "99"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), std::errc::not_supported);
    EXPECT_EQ(refused.error().message(), "irq-late: no vector");
    EXPECT_FALSE(inject("irq-late", {{"vector", "99"}}, {}, 1s)) << "a trigger changes nothing";
    EXPECT_THAT(faults->report(), IsEmpty());
    EXPECT_THAT(faults->refusals(), IsEmpty());
    never = "it is made of wood";
    const auto list = faults->refusals();
    constexpr size_t kOfSimulators = 5;  // they have a simulator to strike, whatever it is made of
    EXPECT_EQ(list.size(), fault_names().size() - kOfSimulators);
    EXPECT_EQ(list.front().reason, never) << "without the name of the fault";
    EXPECT_FALSE(list.front().for_now);
}

TEST_F(FunctionFaultsTest, WhatCouldNotStrikeNowWantsATrigger) {
    not_now = "nobody is there";
    const auto refused = inject("bad-tlp");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), std::errc::not_connected);
    EXPECT_FALSE(inject("bad-tlp", {}, 0)) << "no access to wait for";
    EXPECT_TRUE(faults->refusals().front().for_now);
    ASSERT_TRUE(inject("bad-tlp", {}, {}, 1s));
    error_note = "nobody heard it";
    runner.advance(1s);
    EXPECT_EQ(only_report().note, error_note);
    EXPECT_EQ(only_report().state, FaultState::kDone);
}

TEST_F(FunctionFaultsTest, StandingFaultsAreBounded) {
    for (size_t i = 0; i < FunctionFaults::kMaxStanding; ++i) ASSERT_TRUE(inject("irq-lost"));
    EXPECT_FALSE(inject("irq-lost"));
    ASSERT_TRUE(inject("clear"));
    EXPECT_TRUE(inject("irq-lost"));
    EXPECT_LE(faults->report().size(), 17U);
}

}  // namespace
}  // namespace mimic::pci
