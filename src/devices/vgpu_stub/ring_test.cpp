// SPDX-License-Identifier: Apache-2.0
// The ring: 256 at once, completions in any order, what is wrong with an entry and with the ring.
#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/vgpu_stub/test_bench.h"

namespace mimic::vgpu_stub {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

constexpr uint64_t kEntries = 0x10000;
constexpr uint64_t kCompletions = 0x20000;
constexpr uint64_t kData = 0x100000;  // 1 KiB a slot, twice
constexpr uint64_t kSlot = 0x400;
constexpr size_t kDataBytes = 0x100000;

struct VgpuRingTest : testing::Test {
    explicit VgpuRingTest(Options options = {}) : bench(std::move(options)) {
        bench.slot.memory.add(kEntries, 0x10000);
        bench.slot.memory.add(kCompletions, 0x10000);
        bench.slot.memory.add(kData, kDataBytes);
    }

    void turn_on(uint32_t entries, uint64_t at = kEntries, uint64_t completions = kCompletions) {
        size = entries;
        bench.write(RING_LO, static_cast<uint32_t>(at));
        bench.write(RING_HI, static_cast<uint32_t>(at >> 32));
        bench.write(COMPLETION_LO, static_cast<uint32_t>(completions));
        bench.write(COMPLETION_HI, static_cast<uint32_t>(completions >> 32));
        bench.write(RING_SIZE, entries);
        bench.write(INTERRUPT_CTRL, kInterruptRing);
        bench.write(RING_CTRL, 1);
        tail = 0;
        seen = 0;
    }
    RingEntry entry(uint64_t cookie, uint32_t length = 64) const {
        RingEntry out{};
        const uint64_t slot = cookie % (kDataBytes / kSlot / 2);
        out.request_address = kData + slot * 2 * kSlot;
        out.request_length = length;
        out.response_address = out.request_address + kSlot;
        out.response_size = kSlot;
        out.cookie = cookie;
        return out;
    }
    void put(const RingEntry& entry) {
        bench.slot.memory.put(kEntries + uint64_t{tail % size} * sizeof entry, entry);
        ++tail;
    }
    void submit(uint64_t cookie) {
        const RingEntry one = entry(cookie);
        bench.put(one.request_address, bytes_of(one.request_length, static_cast<unsigned>(cookie)));
        put(one);
    }
    void kick() { bench.write(RING_TAIL, tail); }
    void turn() { bench.slot.time.run(); }
    /// Takes what has been completed, as a driver that polls memory.
    std::vector<RingCompletion> take() {
        std::vector<RingCompletion> out;
        for (;;) {
            const auto one = bench.slot.memory.get<RingCompletion>(
                kCompletions + uint64_t{seen % size} * sizeof(RingCompletion));
            if (one.sequence != seen + 1) break;
            out.push_back(one);
            ++seen;
        }
        bench.write(COMPLETION_HEAD, seen);
        return out;
    }
    RingState state() { return static_cast<RingState>(bench.read(RING_STATUS)); }

