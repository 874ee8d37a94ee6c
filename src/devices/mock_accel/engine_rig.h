// SPDX-License-Identifier: Apache-2.0
// What the tests of the DMA engine plug together: an engine, memory, and a device that writes down
// what the engine does to it.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/virtual_time.h"
#include "devices/mock_accel/engine.h"
#include "memory/testing/fake_memory.h"

namespace mimic::mock_accel {

using Kind = memory::FakeMemory::Kind;

// Where the rig keeps things on the bus.
inline constexpr uint64_t kRing = 0x10000;
inline constexpr uint64_t kCompletions = 0x20000;
inline constexpr uint64_t kSource = 0x100000;
inline constexpr uint64_t kTarget = 0x400000;
inline constexpr uint64_t kRegion = 0x200000;  // bytes of each of the last two

/// An engine with device memory, ring 0 of 8 entries, and what it does written down.
struct EngineTest : testing::Test, EnginePort {
    explicit EngineTest(Kind data = Kind::kMapped, Kind rings = Kind::kMapped) {
        memory.add(kRing, 0x8000, rings);
        memory.add(kCompletions, 0x8000, rings);
        memory.add(kSource, kRegion, data);
        memory.add(kTarget, kRegion, data);
        for (uint64_t i = 0; i < kRegion; ++i) *memory.at(kSource + i) = byte_at(i);
    }

    static std::byte byte_at(uint64_t i) { return static_cast<std::byte>(i * 7 + i / 251); }

    memory::DmaSpace* dma_space() override { return mastering ? &memory : nullptr; }
    TaskRunner* task_runner() override { return attached ? &runner : nullptr; }
    std::span<std::byte> device_memory() override { return local; }
    void raise_ring(uint32_t ring) override {
        interrupts.push_back(ring);
        if (on_interrupt) on_interrupt();
    }
    void ring_progressed(uint32_t ring, const RingState& now, const RingCounts& more) override {
        heads[ring] = now.head;
        halted = halted || now.halted;
        if (now.failed) last_error = static_cast<Code>(now.last_error);
        total.descriptors += more.descriptors;
        total.bytes_read += more.bytes_read;
        total.bytes_written += more.bytes_written;
        total.errors += more.errors;
        total.interrupts += more.interrupts;
    }

    void enable(uint32_t new_order = 3, bool with_interrupts = true) {
        order = new_order;
        engine.enable({.index = 0,
                       .base = kRing,
                       .completion_base = kCompletions,
                       .order = new_order,
                       .interrupts = with_interrupts});
    }
    void put(uint32_t index, const Descriptor& descriptor) {
        const uint64_t slot = index & ((1U << order) - 1);
        std::memcpy(memory.at(kRing + slot * sizeof descriptor), &descriptor, sizeof descriptor);
    }
    Completion completion(uint32_t index) {
        Completion result;
        const uint64_t slot = index & ((1U << order) - 1);
        std::memcpy(&result, memory.at(kCompletions + slot * sizeof result), sizeof result);
        return result;
    }
    /// Runs one descriptor on a ring that has just been enabled, answering all messages.
    Code run_one(const Descriptor& descriptor) {
        enable();
        put(0, descriptor);
        EXPECT_TRUE(engine.doorbell(0, 1));
        settle();
        EXPECT_EQ(completion(0).cookie, descriptor.cookie);
        EXPECT_EQ(completion(0).phase, 1);
        return static_cast<Code>(completion(0).status);
    }
    void settle() {
        do {
            runner.run();
        } while (memory.answer());
    }
    /// Whether [to, to + size) on the bus holds bytes first.. of the source.
    testing::AssertionResult moved(uint64_t to, uint64_t first, uint64_t size) {
        for (uint64_t i = 0; i < size; ++i) {
            if (*memory.at(to + i) != byte_at(first + i)) {
                return testing::AssertionFailure() << "byte " << i << " of " << size;
            }
        }
        return testing::AssertionSuccess();
    }

    memory::FakeMemory memory;
    VirtualTime runner;
    std::vector<std::byte> local = std::vector<std::byte>(0x10000);
    bool mastering = true;
    bool attached = true;
    std::vector<uint32_t> interrupts;
    std::function<void()> on_interrupt;
    std::array<uint32_t, kMaxRings> heads{};
    bool halted = false;
    Code last_error = Code::kOk;
    RingCounts total;
    uint32_t order = 3;
    Engine engine{*this};
};

inline Descriptor copy(uint32_t length, uint64_t from = kSource, uint64_t to = kTarget,
                       uint8_t flags = 0) {
    return {.opcode = kOpcodeCopy,
            .flags = flags,
            .length = length,
            .source = from,
            .destination = to,
            .cookie = 0x1122334455667788};
}

inline Descriptor fill(uint32_t length, uint64_t pattern, uint64_t to = kTarget,
                       uint8_t flags = 0) {
    return {.opcode = kOpcodeFill,
            .flags = flags,
            .length = length,
            .source = pattern,
            .destination = to,
            .cookie = 5};
}

}  // namespace mimic::mock_accel
