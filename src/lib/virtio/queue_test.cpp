// SPDX-License-Identifier: Apache-2.0
// Both rings with a driver that keeps the rules: what it made available comes back once, with its
// bytes; kicks and interrupts are as many as were asked for.
#include "virtio/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <numeric>

#include "virtio/testing/guest_queue.h"

namespace mimic::virtio {
namespace {

using memory::FakeMemory;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kRing = 0x10'0000;
constexpr uint64_t kBuffers = 0x1000;

struct Layout {
    bool packed;
    bool event_index;
    bool indirect;
    uint16_t size;
};

class QueueTest : public testing::TestWithParam<Layout> {
protected:
    QueueTest() : guest(make_guest_queue(memory, kRing, options())) {
        memory.add(kBuffers, 0x10000);
        EXPECT_TRUE(queue.start(guest->settings()));
    }

    static GuestQueue::Options options() {
        return {GetParam().size, GetParam().packed, GetParam().event_index};
    }
    std::optional<uint16_t> add(const std::vector<Segment>& in, const std::vector<Segment>& out) {
        return guest->add(in, out, GetParam().indirect);
    }
    std::vector<GuestQueue::Used> take_all() {
        std::vector<GuestQueue::Used> all;
        while (const auto one = guest->take()) all.push_back(*one);
        return all;
    }

    FakeMemory memory;
    Queue queue;
    std::unique_ptr<GuestQueue> guest;
};

TEST_P(QueueTest, ABufferComesWithItsBytesAndGoesBack) {
    memory.put<uint32_t>(kBuffers + 2, 0x44332211);
    memory.put<uint32_t>(kBuffers + 0x100, 0x88776655);
    const auto id = add({{kBuffers + 2, 4}, {kBuffers + 0x100, 4}},
                        {{kBuffers + 0x200, 3}, {kBuffers + 0x300, 5}});
    ASSERT_TRUE(id);
    auto chain = queue.pop(memory);
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->id(), *id);
    EXPECT_EQ(chain->readable_bytes(), 8U);
    EXPECT_EQ(chain->writable_bytes(), 8U);
    EXPECT_EQ(queue.outstanding(), 1U);

    std::array<std::byte, 16> bytes{};
    EXPECT_EQ(queue.read(memory, *chain, 3, bytes), 5U);
    EXPECT_EQ(bytes[0], std::byte{0x44});
    EXPECT_EQ(bytes[4], std::byte{0x88});
    EXPECT_EQ(queue.read(memory, *chain, 8, bytes), 0U);
    std::array<std::byte, 16> answer{};
    answer.fill(std::byte{0xab});
    EXPECT_EQ(queue.write(memory, *chain, 1, answer), 7U);
    EXPECT_EQ(memory.get<uint32_t>(kBuffers + 0x200), 0x00abab00U);
    EXPECT_EQ(memory.get<uint64_t>(kBuffers + 0x300), 0xabababababU);

