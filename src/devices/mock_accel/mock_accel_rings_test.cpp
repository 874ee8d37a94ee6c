// SPDX-License-Identifier: Apache-2.0
// The registers of the DMA engine, device memory, and what resets, snapshots and the slot do to
// them. The engine itself: engine_test.cpp.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/mock_accel/device_rig.h"
#include "pci/trace/trace_names.h"

namespace mimic::mock_accel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kRing = 0x10000;
constexpr uint64_t kCompletions = 0x20000;
constexpr uint64_t kData = 0x30000;
constexpr uint64_t kMemoryBytes = 0x10000;

Options options_with_memory() {
    return {.name = "accel0", .identifier = "RINGS", .memory_bar_bytes = kMemoryBytes};
}

uint64_t reg_at(const reg::Register& reg, uint32_t index) {
    return reg.offset + uint64_t{index} * reg.stride;
}

struct RingsTest : testing::Test {
    RingsTest() {
        rig.slot.memory.add(kRing, 0x1000);
        rig.slot.memory.add(kCompletions, 0x1000);
        rig.slot.memory.add(kData, 0x1000);
        rig.start();
    }

    void set_up(uint32_t ring, uint32_t control) {
        rig.write(reg_at(RING_BASE, ring), kRing, 8);
        rig.write(reg_at(COMPLETION_BASE, ring), kCompletions, 8);
        rig.write(reg_at(RING_ORDER, ring), 3);
        rig.write(reg_at(RING_CONTROL, ring), control);
    }
    void put(uint32_t slot, const Descriptor& descriptor) {
        std::memcpy(rig.slot.memory.at(kRing + slot * sizeof descriptor), &descriptor,
                    sizeof descriptor);
    }
    Completion completion(uint32_t slot) {
        Completion result;
        std::memcpy(&result, rig.slot.memory.at(kCompletions + slot * sizeof result),
                    sizeof result);
        return result;
    }
    void ring_doorbell(uint32_t ring, uint32_t tail) {
        rig.write(reg_at(RING_TAIL, ring), tail);
        rig.slot.time.run();
    }

    DeviceRig rig{options_with_memory()};
    const Descriptor fill{.opcode = kOpcodeFill,
                          .length = 0x10,
                          .source = 0x1111111111111111,
                          .destination = kData,
                          .cookie = 77};
    const Descriptor bad{.opcode = 9, .cookie = 78};
};

TEST_F(RingsTest, CapabilitiesAndDefaults) {
    EXPECT_EQ(rig.read(RING_COUNT.offset), 4U);
    EXPECT_EQ(rig.read(ENGINE_CAPS.offset), 0x10710U);
    EXPECT_EQ(rig.read(LOCAL_MEMORY_SIZE.offset, 8), kMemoryBytes);
    EXPECT_EQ(rig.device->msix_vectors(), 5U);
    const DeviceRig vf({.name = "vf", .role = StaticVf{}, .identifier = "VF"});
    EXPECT_EQ(vf.device->msix_vectors(), 2U);
    DeviceRig none({.name = "none", .identifier = "NONE", .rings = 0});
    EXPECT_EQ(none.device->msix_vectors(), 1U);
    EXPECT_EQ(none.read(RING_COUNT.offset), 0U);
    EXPECT_EQ(none.read(ENGINE_CAPS.offset), 0x00710U);
}

TEST_F(RingsTest, ADescriptorGoesThroughRegisters) {
    set_up(2, 3);
    put(0, fill);
    put(1, bad);
    ring_doorbell(2, 2);
    EXPECT_EQ(*rig.slot.memory.at(kData + 15), std::byte{0x11});
    EXPECT_EQ(completion(0).cookie, 77U);
    EXPECT_EQ(completion(1).status, static_cast<uint16_t>(Code::kBadOpcode));
    EXPECT_EQ(rig.read(reg_at(RING_HEAD, 2)), 2U);
    EXPECT_EQ(rig.read(reg_at(RING_TAIL, 2)), 2U);
    EXPECT_EQ(rig.read(reg_at(RING_STATUS, 2)), 0x010100U);
    rig.write(reg_at(RING_STATUS, 2), 0xffffffff);
    EXPECT_EQ(rig.read(reg_at(RING_STATUS, 2)), 0x010000U);
    EXPECT_THAT(rig.slot.take_vectors(), ElementsAre(3));
    EXPECT_EQ(rig.read(DESCRIPTORS.offset, 8), 2U);
    EXPECT_EQ(rig.read(BYTES_READ.offset, 8), 0U);
    EXPECT_EQ(rig.read(BYTES_WRITTEN.offset, 8), 16U);
    EXPECT_EQ(rig.read(ERRORS.offset, 8), 1U);
    EXPECT_EQ(rig.read(DOORBELLS.offset, 8), 1U);
    EXPECT_EQ(rig.read(INTERRUPTS.offset, 8), 1U);
    rig.write(COUNTERS_CONTROL.offset, 0xfffffffe);
    EXPECT_EQ(rig.read(DESCRIPTORS.offset, 8), 2U);
    rig.write(COUNTERS_CONTROL.offset, 1);
    for (uint64_t offset = DESCRIPTORS.offset; offset <= INTERRUPTS.offset; offset += 8) {
        EXPECT_EQ(rig.read(offset, 8), 0U) << offset;
    }
    EXPECT_EQ(rig.read(COUNTERS_CONTROL.offset), 0U);
}

