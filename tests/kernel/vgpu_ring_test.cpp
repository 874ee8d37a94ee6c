// SPDX-License-Identifier: Apache-2.0
// The rings of kernel/vgpu-stub, the module's very file, in user space under sanitizers, against
// devices that the test plays: good ones that complete in any order, and ones that break every
// rule.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <random>
#include <set>
#include <vector>

extern "C" {
#include "vgpu_ring.h"
}

namespace {

constexpr u32 kSize = 8;

/// Both rings and a device that knows only what is in memory, and the two registers.
struct Bench {
    explicit Bench(u32 count = kSize) : entries(count), completions(count), size(count) {
        vgpu_ring_init(&ring, entries.data(), completions.data(), size);
    }

    int add(void* owner, u32 room = 64) {
        const vgpu_ring_request request{.request_address = 0x1000,
                                        .response_address = 0x2000,
                                        .request_bytes = 32,
                                        .response_bytes = room,
                                        .owner = owner};
        return vgpu_ring_add(&ring, &request);
    }

    /// The doorbell, as the driver rings it: what was seen first, if it must.
    void doorbell() {
        if (vgpu_ring_must_tell(&ring)) device_seen = ring.seen;
        device_tail = ring.tail;
    }

    /// What the device takes: no more than completions have room, as its registers say.
    void take() {
        while (head != device_tail && at_device.size() + (written - device_seen) < size) {
            at_device.push_back(entries[head % size]);
            ++head;
        }
    }

    void complete(u64 cookie, u32 length = 16, u32 error = 0) {
        vgpu_ring_completion& to = completions[written % size];
        to.cookie = cookie;
        to.error = error;
        to.response_length = length;
        to.timestamp_ns = 99;
        to.sequence = ++written;
    }