    queue.push(memory, std::move(*chain), 8);
    EXPECT_THAT(take_all(), ElementsAre(GuestQueue::Used{*id, 8}));
    EXPECT_EQ(queue.outstanding(), 0U);
    EXPECT_FALSE(queue.pop(memory));
    EXPECT_FALSE(queue.broken());
}

// Thousands of buffers around the ring, returned in another order than they came: each comes back
// once, whatever its length, and indexes and wrap counters go around.
TEST_P(QueueTest, EveryBufferComesBackOnce) {
    std::deque<Chain> held;
    std::map<uint16_t, uint32_t> out;  // id to the bytes that will be written
    size_t returned = 0;
    const size_t enough = GetParam().size == 64 ? 70'000 : 5'000;  // once more than an index counts
    for (uint32_t step = 0; step < 200'000 && returned < enough; ++step) {
        const uint32_t dice = step * 2654435761U >> 16;
        std::vector<Segment> in(dice % 3, Segment{kBuffers, 16});
        std::vector<Segment> room(1 + dice / 3 % 2, Segment{kBuffers + 64, 1 + dice % 200});
        while (const auto id = add(in, room)) {
            ASSERT_TRUE(out.emplace(*id, 0).second);
            if (dice % 5 == 0) break;
        }
        while (auto chain = queue.pop(memory)) held.push_back(std::move(*chain));
        ASSERT_EQ(held.size(), out.size());
        while (held.size() > dice % 3) {
            auto& chain = dice % 2 == 0 ? held.front() : held.back();
            out.at(chain.id()) = chain.writable_bytes();
            const auto written = chain.writable_bytes();
            queue.push(memory, std::move(chain), written);
            dice % 2 == 0 ? held.pop_front() : held.pop_back();
        }
        while (const auto used = guest->take()) {
            ASSERT_EQ(out.at(used->id), used->written);
            out.erase(used->id);
            ++returned;
        }
        ASSERT_EQ(held.size(), out.size());
        ASSERT_STREQ(queue.why_broken(), nullptr);
    }
    EXPECT_GE(returned, enough);
    EXPECT_EQ(queue.counters().pushed, returned);
}

TEST_P(QueueTest, ABatchNeedsOneInterrupt) {
    for (int round = 0; round < 20; ++round) {
        while (add({{kBuffers, 4}}, {{kBuffers + 64, 4}})) {
        }
        EXPECT_FALSE(queue.needs_interrupt(memory));  // nothing was returned
        while (auto chain = queue.pop(memory)) queue.push(memory, std::move(*chain), 4);
        EXPECT_TRUE(queue.needs_interrupt(memory)) << round;
        EXPECT_FALSE(queue.needs_interrupt(memory)) << round;
        take_all();
    }
    EXPECT_EQ(queue.counters().interrupts, 20U);
}

TEST_P(QueueTest, NoInterruptsWhereTheDriverWantsNone) {
    guest->want_interrupts(false);
    for (int round = 0; round < 20; ++round) {
        add({{kBuffers, 4}}, {});
        if (auto chain = queue.pop(memory)) queue.push(memory, std::move(*chain), 0);
        EXPECT_FALSE(queue.needs_interrupt(memory));
        take_all();
        guest->want_interrupts(false);
    }
    guest->want_interrupts(true);
    add({{kBuffers, 4}}, {});
    queue.push(memory, std::move(queue.pop(memory).value()), 0);
    EXPECT_TRUE(queue.needs_interrupt(memory));
}

// With an event index, a driver that fills while the device still has buffers does not kick.
TEST_P(QueueTest, KicksOnlyWhenTheDeviceHadSeenAll) {
    EXPECT_FALSE(queue.pop(memory));
    for (int round = 0; round < 40; ++round) {
        add({{kBuffers, 4}}, {});
        EXPECT_TRUE(guest->wants_kick()) << round;
        add({{kBuffers, 4}}, {});
        EXPECT_EQ(guest->wants_kick(), !GetParam().event_index) << round;
        while (auto chain = queue.pop(memory)) queue.push(memory, std::move(*chain), 0);
        EXPECT_EQ(take_all().size(), 2U);
    }
}

TEST_P(QueueTest, NoKicksWhileTheDeviceLooksByItself) {
    EXPECT_FALSE(queue.pop(memory));
    queue.want_kicks(memory, false);
    if (GetParam().event_index && !GetParam().packed) {
        add({{kBuffers, 4}}, {});
        guest->wants_kick();  // the one that was asked for before
        queue.push(memory, std::move(queue.pop(memory).value()), 0);
        take_all();
    }
    for (int round = 0; round < 20; ++round) {
        add({{kBuffers, 4}}, {});
        EXPECT_FALSE(guest->wants_kick()) << round;
        queue.push(memory, std::move(queue.pop(memory).value()), 0);
        EXPECT_FALSE(queue.pop(memory));
        take_all();
    }
    queue.want_kicks(memory, true);
    EXPECT_FALSE(queue.pop(memory));
    add({{kBuffers, 4}}, {});
    EXPECT_TRUE(guest->wants_kick());
}

TEST_P(QueueTest, GoesOnWhereAnotherStood) {
    for (int i = 0; i < 3; ++i) add({{kBuffers, 4}}, {});
    for (int i = 0; i < 3; ++i) queue.push(memory, std::move(queue.pop(memory).value()), 0);
    EXPECT_EQ(take_all().size(), 3U);
    auto settings = guest->settings();
    settings.position.next_available = queue.next_available();
    settings.position.next_used = queue.next_used();
    Queue other;
    ASSERT_TRUE(other.start(settings));
    const auto id = add({{kBuffers, 4}}, {});
    other.push(memory, std::move(other.pop(memory).value()), 0);
    EXPECT_THAT(take_all(), ElementsAre(GuestQueue::Used{*id, 0}));
    // Without next_used: nothing is out.
    settings.position.next_available = other.next_available();
    settings.position.next_used.reset();
    ASSERT_TRUE(queue.start(settings));
    const auto last = add({{kBuffers, 4}}, {});
    queue.push(memory, std::move(queue.pop(memory).value()), 0);
    EXPECT_THAT(take_all(), ElementsAre(GuestQueue::Used{*last, 0}));
}

TEST_P(QueueTest, ChainsFromBeforeAStopAreDropped) {
    add({{kBuffers, 4}}, {});
    auto old = queue.pop(memory);
    ASSERT_TRUE(old);
    queue.stop();
    EXPECT_FALSE(queue.pop(memory));
    guest.reset();
    guest = make_guest_queue(memory, kRing, options());
    ASSERT_TRUE(queue.start(guest->settings()));
    const auto id = add({{kBuffers, 4}}, {});
    queue.push(memory, std::move(*old), 0);
    EXPECT_THAT(take_all(), IsEmpty());
    auto chain = queue.pop(memory);
    ASSERT_TRUE(chain);
    queue.push(memory, std::move(*chain), 0);
    queue.push(memory, std::move(*chain), 0);  // NOLINT(bugprone-use-after-move): what is tested
    EXPECT_THAT(take_all(), ElementsAre(GuestQueue::Used{*id, 0}));
    EXPECT_EQ(queue.outstanding(), 0U);
}

// What is written is never said to be more than there is room for.
TEST_P(QueueTest, SaysNoMoreThanThereIsRoom) {
    const auto id = add({{kBuffers, 4}}, {{kBuffers + 64, 6}});
    queue.push(memory, std::move(queue.pop(memory).value()), 1000);
    EXPECT_THAT(take_all(), ElementsAre(GuestQueue::Used{*id, 6}));
}

// Two regions that meet within a buffer are no hole.
TEST_P(QueueTest, ABufferMayLieInTwoRegions) {
    memory.add(0x4'0000, 0x1000);
    memory.add(0x4'1000, 0x1000);
    memory.put<uint32_t>(0x4'0ffc, 0x04030201);
    memory.put<uint32_t>(0x4'1000, 0x08070605);
    add({{0x4'0ffc, 8}}, {{0x4'0ff0, 0x20}});
    auto chain = queue.pop(memory);
    ASSERT_TRUE(chain);
    uint64_t value = 0;
    EXPECT_EQ(queue.read(memory, *chain, 0, std::as_writable_bytes(std::span(&value, 1))), 8U);
    EXPECT_EQ(value, 0x0807060504030201U);
    const std::array<std::byte, 0x20> zeros{};
    EXPECT_EQ(queue.write(memory, *chain, 0, zeros), 0x20U);
    EXPECT_EQ(memory.get<uint32_t>(0x4'1000), 0U);
    EXPECT_FALSE(queue.broken());
}

// A ring is translated once a turn, and again in the next.
TEST_P(QueueTest, TranslatesOnceATurn) {
    uint64_t turn = 1;
    queue.share_turn(&turn);
    add({{kBuffers, 4}}, {});
    auto first = queue.pop(memory);
    ASSERT_TRUE(first);
    add({{kBuffers, 4}}, {});
    memory.refusal = std::errc::bad_address;  // of translations from now on
    auto second = queue.pop(memory);
    if (!GetParam().indirect) {  // whose tables are translated each
        ASSERT_TRUE(second);
        queue.push(memory, std::move(*second), 0);
        EXPECT_EQ(take_all().size(), 1U);
        EXPECT_FALSE(queue.broken());
    }
    ++turn;
    EXPECT_FALSE(queue.pop(memory));
    EXPECT_TRUE(queue.broken());
}

std::string layout_name(const testing::TestParamInfo<Layout>& info) {
    const Layout& layout = info.param;
    return fmt::format("{}{}{}{}", layout.packed ? "Packed" : "Split", layout.size,
                       layout.event_index ? "EventIndex" : "", layout.indirect ? "Indirect" : "");
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, QueueTest,
    testing::Values(Layout{false, false, false, 8}, Layout{false, true, false, 8},
                    Layout{false, true, true, 8}, Layout{false, true, false, 64},
                    Layout{true, false, false, 8}, Layout{true, true, false, 8},
                    Layout{true, true, true, 8}, Layout{true, true, false, 7},
                    Layout{true, true, true, 61}),
    layout_name);

TEST(QueueSettingsTest, WhatCannotBeARing) {
    Queue queue;
    const QueueAddresses good{0x1000, 0x2000, 0x3000};
    EXPECT_TRUE(queue.start({.size = 1, .addresses = good}));
    EXPECT_TRUE(queue.start({.size = 32768, .addresses = good}));
    EXPECT_TRUE(queue.start({.size = 7, .addresses = good, .packed = true}));
    queue.stop();
    EXPECT_FALSE(queue.start({.size = 0, .addresses = good}));
    EXPECT_FALSE(queue.start({.size = 7, .addresses = good}));
    EXPECT_FALSE(queue.start({.size = 32769, .addresses = good, .packed = true}));
    EXPECT_FALSE(queue.start({.size = 8, .addresses = {0x1008, 0x2000, 0x3000}}));
    EXPECT_FALSE(queue.start({.size = 8, .addresses = {0x1000, 0x2001, 0x3000}}));
    EXPECT_FALSE(queue.start({.size = 8, .addresses = {0x1000, 0x2000, 0x3002}}));
    EXPECT_FALSE(queue.start({.size = 8, .addresses = {0x1000, 0x2002, 0x3000}, .packed = true}));
    EXPECT_FALSE(queue.is_running());
}

}  // namespace
}  // namespace mimic::virtio