TEST_F(RingsTest, InterruptEnableAndTheTableDecide) {
    rig.slot.owns_table = false;
    rig.write(kMsixTableOffset + 16 + 12, 1);  // vector 1 masked
    set_up(0, 1);
    put(0, fill);
    ring_doorbell(0, 1);
    EXPECT_THAT(rig.slot.take_vectors(), IsEmpty());
    EXPECT_EQ(rig.read(INTERRUPTS.offset, 8), 0U);
    rig.write(reg_at(RING_CONTROL, 0), 3);  // may change while it runs
    put(1, fill);
    ring_doorbell(0, 2);
    EXPECT_THAT(rig.slot.take_vectors(), IsEmpty());
    EXPECT_EQ(rig.read(kMsixPbaOffset), 2U);
    rig.write(kMsixTableOffset + 16 + 12, 0);
    EXPECT_THAT(rig.slot.take_vectors(), ElementsAre(1));
}

TEST_F(RingsTest, SetupIsFixedWhileEnabled) {
    set_up(1, 1);
    rig.write(reg_at(RING_BASE, 1), 0x7fc0, 8);
    rig.write(reg_at(COMPLETION_BASE, 1) + 4, 1);
    rig.write(reg_at(RING_ORDER, 1), 16);
    EXPECT_EQ(rig.read(reg_at(RING_BASE, 1), 8), kRing);
    EXPECT_EQ(rig.read(reg_at(COMPLETION_BASE, 1), 8), kCompletions);
    EXPECT_EQ(rig.read(reg_at(RING_ORDER, 1)), 3U);
    rig.write(reg_at(RING_CONTROL, 1), 0);
    rig.write(reg_at(RING_BASE, 1), 0x7fff, 8);
    EXPECT_EQ(rig.read(reg_at(RING_BASE, 1), 8), 0x7fc0U);
    for (const uint32_t order : {0U, 16U, 17U, 31U}) {
        rig.write(reg_at(RING_ORDER, 1), order);
        EXPECT_EQ(rig.read(reg_at(RING_ORDER, 1)), std::min(order, 16U));
    }
}

TEST_F(RingsTest, RingsThatDoNotExistIgnoreEverything) {
    for (uint32_t ring = 4; ring < kMaxRings; ++ring) {
        for (uint64_t offset = 0; offset < kRingStride; offset += 8) {
            rig.write(RING_BASE.offset + ring * kRingStride + offset, ~uint64_t{0}, 8);
            EXPECT_EQ(rig.read(RING_BASE.offset + ring * kRingStride + offset, 8), 0U);
        }
    }
    EXPECT_EQ(rig.read(BAD_DOORBELLS.offset, 8), 0U);
    EXPECT_TRUE(rig.slot.time.idle());
}

TEST_F(RingsTest, BadDoorbellsAreCountedAndIgnored) {
    ring_doorbell(0, 1);  // not enabled
    set_up(0, 1);
    ring_doorbell(0, 9);
    EXPECT_EQ(rig.read(reg_at(RING_TAIL, 0)), 0U);
    EXPECT_EQ(rig.read(BAD_DOORBELLS.offset, 8), 2U);
    EXPECT_EQ(rig.read(DOORBELLS.offset, 8), 0U);
    ring_doorbell(0, 8);
    EXPECT_EQ(rig.read(reg_at(RING_HEAD, 0)), 8U);
}