    Bench bench;
    uint32_t size = 0;
    uint32_t tail = 0;
    uint32_t seen = 0;
};

TEST_F(VgpuRingTest, ARequestGoesOutAndItsAnswerComesIn) {
    turn_on(4);
    EXPECT_EQ(state(), RingState::kRunning);
    submit(0x1122334455667788);
    kick();
    ASSERT_EQ(bench.queue().asked().size(), 1U);
    EXPECT_EQ(bench.queue().asked()[0].request, bytes_of(64, 0x55667788));
    EXPECT_EQ(bench.queue().asked()[0].tag, 0x55667788U);
    EXPECT_EQ(bench.read(RING_HEAD), 1U);
    bench.slot.time.advance(1234ns);
    bench.queue().answer(0, VGPU_OK, bytes_of(40, 3));
    turn();
    EXPECT_EQ(bench.read(COMPLETION_TAIL), 1U);
    const auto done = take();
    ASSERT_EQ(done.size(), 1U);
    EXPECT_EQ(done[0].cookie, 0x1122334455667788U);
    EXPECT_EQ(done[0].error, VGPU_OK);
    EXPECT_EQ(done[0].response_length, 40U);
    EXPECT_EQ(done[0].timestamp_ns, 1234U);
    EXPECT_EQ(done[0].reserved, 0U);
    EXPECT_EQ(bench.get(entry(0x1122334455667788).response_address, 40), bytes_of(40, 3));
    EXPECT_THAT(bench.slot.take_vectors(), ElementsAre(kRingVector));
    EXPECT_EQ(bench.read(INTERRUPT_STATUS), kInterruptRing);
    EXPECT_EQ(bench.state(), State::kIdle);  // the registers' own has nothing to do with it
}

TEST_F(VgpuRingTest, TwoHundredAndFiftySixAtOnceInAnyOrder) {
    turn_on(256);
    for (uint64_t i = 0; i < 256; ++i) submit(i);
    kick();
    ASSERT_EQ(bench.queue().in_flight(), 256U);
    // The registers' request has a place of its own.
    bench.put_request(bytes_of(16));
    bench.write(DOORBELL, 1);
    EXPECT_EQ(bench.state(), State::kBusy);
    ASSERT_EQ(bench.queue().in_flight(), 257U);
    bench.queue().answer(256, VGPU_OK, bytes_of(32));
    EXPECT_EQ(bench.state(), State::kDone);
    std::set<uint64_t> cookies;
    while (bench.queue().in_flight() > 0) {
        const size_t which = bench.queue().in_flight() * 7 / 9;
        bench.queue().answer(which, VGPU_OK, bytes_of(32));
    }
    turn();
    for (const RingCompletion& one : take()) EXPECT_TRUE(cookies.insert(one.cookie).second);
    EXPECT_EQ(cookies.size(), 256U);
    EXPECT_EQ(*cookies.rbegin(), 255U);
    EXPECT_THAT(bench.slot.take_vectors(), ElementsAre(kRingVector)) << "one for all of a turn";
}

TEST_F(VgpuRingTest, ManyTimesRoundEachRingSize) {
    for (const uint32_t entries : {2U, 4U, 64U, 256U}) {
        turn_on(entries);
        std::set<uint64_t> cookies;
        uint64_t next = 0;
        const uint64_t all = entries * 5ULL + 3;
        while (cookies.size() < all) {
            while (next < all && tail - seen < entries) submit(next++);
            kick();
            while (bench.queue().in_flight() > 0)
                bench.queue().answer(bench.queue().in_flight() - 1, VGPU_OK, bytes_of(32));
            turn();
            const auto done = take();
            ASSERT_FALSE(done.empty());
            for (const RingCompletion& one : done)
                EXPECT_TRUE(cookies.insert(one.cookie).second) << one.cookie;
        }
        EXPECT_EQ(bench.read(RING_HEAD), all);
        bench.write(RING_CTRL, 0);
        EXPECT_EQ(state(), RingState::kOff);
    }
}

// The driver does not say that it has seen completions: the device takes no more than have room.
TEST_F(VgpuRingTest, CompletionsNeverOverflow) {
    turn_on(4);
    for (uint64_t i = 0; i < 4; ++i) submit(i);
    kick();
    while (bench.queue().answer(0, VGPU_OK, bytes_of(32))) {
    }
    turn();
    for (uint64_t i = 4; i < 8; ++i) submit(i);
    kick();
    turn();
    EXPECT_EQ(bench.read(RING_HEAD), 4U);
    EXPECT_EQ(bench.queue().in_flight(), 0U);
    bench.write(COMPLETION_HEAD, 3);
    EXPECT_EQ(bench.read(RING_HEAD), 7U);
    EXPECT_EQ(bench.queue().in_flight(), 3U);
}

TEST_F(VgpuRingTest, WhatIsWrongWithAnEntryEndsThatEntry) {
    struct Case {
        const char* what;
        void (*change)(RingEntry&);
        vgpu_error error;
    };
    const Case cases[] = {
        {"no length", [](RingEntry& e) { e.request_length = 0; }, VGPU_ERROR_REQUEST_TOO_LARGE},
        {"too long", [](RingEntry& e) { e.request_length = VGPU_MAX_MESSAGE + 1; },
         VGPU_ERROR_REQUEST_TOO_LARGE},
        {"far too long", [](RingEntry& e) { e.request_length = 0xffffffff; },
         VGPU_ERROR_REQUEST_TOO_LARGE},
        {"flags", [](RingEntry& e) { e.flags = 1; }, VGPU_ERROR_INVALID_REQUEST},
        {"reserved", [](RingEntry& e) { e.reserved = 1; }, VGPU_ERROR_INVALID_REQUEST},
        {"zeros", [](RingEntry& e) { e.zero[23] = 1; }, VGPU_ERROR_INVALID_REQUEST},
        {"room", [](RingEntry& e) { e.response_size = VGPU_MAX_MESSAGE + 1; },
         VGPU_ERROR_INVALID_LENGTH},
        {"request address", [](RingEntry& e) { e.request_address = 0x5000000; }, VGPU_ERROR_DMA},
        {"end of request", [](RingEntry& e) { e.request_address = kData + kDataBytes - 1; },
         VGPU_ERROR_DMA},
        {"wrapped address", [](RingEntry& e) { e.request_address = ~0ULL - 8; }, VGPU_ERROR_DMA},
        {"response address", [](RingEntry& e) { e.response_address = 0x5000000; }, VGPU_ERROR_DMA},
        {"room of 31", [](RingEntry& e) { e.response_size = 31; }, VGPU_ERROR_INVALID_LENGTH},
        {"no room", [](RingEntry& e) { e.response_size = 0; }, VGPU_ERROR_INVALID_LENGTH},
    };
    turn_on(4);
    for (const Case& one : cases) {
        RingEntry bad = entry(7);
        one.change(bad);
        put(bad);
        submit(8);  // the next one is not harmed
        kick();
        while (bench.queue().answer(0, VGPU_OK, bytes_of(32))) {
        }
        turn();
        const auto done = take();
        ASSERT_EQ(done.size(), 2U) << one.what;
        for (const RingCompletion& completion : done)
            EXPECT_EQ(completion.error, completion.cookie == 7 ? one.error : VGPU_OK) << one.what;
        EXPECT_EQ(state(), RingState::kRunning);
    }
}

TEST_F(VgpuRingTest, ErrorsOfTheMediatorAreCodesOfTheirEntry) {
    turn_on(4);
    submit(1);
    submit(2);
    kick();
    bench.queue().answer(1, VGPU_ERROR_QUARANTINED);
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    turn();
    const auto done = take();
    ASSERT_EQ(done.size(), 2U);
    EXPECT_EQ(done[0].cookie, 2U);
    EXPECT_EQ(done[0].error, VGPU_ERROR_QUARANTINED);
    EXPECT_EQ(done[0].response_length, 0U);
    EXPECT_EQ(done[1].error, VGPU_OK);
}

TEST_F(VgpuRingTest, WithoutAMediatorEachEntryEndsWith3) {
    bench.queue().set_connected(false);
    turn_on(256);
    for (uint64_t i = 0; i < 256; ++i) submit(i);
    kick();
    turn();
    const auto done = take();
    ASSERT_EQ(done.size(), 256U);
    for (const RingCompletion& one : done) EXPECT_EQ(one.error, VGPU_ERROR_MEDIATOR_UNAVAILABLE);
}

// --- The ring itself -------------------------------------------------------------------------

TEST_F(VgpuRingTest, SizesThatAreNoneAreIgnored) {
    for (const uint32_t bad : {0U, 1U, 3U, 255U, 257U, 512U, 0x80000000U, 0xffffffffU}) {
        bench.write(RING_SIZE, 8);
        bench.write(RING_SIZE, bad);
        EXPECT_EQ(bench.read(RING_SIZE), 8U) << bad;
    }
}

TEST_F(VgpuRingTest, WithoutASizeItHalts) {
    bench.write(RING_CTRL, 1);
    EXPECT_EQ(state(), RingState::kHalted);
    EXPECT_EQ(bench.read(RING_ERROR), 9U);
    bench.write(RING_CTRL, 0);
    EXPECT_EQ(state(), RingState::kOff);
    EXPECT_EQ(bench.read(RING_ERROR), 0U);
}

TEST_F(VgpuRingTest, SetupIsFixedWhileItIsOn) {
    turn_on(4);
    for (const auto& reg : {RING_LO, RING_HI, RING_SIZE, COMPLETION_LO, COMPLETION_HI}) {
        const uint32_t before = bench.read(reg);
        bench.write(reg, 64);
        EXPECT_EQ(bench.read(reg), before) << reg.name;
    }
    bench.write(RING_CTRL, 0);
    bench.write(RING_LO, 0xffffffff);
    bench.write(COMPLETION_LO, 0xffffffff);
    EXPECT_EQ(bench.read(RING_LO), 0xffffffc0U);
    EXPECT_EQ(bench.read(COMPLETION_LO), 0xffffffe0U);
}

TEST_F(VgpuRingTest, IndicesOutOfRangeHaltIt) {
    const auto halted_by = [&](const reg::Register& reg, uint32_t value) {
        turn_on(4);
        submit(1);
        kick();
        bench.slot.take_vectors();
        bench.write(reg, value);
        EXPECT_EQ(state(), RingState::kHalted) << reg.name << " " << value;
        EXPECT_EQ(bench.read(RING_ERROR), 1U);
        EXPECT_THAT(bench.slot.take_vectors(), ElementsAre(kRingVector));
        while (bench.queue().answer(0, VGPU_OK, bytes_of(32))) {
        }
        turn();
        EXPECT_EQ(bench.read(COMPLETION_TAIL), 0U) << "what was in flight is forgotten";
        bench.write(RING_TAIL, 2);
        turn();
        EXPECT_EQ(bench.read(RING_TAIL), 1U) << "nothing moves any more";
        bench.write(RING_CTRL, 0);
    };
    halted_by(RING_TAIL, 6);  // 1 + 4 is the last one possible
    halted_by(RING_TAIL, 0);
    halted_by(RING_TAIL, 0x80000000);
    halted_by(COMPLETION_HEAD, 1);
    halted_by(COMPLETION_HEAD, 0xffffffff);
}

// The driver polls memory; the answer to the message that wrote there comes after its next register
// write.
TEST_F(VgpuRingTest, DriverMaySeeACompletionBeforeTheDeviceKnowsItIsWritten) {
    turn_on(2);
    submit(1);
    kick();
    bench.slot.memory.answers_later = true;
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    turn();
    ASSERT_TRUE(bench.slot.memory.answer());  // the response
    turn();
    ASSERT_EQ(bench.slot.memory.messages.size(), 1U);  // the completion
    bench.write(COMPLETION_HEAD, 1);
    EXPECT_EQ(state(), RingState::kRunning);
    submit(2);
    submit(3);
    kick();
    ASSERT_TRUE(bench.slot.memory.answer());
    bench.slot.memory.answers_later = false;
    while (bench.slot.memory.answer()) {
    }
    turn();
    EXPECT_EQ(bench.read(COMPLETION_TAIL), 1U);
    EXPECT_EQ(bench.read(RING_HEAD), 3U) << "room for both";
    bench.write(COMPLETION_HEAD, 2);
    EXPECT_EQ(state(), RingState::kHalted) << "nobody can have seen that one";
}

TEST_F(VgpuRingTest, EntriesOrCompletionsThatAreNoMemoryHaltIt) {
    turn_on(4, 0x7000000);
    bench.write(RING_TAIL, 1);
    EXPECT_EQ(state(), RingState::kHalted);
    EXPECT_EQ(bench.read(RING_ERROR), 14U);
    bench.write(RING_CTRL, 0);
    turn_on(4, kEntries, 0x7000000);
    submit(1);
    kick();
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    turn();
    EXPECT_EQ(state(), RingState::kHalted);
    EXPECT_EQ(bench.read(RING_ERROR), 14U);
    bench.write(RING_CTRL, 0);
    turn_on(4);
    submit(1);
    kick();
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    turn();
    EXPECT_EQ(take().size(), 1U);
}

TEST_F(VgpuRingTest, IndicesAreReadOnlyWhileItIsOff) {
    bench.write(RING_TAIL, 3);
    bench.write(COMPLETION_HEAD, 3);
    EXPECT_EQ(bench.read(RING_TAIL), 0U);
    EXPECT_EQ(bench.read(COMPLETION_HEAD), 0U);
}

TEST_F(VgpuRingTest, OffForgetsWhatIsInFlight) {
    turn_on(4);
    submit(1);
    submit(2);
    kick();
    const auto late = bench.queue().asked()[0].done;
    bench.write(RING_CTRL, 0);
    EXPECT_EQ(bench.queue().in_flight(), 0U);
    EXPECT_EQ(bench.queue().fresh_starts(), 0U) << "memory stays: it is no reset";
    turn_on(4);
    submit(3);
    kick();
    late({VGPU_OK, bytes_of(32)});
    turn();
    EXPECT_EQ(bench.read(COMPLETION_TAIL), 0U);
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    turn();
    const auto done = take();
    ASSERT_EQ(done.size(), 1U);
    EXPECT_EQ(done[0].cookie, 3U);
}

// A request of the registers is under way, so the queue still has the ring's: a driver that
// switches off and on must wait for room, and gets it.
TEST_F(VgpuRingTest, OffAndOnBesideARequestOfTheRegisters) {
    bench.put_request(bytes_of(16));
    bench.write(DOORBELL, 1);
    turn_on(256);
    for (uint64_t i = 0; i < 256; ++i) submit(i);
    kick();
    bench.write(RING_CTRL, 0);
    EXPECT_EQ(bench.queue().in_flight(), 257U);
    turn_on(256);
    submit(1000);
    kick();
    turn();
    EXPECT_EQ(bench.queue().in_flight(), 257U);
    for (int i = 0; i < 10; ++i) bench.queue().answer(1, VGPU_OK, bytes_of(32));
    bench.slot.time.advance(10ms);
    EXPECT_EQ(bench.queue().in_flight(), 248U);
    EXPECT_EQ(bench.state(), State::kBusy);
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    EXPECT_EQ(bench.state(), State::kDone);
}

TEST_F(VgpuRingTest, BytesInFlightAreBounded) {
    bench.slot.memory.add(0x10000000, VGPU_MAX_MESSAGE);
    turn_on(8);
    for (uint64_t i = 0; i < 8; ++i) {
        RingEntry large = entry(i, VGPU_MAX_MESSAGE);
        large.request_address = 0x10000000;
        put(large);
    }
    kick();
    EXPECT_EQ(bench.queue().in_flight(), 2U);  // each 16 MiB and 1 KiB
    size_t answered = 0;
    while (answered < 8) {
        ASSERT_LE(bench.queue().in_flight(), 2U);
        ASSERT_TRUE(bench.queue().answer(0, VGPU_OK, bytes_of(32)));
        ++answered;
        turn();
    }
    EXPECT_EQ(take().size(), 8U);
}

TEST_F(VgpuRingTest, MemoryThatAnswersLater) {
    bench.slot.memory.answers_later = true;
    turn_on(4);
    submit(1);
    submit(2);
    kick();
    EXPECT_EQ(bench.read(RING_HEAD), 0U);
    while (bench.slot.memory.answer()) turn();
    ASSERT_EQ(bench.queue().in_flight(), 2U);
    bench.queue().answer(1, VGPU_OK, bytes_of(32));
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    turn();
    EXPECT_EQ(bench.read(COMPLETION_TAIL), 0U);
    while (bench.slot.memory.answer()) turn();
    EXPECT_EQ(bench.read(COMPLETION_TAIL), 2U);
    bench.slot.memory.answers_later = false;
    EXPECT_EQ(take().size(), 2U);
}

TEST_F(VgpuRingTest, ResetWhileMemoryIsOnItsWay) {
    for (int steps = 0; steps < 6; ++steps) {
        bench.slot.memory.answers_later = true;
        turn_on(4);
        submit(1);
        kick();
        for (int i = 0; i < steps; ++i) {
            if (!bench.slot.memory.answer()) bench.queue().answer(0, VGPU_OK, bytes_of(32));
            turn();
        }
        bench.device->reset(pci::ResetKind::kFunctionLevel);
        while (bench.slot.memory.answer()) turn();
        EXPECT_EQ(bench.queue().in_flight(), 0U);
        EXPECT_EQ(state(), RingState::kOff);
        EXPECT_EQ(bench.read(RING_HEAD), 0U);
        EXPECT_EQ(bench.read(COMPLETION_TAIL), 0U);
        bench.slot.memory.answers_later = false;
        bench.start();
    }
}

// The guest points the device at its own registers: what it writes switches the ring off, on, and
// the device away, in the middle of that very write.
TEST_F(VgpuRingTest, DmaIntoItsOwnRegisters) {
    constexpr uint64_t kOwn = 0x30000000;
    auto& own = bench.slot.memory.add(kOwn, 0x1000, memory::FakeMemory::Kind::kCopied);
    for (const uint32_t control : {0U, 1U, 2U}) {
        turn_on(4);
        own.written = [&](uint64_t, std::span<const std::byte>) {
            if (control == 2) {
                bench.device->reset(pci::ResetKind::kFunctionLevel);
            } else {
                bench.write(RING_CTRL, 0);
                bench.write(RING_CTRL, control);
            }
        };
        RingEntry one = entry(1);
        one.response_address = kOwn;
        put(one);
        submit(2);
        kick();
        bench.queue().answer(0, VGPU_OK, bytes_of(32));
        turn();
        EXPECT_EQ(bench.queue().in_flight(), 0U);
        EXPECT_EQ(state(), control == 1 ? RingState::kRunning : RingState::kOff);
        bench.write(RING_CTRL, 0);
        bench.start();
    }
    own.written = nullptr;
}

}  // namespace
}  // namespace mimic::vgpu_stub