    vgpu_ring ring{};
    std::vector<vgpu_ring_entry> entries;
    std::vector<vgpu_ring_completion> completions;
    u32 size;
    u32 head = 0;
    u32 device_tail = 0;
    u32 device_seen = 0;
    u32 written = 0;
    std::deque<vgpu_ring_entry> at_device;
};

TEST(VgpuRing, ARequestAndItsCompletion) {
    Bench bench;
    int owner = 0;
    vgpu_ring_done done{};
    EXPECT_EQ(vgpu_ring_take(&bench.ring, &done), 0);
    ASSERT_EQ(bench.add(&owner), 0);
    const vgpu_ring_entry& entry = bench.entries[0];
    EXPECT_EQ(entry.request_address, 0x1000U);
    EXPECT_EQ(entry.request_length, 32U);
    EXPECT_EQ(entry.response_address, 0x2000U);
    EXPECT_EQ(entry.response_size, 64U);
    EXPECT_EQ(entry.flags | entry.reserved, 0U);
    EXPECT_EQ(bench.ring.tail, 1U);
    EXPECT_EQ(vgpu_ring_take(&bench.ring, &done), 0);
    bench.complete(entry.cookie, 64, 5);
    ASSERT_EQ(vgpu_ring_take(&bench.ring, &done), 1);
    EXPECT_EQ(done.owner, &owner);
    EXPECT_EQ(done.error, 5U);
    EXPECT_EQ(done.response_bytes, 64U);
    EXPECT_EQ(done.timestamp_ns, 99U);
    EXPECT_EQ(done.failure, 0);
    EXPECT_EQ(bench.ring.used, 0U);
    EXPECT_EQ(vgpu_ring_take(&bench.ring, &done), 0);
}

TEST(VgpuRing, HoldsAsManyAsItHasEntries) {
    Bench bench(2);
    int owner = 0;
    EXPECT_EQ(bench.add(&owner), 0);
    EXPECT_EQ(bench.add(&owner), 0);
    EXPECT_TRUE(vgpu_ring_is_full(&bench.ring));
    EXPECT_EQ(bench.add(&owner), -ENOSPC);
    EXPECT_EQ(bench.ring.tail, 2U);
}

TEST(VgpuRing, CompletionsThatNobodyWaitsForReachNobody) {
    Bench bench;
    int owner = 0;
    vgpu_ring_done done{};
    ASSERT_EQ(bench.add(&owner), 0);
    const u64 cookie = bench.entries[0].cookie;
    // Made up; of a free slot; of an earlier or later use of the slot; all ones.
    for (const u64 bad : {u64{0}, cookie + 1, cookie + 256, cookie - 256, ~u64{0}, u64{255}}) {
        bench.complete(bad);
        EXPECT_EQ(vgpu_ring_take(&bench.ring, &done), -EIO) << bad;
    }
    bench.complete(cookie);
    EXPECT_EQ(vgpu_ring_take(&bench.ring, &done), 1);
    bench.complete(cookie);
    EXPECT_EQ(vgpu_ring_take(&bench.ring, &done), -EIO) << "twice";
    // The slot is used again, and the old cookie is not the new one.
    ASSERT_EQ(bench.add(&owner), 0);
    bench.complete(cookie);
    EXPECT_EQ(vgpu_ring_take(&bench.ring, &done), -EIO);
    EXPECT_EQ(bench.ring.used, 1U);
}

TEST(VgpuRing, MoreThanThereIsRoomForIsAFailure) {
    Bench bench;
    int owner = 0;
    vgpu_ring_done done{};
    for (const u32 length : {65U, 0xffffffffU}) {
        ASSERT_EQ(bench.add(&owner, 64), 0);
        bench.complete(bench.entries[(bench.ring.tail - 1) % kSize].cookie, length);
        ASSERT_EQ(vgpu_ring_take(&bench.ring, &done), 1);
        EXPECT_EQ(done.failure, -EIO);
        EXPECT_EQ(done.response_bytes, 0U);
    }
    EXPECT_EQ(bench.ring.used, 0U);
}

TEST(VgpuRing, AWrongSequenceIsNoCompletion) {
    Bench bench;
    int owner = 0;
    vgpu_ring_done done{};
    ASSERT_EQ(bench.add(&owner), 0);
    for (const u32 sequence : {0U, 2U, 9U, 0xffffffffU}) {
        bench.completions[0].cookie = bench.entries[0].cookie;
        bench.completions[0].sequence = sequence;
        EXPECT_EQ(vgpu_ring_take(&bench.ring, &done), 0) << sequence;
    }
}

TEST(VgpuRing, WhatADeviceHadIsForgottenOnce) {
    Bench bench;
    std::array<int, 3> owners{};
    for (int& owner : owners) ASSERT_EQ(bench.add(&owner), 0);
    std::set<void*> forgotten;
    while (void* owner = vgpu_ring_forget(&bench.ring)) EXPECT_TRUE(forgotten.insert(owner).second);
    EXPECT_EQ(forgotten.size(), 3U);
    EXPECT_EQ(bench.ring.used, 0U);
}

/// A start after a stop: numbers of cookies go on, so an answer from before is nobody's.
TEST(VgpuRing, ARestartForgetsOldAnswers) {
    Bench bench;
    int owner = 0;
    vgpu_ring_done done{};
    ASSERT_EQ(bench.add(&owner), 0);
    const u64 old = bench.entries[0].cookie;
    vgpu_ring_forget(&bench.ring);
    vgpu_ring_init(&bench.ring, bench.entries.data(), bench.completions.data(), kSize);
    ASSERT_EQ(bench.add(&owner), 0);
    EXPECT_NE(bench.entries[0].cookie, old);
    bench.complete(old);
    EXPECT_EQ(vgpu_ring_take(&bench.ring, &done), -EIO);
}

/// A device that takes no entry while unseen completions fill the rest never waits for ever,
/// although it is seldom told what was seen; and every request comes back once, in any order.
class VgpuRingTraffic : public testing::TestWithParam<u32> {};

TEST_P(VgpuRingTraffic, EveryRequestComesBackOnce) {
    const u32 size = GetParam();
    constexpr u32 kRequests = 20'000;
    Bench bench(size);
    // Through the wrap of the 32-bit indices.
    const u32 start = 0xffffffffU - 1'000;
    bench.ring.tail = bench.ring.seen = bench.ring.told = start;
    bench.head = bench.device_tail = bench.device_seen = bench.written = start;
    std::vector<u32> owners(kRequests, 0);
    std::mt19937 engine(20261129);  // arbitrary
    const auto random = [&] { return static_cast<u32>(engine()); };
    u32 sent = 0;
    u32 back = 0;
    u32 idle = 0;
    while (back < kRequests) {
        const u32 before = back + sent;
        for (u32 burst = random() % (size + 1); burst != 0 && sent < kRequests; --burst) {
            if (bench.add(&owners[sent]) != 0) break;
            ++sent;
        }
        bench.doorbell();
        bench.take();
        for (u32 burst = random() % (size + 1); burst != 0 && !bench.at_device.empty(); --burst) {
            const size_t which = random() % bench.at_device.size();
            bench.complete(bench.at_device[which].cookie);
            bench.at_device.erase(bench.at_device.begin() + static_cast<long>(which));
        }
        vgpu_ring_done done{};
        while (random() % 8 != 0 && vgpu_ring_take(&bench.ring, &done) == 1) {
            ++*static_cast<u32*>(done.owner);
            ++back;
        }
        ASSERT_LE(bench.written - bench.ring.seen, size) << "a completion was overwritten";
        idle = back + sent == before ? idle + 1 : 0;
        ASSERT_LT(idle, 1'000U) << "the device waits for ever";
    }
    for (const u32 count : owners) ASSERT_EQ(count, 1U);
    EXPECT_EQ(bench.ring.used, 0U);
}

INSTANTIATE_TEST_SUITE_P(Sizes, VgpuRingTraffic, testing::Values(2, 4, 64, 256));

/// With few in flight the device is told what was seen once a ring, not once a request.
TEST(VgpuRing, TheDeviceIsToldSeldom) {
    Bench bench(64);
    int owner = 0;
    u32 told = 0;
    for (u32 i = 0; i < 640; ++i) {
        ASSERT_EQ(bench.add(&owner), 0);
        const u32 seen = bench.device_seen;
        bench.doorbell();
        told += seen != bench.device_seen;
        bench.take();
        ASSERT_EQ(bench.at_device.size(), 1U);
        bench.complete(bench.at_device.front().cookie);
        bench.at_device.clear();
        vgpu_ring_done done{};
        ASSERT_EQ(vgpu_ring_take(&bench.ring, &done), 1);
    }
    EXPECT_LE(told, 10U);
    EXPECT_GE(told, 9U);
}

/// Random bytes in the completions harm nobody.
TEST(VgpuRing, ADeviceThatWritesNonsense) {
    std::mt19937 engine(20261129);  // arbitrary
    const auto random = [&] { return static_cast<u32>(engine()); };
    Bench bench(16);
    std::array<int, 64> owners{};
    std::set<void*> waiting;
    for (int round = 0; round < 50'000; ++round) {
        int* const owner = &owners[static_cast<size_t>(round) % owners.size()];
        if (!waiting.contains(owner) && bench.add(owner, 100) == 0) waiting.insert(owner);
        vgpu_ring_completion& to = bench.completions[bench.ring.seen % 16];
        to.sequence = random() % 3 == 0 ? random() : bench.ring.seen + 1;
        to.cookie = random() % 2 == 0 ? bench.entries[random() % 16].cookie : random();
        to.response_length = random() % 2 == 0 ? random() % 200 : random();
        vgpu_ring_done done{};
        if (vgpu_ring_take(&bench.ring, &done) != 1) continue;
        EXPECT_EQ(waiting.erase(done.owner), 1U);
        EXPECT_LE(done.response_bytes, 100U);
    }
    EXPECT_EQ(bench.ring.used, waiting.size());
}

}  // namespace