TEST_F(RingsTest, EnablingStartsAnew) {
    set_up(0, 1);
    put(0, bad);
    ring_doorbell(0, 1);
    rig.write(reg_at(RING_CONTROL, 0), 0);
    EXPECT_EQ(rig.read(reg_at(RING_HEAD, 0)), 1U);
    EXPECT_NE(rig.read(reg_at(RING_STATUS, 0)), 0U);
    rig.write(reg_at(RING_CONTROL, 0), 1);
    EXPECT_EQ(rig.read(reg_at(RING_HEAD, 0)), 0U);
    EXPECT_EQ(rig.read(reg_at(RING_TAIL, 0)), 0U);
    EXPECT_EQ(rig.read(reg_at(RING_STATUS, 0)), 0U);
}

TEST_F(RingsTest, AHaltedRingSaysSoUntilItIsDisabled) {
    rig.slot.memory.remove(kCompletions);
    set_up(0, 3);
    put(0, fill);
    ring_doorbell(0, 1);
    EXPECT_EQ(rig.read(reg_at(RING_STATUS, 0)), 1U);
    rig.write(reg_at(RING_STATUS, 0), 1);
    EXPECT_EQ(rig.read(reg_at(RING_STATUS, 0)), 1U);
    EXPECT_THAT(rig.slot.take_vectors(), IsEmpty());
    EXPECT_EQ(rig.read(ERRORS.offset, 8), 1U);
    rig.write(reg_at(RING_CONTROL, 0), 0);
    EXPECT_EQ(rig.read(reg_at(RING_STATUS, 0)), 0U);
}

TEST_F(RingsTest, ResetsStopRingsAndClearTheirRegisters) {
    for (const auto kind :
         {pci::ResetKind::kFunctionLevel, pci::ResetKind::kPower, pci::ResetKind::kConventional}) {
        rig.start();
        set_up(0, 3);
        put(0, fill);
        rig.write(reg_at(RING_TAIL, 0), 1);
        rig.device->reset(kind);
        rig.slot.time.run();
        EXPECT_EQ(completion(0).phase, 0U);
        EXPECT_EQ(*rig.slot.memory.at(kData), std::byte{0});
        for (uint64_t offset = DESCRIPTORS.offset; offset < 0x300; offset += 4) {
            EXPECT_EQ(rig.read(offset), 0U) << offset;
        }
    }
    rig.start();
    set_up(0, 3);
    ring_doorbell(0, 1);
    EXPECT_EQ(completion(0).cookie, 77U);
}

TEST_F(RingsTest, ADeviceThatIsDetachedInTheMiddleStartsAgain) {
    rig.slot.memory.remove(kRing);
    rig.slot.memory.add(kRing, 0x1000, memory::FakeMemory::Kind::kByMessage);
    set_up(0, 3);
    put(0, fill);
    ring_doorbell(0, 1);
    ASSERT_EQ(rig.slot.memory.messages.size(), 1U);
    rig.device->detach();
    rig.slot.memory.answer();
    rig.slot.time.drop_all();  // as the runner of a loop that ends
    rig.device->attach(rig.slot);
    rig.start();
    set_up(0, 3);
    ring_doorbell(0, 1);
    while (rig.slot.memory.answer()) rig.slot.time.run();
    EXPECT_EQ(completion(0).cookie, 77U);
}

TEST_F(RingsTest, SnapshotOfARunningRingIsRestoredStopped) {
    set_up(0, 3);
    put(0, fill);
    ring_doorbell(0, 1);
    rig.write(reg_at(RING_TAIL, 0), 2);
    reg::Snapshot saved = rig.device->snapshot();
    EXPECT_EQ(saved.values.at("RING_CONTROL[0]"), 3U);
    ASSERT_TRUE(rig.device->restore(saved).has_value());
    EXPECT_EQ(rig.read(reg_at(RING_CONTROL, 0)), 2U);
    EXPECT_EQ(rig.read(reg_at(RING_BASE, 0), 8), kRing);
    EXPECT_EQ(rig.read(reg_at(RING_HEAD, 0)), 1U);
    rig.slot.time.run();
    EXPECT_EQ(rig.read(DESCRIPTORS.offset, 8), 1U);
    saved.values["RING_ORDER[0]"] = 17;
    EXPECT_THAT(rig.device->restore(saved).error().message(), HasSubstr("RING_ORDER[0] is 17"));
    saved.values["RING_ORDER[0]"] = 3;
    saved.values["RING_BASE[4]"] = 0x40;
    EXPECT_THAT(rig.device->restore(saved).error().message(), HasSubstr("ring 4, of 4"));
}

