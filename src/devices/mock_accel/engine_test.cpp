// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/engine_rig.h"

#include <gmock/gmock.h>

namespace mimic::mock_accel {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(EngineTest, DoorbellOnlyPostsTheWork) {
    enable();
    put(0, copy(64));
    EXPECT_TRUE(engine.doorbell(0, 1));
    EXPECT_EQ(completion(0).phase, 0);
    EXPECT_EQ(runner.pending(), 1U);
    EXPECT_EQ(runner.run(), 1U);
    EXPECT_TRUE(moved(kTarget, 0, 64));
    const Completion done = completion(0);
    EXPECT_EQ(done.bytes, 64U);
    EXPECT_EQ(done.status, 0U);
    EXPECT_EQ(done.phase, 1U);
    EXPECT_EQ(done.cookie, 0x1122334455667788U);
    EXPECT_EQ(heads[0], 1U);
    EXPECT_THAT(interrupts, ElementsAre(0));
    EXPECT_EQ(memory.transfers, 0U);  // all of it was mapped
}

TEST_F(EngineTest, SizesOfAllKindsAreCopied) {
    for (const uint32_t size : {1U, 3U, 63U, 64U, 65U, 4095U, 65536U, 65537U, 1000001U}) {
        std::fill_n(memory.at(kTarget), kRegion, std::byte{0});
        EXPECT_EQ(run_one(copy(size, kSource + 5, kTarget + 9)), Code::kOk);
        EXPECT_TRUE(moved(kTarget + 9, 5, size));
        EXPECT_EQ(*memory.at(kTarget + 8), std::byte{0});
        EXPECT_EQ(*memory.at(kTarget + 9 + size), std::byte{0});
        EXPECT_EQ(completion(0).bytes, size);
    }
}

TEST_F(EngineTest, FillRepeatsThePatternFromItsFirstByte) {
    for (const uint32_t size : {1U, 7U, 8U, 511U, 513U, 65537U}) {
        std::fill_n(memory.at(kTarget), kRegion, std::byte{0});
        EXPECT_EQ(run_one(fill(size, 0x0807060504030201, kTarget + 3)), Code::kOk);
        for (uint32_t i = 0; i < size; ++i) {
            ASSERT_EQ(*memory.at(kTarget + 3 + i), static_cast<std::byte>(i % 8 + 1)) << i;
        }
        EXPECT_EQ(*memory.at(kTarget + 3 + size), std::byte{0});
    }
    EXPECT_EQ(total.bytes_read, 0U);
}

// As when the file behind it is truncated: reads brought zeros, and writes went nowhere.
TEST_F(EngineTest, DataThatIsTakenAwayWhileItIsUsedFailsItsDescriptorOnly) {
    enable();
    put(0, copy(64, kSource));
    put(1, copy(64, kSource + 0x1000));
    put(2, copy(64, kSource, kTarget + 0x1000));
    put(3, fill(64, 1, kTarget + 0x1000));
    memory.taken = kSource + 0x1000;
    memory.taken_size = 1;
    ASSERT_TRUE(engine.doorbell(0, 2));
    settle();
    EXPECT_EQ(completion(0).status, static_cast<uint16_t>(Code::kOk));
    EXPECT_EQ(completion(1).status, static_cast<uint16_t>(Code::kReadFault));
    EXPECT_EQ(last_error, Code::kReadFault);
    memory.taken = kTarget + 0x103f;
    ASSERT_TRUE(engine.doorbell(0, 4));
    settle();
    EXPECT_EQ(completion(2).status, static_cast<uint16_t>(Code::kWriteFault));
    EXPECT_EQ(completion(3).status, static_cast<uint16_t>(Code::kWriteFault));
    EXPECT_EQ(last_error, Code::kWriteFault);
    EXPECT_EQ(total.errors, 3U);
    EXPECT_EQ(heads[0], 4U);
    EXPECT_FALSE(halted);
}

TEST_F(EngineTest, DescriptorsThatAreTakenAwayWhileTheyAreReadDoNotRun) {
    enable();
    for (uint32_t i = 0; i < 4; ++i) put(i, copy(64, kSource, kTarget + i * 0x1000));
    memory.taken = kRing;
    memory.taken_size = 1;
    ASSERT_TRUE(engine.doorbell(0, 4));
    runner.turn();
    EXPECT_EQ(*memory.at(kTarget + 1), std::byte{0});
    EXPECT_EQ(total.descriptors, 0U);
}

TEST_F(EngineTest, CompletionsThatAreTakenAwayHaltTheRing) {
    enable();
    put(0, copy(64));
    memory.taken = kCompletions;
    memory.taken_size = 1;
    ASSERT_TRUE(engine.doorbell(0, 1));
    settle();
    EXPECT_TRUE(halted);
    EXPECT_EQ(heads[0], 0U);
    EXPECT_THAT(interrupts, IsEmpty());
}

TEST_F(EngineTest, LocalAddressesAreOffsetsInDeviceMemory) {
    EXPECT_EQ(run_one(copy(100, kSource, 0xff00, kFlagDestinationLocal)), Code::kOk);
    EXPECT_EQ(local[0xff00 + 99], byte_at(99));
    EXPECT_EQ(run_one(copy(100, 0xff00, 0x10, kFlagSourceLocal | kFlagDestinationLocal)),
              Code::kOk);
    EXPECT_EQ(run_one(copy(100, 0x10, kTarget, kFlagSourceLocal)), Code::kOk);
    EXPECT_TRUE(moved(kTarget, 0, 100));
    EXPECT_EQ(run_one(fill(0x10000, 0, 0, kFlagDestinationLocal)), Code::kOk);
    EXPECT_EQ(local[0xff00], std::byte{0});
}

TEST_F(EngineTest, EveryStatusCodeHasItsCause) {
    Descriptor nop{.cookie = 9};
    EXPECT_EQ(run_one(nop), Code::kOk);
    nop.length = 1;
    EXPECT_EQ(run_one(nop), Code::kBadLength);
    Descriptor bad = copy(64);
    bad.opcode = 3;
    EXPECT_EQ(run_one(bad), Code::kBadOpcode);
    bad = copy(64);
    bad.flags = 8;
    EXPECT_EQ(run_one(bad), Code::kBadFlags);
    bad = copy(64);
    bad.reserved = 1;
    EXPECT_EQ(run_one(bad), Code::kBadFlags);
    EXPECT_EQ(run_one(copy(0)), Code::kBadLength);
    EXPECT_EQ(run_one(copy(kMaxTransferBytes + 1)), Code::kBadLength);
    EXPECT_EQ(run_one(copy(~0U)), Code::kBadLength);
    EXPECT_EQ(run_one(copy(64, 0x9000000)), Code::kReadFault);
    EXPECT_EQ(run_one(copy(64, ~uint64_t{0} - 8)), Code::kReadFault);
    EXPECT_EQ(run_one(copy(kMaxTransferBytes, kSource)), Code::kReadFault);
    EXPECT_EQ(run_one(copy(64, kSource, 0x9000000)), Code::kWriteFault);
    EXPECT_EQ(run_one(fill(64, 0, ~uint64_t{0})), Code::kWriteFault);
    EXPECT_EQ(run_one(copy(64, 0xffc1, kTarget, kFlagSourceLocal)), Code::kOutOfRange);
    EXPECT_EQ(run_one(copy(64, ~uint64_t{0}, kTarget, kFlagSourceLocal)), Code::kOutOfRange);
    EXPECT_EQ(run_one(fill(64, 0, 0x10000, kFlagDestinationLocal)), Code::kOutOfRange);
    EXPECT_EQ(last_error, Code::kOutOfRange);
    local.clear();
    EXPECT_EQ(run_one(fill(64, 0, 0, kFlagDestinationLocal)), Code::kBadFlags);
    EXPECT_EQ(total.descriptors, 17U);
    EXPECT_EQ(total.errors, 16U);
    EXPECT_FALSE(halted);
}

TEST_F(EngineTest, AFailedDescriptorDoesNotStopTheNext) {
    enable();
    put(0, copy(64, 0x9000000));
    put(1, copy(64));
    EXPECT_TRUE(engine.doorbell(0, 2));
    runner.run();
    EXPECT_EQ(completion(0).status, static_cast<uint16_t>(Code::kReadFault));
    EXPECT_EQ(completion(0).bytes, 0U);
    EXPECT_EQ(completion(1).status, 0U);
    EXPECT_TRUE(moved(kTarget, 0, 64));
    EXPECT_THAT(interrupts, ElementsAre(0));  // one: the ring ran empty once
}

TEST_F(EngineTest, InterruptFlagInterruptsInTheMiddleOfABatch) {
    enable();
    for (uint32_t i = 0; i < 8; ++i) put(i, copy(8, kSource, kTarget, i == 2 ? 1 : 0));
    std::vector<uint32_t> heads_seen;
    on_interrupt = [&] { heads_seen.push_back(heads[0]); };
    EXPECT_TRUE(engine.doorbell(0, 8));
    runner.run();
    EXPECT_THAT(heads_seen, ElementsAre(3, 8));
    EXPECT_EQ(total.interrupts, 2U);
}

TEST_F(EngineTest, NoInterruptWithoutInterruptEnable) {
    enable(3, false);
    put(0, copy(8, kSource, kTarget, kFlagInterrupt));
    EXPECT_TRUE(engine.doorbell(0, 1));
    runner.run();
    EXPECT_THAT(interrupts, IsEmpty());
    EXPECT_EQ(total.interrupts, 0U);
    engine.set_interrupts(0, true);
    put(1, copy(8));
    EXPECT_TRUE(engine.doorbell(0, 2));
    runner.run();
    EXPECT_THAT(interrupts, ElementsAre(0));
}

TEST_F(EngineTest, PhaseTogglesWithEachRound) {
    enable(1);
    for (uint32_t i = 0; i < 7; ++i) {
        put(i, {.cookie = i});
        EXPECT_TRUE(engine.doorbell(0, i + 1));
        runner.run();
        EXPECT_EQ(completion(i).phase, (i / 2) % 2 == 0 ? 1 : 0) << i;
        EXPECT_EQ(completion(i).cookie, i);
    }
}

TEST_F(EngineTest, IndicesWrapAt32Bits) {
    order = 2;
    engine.enable({.index = 0,
                   .base = kRing,
                   .completion_base = kCompletions,
                   .order = order,
                   .first_index = 0xfffffffa});
    for (uint32_t i = 0xfffffffa; i != 10; ++i) {
        put(i, {.cookie = i});
        EXPECT_FALSE(engine.doorbell(0, i + 5));
        EXPECT_TRUE(engine.doorbell(0, i + 1));
        runner.run();
        EXPECT_EQ(completion(i).cookie, i);
        EXPECT_EQ(completion(i).phase, (i / 4) % 2 == 0 ? 1 : 0) << i;
        EXPECT_EQ(heads[0], i + 1);
    }
}

TEST_F(EngineTest, DoorbellsOutOfRangeAreRefused) {
    EXPECT_FALSE(engine.doorbell(0, 0));  // not enabled
    enable();
    EXPECT_FALSE(engine.doorbell(0, 9));
    EXPECT_FALSE(engine.doorbell(0, ~0U));
    EXPECT_FALSE(engine.doorbell(0, 0x80000000));
    EXPECT_TRUE(engine.doorbell(0, 0));
    EXPECT_TRUE(engine.doorbell(0, 5));
    EXPECT_FALSE(engine.doorbell(0, 4));  // backwards
    EXPECT_TRUE(engine.doorbell(0, 8));
    EXPECT_EQ(runner.run(), 1U);
    EXPECT_EQ(heads[0], 8U);
    EXPECT_TRUE(engine.doorbell(0, 16));
    EXPECT_FALSE(engine.doorbell(1, 1));
}

TEST_F(EngineTest, UpwardsOverlapIsAMemmoveAcrossTurns) {
    // Larger than a turn, so that it goes in pieces, last to first.
    const auto size = static_cast<uint32_t>(kTurnBytes + 3 * 65536 + 11);
    memory.add(0x10000000, 4 * kTurnBytes);
    for (uint64_t i = 0; i < size; ++i) *memory.at(0x10000000 + i) = byte_at(i);
    for (const uint64_t shift : {1ULL, 4096ULL, 100003ULL}) {
        EXPECT_EQ(run_one(copy(size, 0x10000000, 0x10000000 + shift)), Code::kOk);
        EXPECT_TRUE(moved(0x10000000 + shift, 0, size));
        EXPECT_EQ(run_one(copy(size, 0x10000000 + shift, 0x10000000)), Code::kOk);
        EXPECT_TRUE(moved(0x10000000, 0, size));
    }
}

TEST_F(EngineTest, ATurnIsBoundedInDescriptorsAndBytes) {
    enable(10);
    for (uint32_t i = 0; i < 1024; ++i) put(i, copy(64));
    EXPECT_TRUE(engine.doorbell(0, 1024));
    runner.turn();
    EXPECT_EQ(heads[0], kTurnDescriptors);
    EXPECT_THAT(interrupts, IsEmpty());
    EXPECT_EQ(runner.run(), 3U);
    EXPECT_EQ(heads[0], 1024U);
    EXPECT_THAT(interrupts, ElementsAre(0));
    enable(10);
    for (uint32_t i = 0; i < 16; ++i) put(i, copy(kTurnBytes / 4));
    EXPECT_TRUE(engine.doorbell(0, 16));
    runner.turn();
    EXPECT_EQ(heads[0], 4U);
    EXPECT_EQ(runner.run(), 3U);
    EXPECT_EQ(heads[0], 16U);
}

// Each may be a write of a peer's register, which costs more than the bytes that it has.
TEST_F(EngineTest, ATurnHasFewerTransfersThatAreNoCopies) {
    uint32_t writes = 0;
    memory.add(0x10000000, 0x1000, Kind::kCopied).written = [&](uint64_t, auto) { ++writes; };
    enable(10);
    for (uint32_t i = 0; i < 1024; ++i) put(i, fill(4, 1, 0x10000000));
    EXPECT_TRUE(engine.doorbell(0, 1024));
    runner.turn();
    EXPECT_GT(writes, 0U);
    EXPECT_LE(writes, kTurnDescriptors / 4);
    runner.run();
    EXPECT_EQ(writes, 1024U);
}

TEST_F(EngineTest, RingsTakeTurns) {
    memory.add(0x800000, 0x20000);
    for (uint32_t ring = 0; ring < kMaxRings; ++ring) {
        engine.enable({.index = ring,
                       .base = 0x800000,  // NOPs
                       .completion_base = kCompletions,
                       .order = 10});
        EXPECT_TRUE(engine.doorbell(ring, 1024));
    }
    for (uint32_t ring = 0; ring < kMaxRings; ++ring) {
        runner.turn();
        EXPECT_EQ(heads[ring], kTurnDescriptors);
    }
    runner.run();
    EXPECT_THAT(heads, testing::Each(1024));
}

TEST_F(EngineTest, CopyAcrossRegionsAndIntoAHoleIsDoneInPieces) {
    memory.add(kTarget + kRegion, 0x1000);  // goes on where the other ends
    EXPECT_EQ(run_one(copy(0x2000, kSource, kTarget + kRegion - 0x1000)), Code::kOk);
    EXPECT_TRUE(moved(kTarget + kRegion - 0x1000, 0, 0x2000));
    EXPECT_EQ(run_one(copy(0x100000, kSource, kTarget + kRegion + 0x1000 - 0x30000)),
              Code::kWriteFault);
    EXPECT_EQ(completion(0).bytes, 0x30000U);  // what went before the piece that fails
    EXPECT_EQ(run_one(fill(0x1800, 0x5a5a5a5a5a5a5a5a, kTarget + kRegion - 0x1000)), Code::kOk);
    EXPECT_EQ(*memory.at(kTarget + kRegion + 0x7ff), std::byte{0x5a});
    EXPECT_NE(*memory.at(kTarget + kRegion + 0x800), std::byte{0x5a});
}

TEST_F(EngineTest, AccessRightsOfMemoryCount) {
    memory.add(0x800000, 0x1000, Kind::kMapped, memory::DmaAccess::kRead);
    memory.add(0x900000, 0x1000, Kind::kMapped, memory::DmaAccess::kWrite);
    EXPECT_EQ(run_one(copy(64, 0x800000, 0x900000)), Code::kOk);
    EXPECT_EQ(run_one(copy(64, 0x900000, kTarget)), Code::kReadFault);
    EXPECT_EQ(run_one(copy(64, kSource, 0x800000)), Code::kWriteFault);
    EXPECT_EQ(run_one(fill(64, 0, 0x800000)), Code::kWriteFault);
}

TEST_F(EngineTest, UnreachableRingsHaltAndDisablingMends) {
    enable();
    memory.remove(kCompletions);
    put(0, copy(64));
    EXPECT_TRUE(engine.doorbell(0, 1));
    runner.run();
    EXPECT_TRUE(halted);
    EXPECT_EQ(heads[0], 0U);
    EXPECT_EQ(total.errors, 1U);
    EXPECT_THAT(interrupts, IsEmpty());
    EXPECT_TRUE(engine.doorbell(0, 2));
    EXPECT_EQ(runner.run(), 0U);
    memory.add(kCompletions, 0x1000);
    EXPECT_EQ(run_one(copy(64)), Code::kOk);

    halted = false;
    memory.remove(kRing);
    enable();
    EXPECT_TRUE(engine.doorbell(0, 1));
    runner.run();
    EXPECT_TRUE(halted);
}

TEST_F(EngineTest, DescriptorsBeforeAHoleInTheRingAreDone) {
    memory.remove(kRing);
    memory.add(kRing, 3 * sizeof(Descriptor));
    enable();
    for (uint32_t i = 0; i < 3; ++i) put(i, copy(8));
    EXPECT_TRUE(engine.doorbell(0, 8));
    runner.run();
    EXPECT_TRUE(halted);
    EXPECT_EQ(heads[0], 3U);
    EXPECT_EQ(completion(2).phase, 1U);
}

TEST_F(EngineTest, RingsThatWrapRoundTheAddressSpaceHalt) {
    memory.add(0, 0x1000);
    memory.add(~uint64_t{0} - 63, 64);
    engine.enable(
        {.index = 0, .base = ~uint64_t{0} - 63, .completion_base = kCompletions, .order = 3});
    EXPECT_TRUE(engine.doorbell(0, 4));
    runner.run();
    EXPECT_TRUE(halted);
    EXPECT_EQ(heads[0], 2U);
}

TEST_F(EngineTest, BusMasteringOffHalts) {
    enable();
    put(0, copy(64));
    EXPECT_TRUE(engine.doorbell(0, 1));
    mastering = false;
    runner.run();
    EXPECT_TRUE(halted);
    EXPECT_FALSE(moved(kTarget, 0, 64));
}

TEST_F(EngineTest, DisablingStopsWhatHasNotStarted) {
    enable();
    put(0, copy(64));
    EXPECT_TRUE(engine.doorbell(0, 1));
    engine.disable(0);
    runner.run();
    EXPECT_FALSE(moved(kTarget, 0, 64));
    EXPECT_THAT(interrupts, IsEmpty());
    // A turn that was posted before a detach may never come; the next one must.
    enable();
    EXPECT_TRUE(engine.doorbell(0, 1));
    runner.drop_all();
    engine.stop_all();
    EXPECT_EQ(run_one(copy(64)), Code::kOk);
}

TEST_F(EngineTest, ALargeCopyStopsInTheMiddle) {
    enable();
    memory.add(0x10000000, 0x1000000);
    put(0, copy(kMaxTransferBytes, 0x10000000, 0x10000000));
    EXPECT_TRUE(engine.doorbell(0, 1));
    runner.turn();
    engine.disable(0);
    EXPECT_EQ(total.bytes_written, kTurnBytes);
    runner.run();
    EXPECT_EQ(total.bytes_written, kTurnBytes);
    EXPECT_EQ(completion(0).phase, 0U);
}

TEST_F(EngineTest, ARingThatIsRewrittenWhileItRunsIsReadOnce) {
    enable();
    // The first one overwrites the second, which lies in the same batch.
    put(0, copy(sizeof(Descriptor), kSource, kRing + sizeof(Descriptor)));
    put(1, fill(16, 0x11, kTarget));
    EXPECT_TRUE(engine.doorbell(0, 2));
    runner.run();
    EXPECT_EQ(completion(1).status, 0U);
    EXPECT_EQ(completion(1).cookie, 5U);
    EXPECT_EQ(*memory.at(kTarget), std::byte{0x11});
    EXPECT_EQ(heads[0], 2U);
}

TEST_F(EngineTest, ACopyToTheDevicesOwnBarMayDisableItsRing) {
    auto& bar = memory.add(0x7000000, 0x1000, Kind::kCopied);
    bar.written = [&](uint64_t, std::span<const std::byte>) { engine.disable(0); };
    enable();
    put(0, copy(4, kSource, 0x7000000));
    put(1, copy(64));
    EXPECT_TRUE(engine.doorbell(0, 2));
    runner.run();
    EXPECT_EQ(completion(0).phase, 0U);
    EXPECT_FALSE(moved(kTarget, 0, 64));
    bar.written = [&](uint64_t, std::span<const std::byte>) { engine.doorbell(0, 2); };
    enable();
    EXPECT_TRUE(engine.doorbell(0, 1));
    runner.run();
    EXPECT_EQ(heads[0], 2U);
}

TEST_F(EngineTest, AnInterruptMayStopEverything) {
    enable();
    for (uint32_t i = 0; i < 4; ++i) put(i, copy(8, kSource, kTarget, kFlagInterrupt));
    on_interrupt = [&] { engine.stop_all(); };
    EXPECT_TRUE(engine.doorbell(0, 4));
    runner.run();
    EXPECT_THAT(interrupts, ElementsAre(0));
    EXPECT_EQ(heads[0], 1U);
    EXPECT_EQ(completion(1).phase, 0U);
}

TEST_F(EngineTest, NothingRunsWhileDetached) {
    attached = false;
    enable();
    EXPECT_TRUE(engine.doorbell(0, 1));
    EXPECT_EQ(runner.run(), 0U);
}

}  // namespace
}  // namespace mimic::mock_accel