// --- Device memory ---------------------------------------------------------------------------

TEST_F(RingsTest, DeviceMemoryIsABarThatCanBeMapped) {
    const pci::Bar& bar = rig.device->bars()[kMemoryBar];
    EXPECT_EQ(bar.type, pci::BarType::kMemory64);
    EXPECT_TRUE(bar.prefetchable);
    EXPECT_EQ(bar.size, kMemoryBytes);
    ASSERT_EQ(bar.areas.size(), 1U);
    EXPECT_EQ(bar.areas[0].size, kMemoryBytes);
    for (const size_t size : {1U, 2U, 4U, 8U}) {
        rig.write(kMemoryBytes - size, 0xa1b2c3d4e5f60718, size, kMemoryBar);
        EXPECT_EQ(rig.read(kMemoryBytes - size, size, kMemoryBar),
                  0xa1b2c3d4e5f60718 & (~uint64_t{0} >> (64 - 8 * size)));
    }
    rig.write(3, 0x55, 1, kMemoryBar);
    void* const mapped = ::mmap(nullptr, kMemoryBytes, PROT_READ, MAP_SHARED, bar.fd, 0);
    ASSERT_NE(mapped, MAP_FAILED);
    EXPECT_EQ(static_cast<const uint8_t*>(mapped)[3], 0x55);
    ::munmap(mapped, kMemoryBytes);
    EXPECT_NE(::ftruncate(bar.fd, 0), 0);
    EXPECT_NE(::ftruncate(bar.fd, 2 * kMemoryBytes), 0);
    EXPECT_NE(::fcntl(bar.fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
}

TEST_F(RingsTest, DescriptorsReachDeviceMemory) {
    rig.write(0x100, 0x1122334455667788, 8, kMemoryBar);
    set_up(0, 1);
    put(0, {.opcode = kOpcodeCopy,
            .flags = kFlagSourceLocal,
            .length = 8,
            .source = 0x100,
            .destination = kData});
    ring_doorbell(0, 1);
    EXPECT_EQ(*rig.slot.memory.at(kData + 7), std::byte{0x11});
    DeviceRig without({.name = "accel1", .identifier = "B"});
    EXPECT_EQ(without.device->bars()[kMemoryBar].type, pci::BarType::kNone);
    EXPECT_EQ(without.read(LOCAL_MEMORY_SIZE.offset, 8), 0U);
}

TEST_F(RingsTest, DeviceMemorySurvivesFlrOnly) {
    for (const auto kind :
         {pci::ResetKind::kFunctionLevel, pci::ResetKind::kPower, pci::ResetKind::kConventional}) {
        rig.write(0x8000, 0x77, 8, kMemoryBar);
        rig.device->reset(kind);
        const bool kept = kind == pci::ResetKind::kFunctionLevel || kind == pci::ResetKind::kPower;
        EXPECT_EQ(rig.read(0x8000, 8, kMemoryBar), kept ? 0x77U : 0U);
    }
}

// The file cannot be taken back from the client that has it, so the next one has another.
TEST_F(RingsTest, EachClientHasDeviceMemoryOfItsOwn) {
    const auto inode = [this] {
        struct stat info {};
        EXPECT_EQ(::fstat(rig.device->bars()[kMemoryBar].fd, &info), 0);
        return info.st_ino;
    };
    const UniqueFd kept(::fcntl(rig.device->bars()[kMemoryBar].fd, F_DUPFD_CLOEXEC, 0));
    const ino_t first = inode();
    rig.write(0x8000, 0x77, 8, kMemoryBar);
    rig.device->reset(pci::ResetKind::kConventional);  // the same client
    EXPECT_EQ(inode(), first);
    rig.write(0x8000, 0x77, 8, kMemoryBar);

    rig.device->detach();
    EXPECT_EQ(rig.device->bars()[kMemoryBar].fd, -1);
    EXPECT_TRUE(rig.device->device_memory().empty());
    EXPECT_EQ(rig.read(0x8000, 8, kMemoryBar), ~uint64_t{0});
    rig.write(0x8000, 0x77, 8, kMemoryBar);
    struct stat left {};
    ASSERT_EQ(::fstat(kept.get(), &left), 0);
    EXPECT_EQ(left.st_blocks, 0);  // and no page of it is left on our account

    rig.device->attach(rig.slot);
    EXPECT_NE(inode(), first);
    EXPECT_EQ(rig.read(0x8000, 8, kMemoryBar), 0U);
    rig.write(0x8000, 0x55, 8, kMemoryBar);
    uint64_t seen = 0;
    ASSERT_EQ(::pread(kept.get(), &seen, sizeof seen, 0x8000), 8);
    EXPECT_EQ(seen, 0U);
    const uint64_t evil = 0x66;
    ASSERT_EQ(::pwrite(kept.get(), &evil, sizeof evil, 0x8000), 8);
    EXPECT_EQ(rig.read(0x8000, 8, kMemoryBar), 0x55U);
}

// No descriptor is left for it: the client is served without, and the next one has it again.
TEST_F(RingsTest, AClientMayHaveToDoWithoutDeviceMemory) {
    rig.device->detach();
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlimit none{0, limit.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    rig.device->attach(rig.slot);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    EXPECT_EQ(rig.device->bars()[kMemoryBar].fd, -1);
    EXPECT_EQ(rig.read(0x8000, 8, kMemoryBar), ~uint64_t{0});
    rig.write(0x8000, 0x77, 8, kMemoryBar);
    rig.device->reset(pci::ResetKind::kConventional);
    rig.start();
    set_up(0, 1);
    put(0, {.opcode = kOpcodeFill, .flags = kFlagDestinationLocal, .length = 8});
    ring_doorbell(0, 1);
    EXPECT_EQ(completion(0).status, static_cast<uint16_t>(Code::kBadFlags));

    rig.device->detach();
    rig.device->attach(rig.slot);
    EXPECT_NE(rig.device->bars()[kMemoryBar].fd, -1);
    EXPECT_EQ(rig.read(0x8000, 8, kMemoryBar), 0U);
}

TEST(MockAccelRingsTest, BadOptionsAreRefused) {
    const auto message = [](uint32_t rings, uint64_t memory_bytes) {
        const auto device = MockAccel::create({.name = "accel0",
                                               .identifier = "X",
                                               .rings = rings,
                                               .memory_bar_bytes = memory_bytes});
        return device ? std::string() : device.error().message();
    };
    EXPECT_THAT(message(9, 0), HasSubstr("9 rings, at most 8"));
    EXPECT_THAT(message(1, 2048), HasSubstr("power of two from 4096"));
    EXPECT_THAT(message(1, 12288), HasSubstr("power of two from 4096"));
    EXPECT_THAT(message(1, uint64_t{1} << 63), HasSubstr("ftruncate"));
    EXPECT_EQ(message(8, uint64_t{1} << 36), "");
}

TEST(MockAccelRingsTest, FaultsKnowWhatADoorbellIs) {
    DeviceRig rig({.name = "accel0", .identifier = "X", .rings = 2});
    const auto is_doorbell = rig.device->fault_hooks().is_doorbell;
    EXPECT_TRUE(is_doorbell(0, 0x118));
    EXPECT_TRUE(is_doorbell(0, 0x15b));
    EXPECT_FALSE(is_doorbell(0, 0x117));
    EXPECT_FALSE(is_doorbell(0, 0x11c));
    EXPECT_FALSE(is_doorbell(0, 0x198));  // ring 2
    EXPECT_FALSE(is_doorbell(2, 0x118));
}

TEST(MockAccelRingsTest, ATraceIsToldWhichInterruptAnswersADoorbell) {
    DeviceRig rig({.name = "accel0", .identifier = "X", .rings = 2});
    EXPECT_EQ(rig.device->doorbell_interrupt(0, 0x118), 1U);
    EXPECT_EQ(rig.device->doorbell_interrupt(0, 0x158), 2U);
    EXPECT_EQ(rig.device->doorbell_interrupt(0, 0x11c), std::nullopt);
    EXPECT_EQ(rig.device->doorbell_interrupt(0, 0x198), std::nullopt);
    const pci::TraceNames names(*rig.device);
    const auto name = names.find({.kind = pci::TraceKind::kBarWrite, .address = 0x158, .size = 4});
    ASSERT_TRUE(name);
    EXPECT_EQ(name->reg, "RING_TAIL[1]");
    EXPECT_EQ(name->interrupt, 2U);
}

}  // namespace
}  // namespace mimic::mock_accel
