// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio_rng/virtio_rng.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "devices/virtio_rng/model.h"
#include "virtio/testing/fake_guest.h"

namespace mimic::virtio_rng {
namespace {

using virtio::FakeGuest;

class VirtioRngTest : public testing::TestWithParam<bool> {
protected:
    void SetUp() override { ASSERT_TRUE(guest.start({.packed = GetParam()})); }

    // Bytes that count, so that a test sees which were written.
    static VirtioRng::Source counting() {
        return [n = uint8_t{0}](std::span<std::byte> out) mutable {
            for (std::byte& one : out) one = std::byte{++n};
            return true;
        };
    }

    VirtioRng device{"rng0", counting()};
    FakeGuest guest{device};
};

TEST_P(VirtioRngTest, FillsABuffer) {
    EXPECT_THAT(guest.request(0, {}, 4), testing::Optional(testing::ElementsAre(1, 2, 3, 4)));
    EXPECT_THAT(guest.request(0, {}, 2), testing::Optional(testing::ElementsAre(5, 6)));
    EXPECT_EQ(guest.slot().interrupts[0], 2);
}

TEST_P(VirtioRngTest, ABufferIsNeverFilledBeyondItsEnd) {
    guest.memory().put<uint32_t>(FakeGuest::kData + 4, 0xffff'ffff);
    ASSERT_TRUE(guest.request(0, {}, 4));
    EXPECT_EQ(guest.memory().get<uint32_t>(FakeGuest::kData + 4), 0xffff'ffffU);
}

TEST_P(VirtioRngTest, ALargeBufferGetsABoundedPart) {
    const auto bytes = guest.request(0, {}, 100'000);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(bytes->size(), VirtioRng::kMostBytes);
}

TEST_P(VirtioRngTest, ABufferWithoutRoomComesBack) {
    const std::vector<uint8_t> word(4);
    EXPECT_THAT(guest.request(0, word, 0), testing::Optional(testing::IsEmpty()));
}

TEST_P(VirtioRngTest, BuffersBeyondMemoryNeedAReset) {
    guest.queue(0).add({}, {{0xffff'0000'0000, 4}});
    device.kick(0);
    EXPECT_NE(device.status() & virtio::kNeedsReset, 0);
}

INSTANTIATE_TEST_SUITE_P(Rings, VirtioRngTest, testing::Bool());

// A guest that has more ready than a turn takes gets all of it, in several.
TEST(VirtioRngTurnTest, ATurnIsBounded) {
    unsigned asked = 0;
    std::function<void()> more;
    VirtioRng device("rng0", [&](std::span<std::byte>) {
        if (++asked < 10 * VirtioRng::kMostBuffers) more();
        return true;
    });
    FakeGuest guest(device);
    ASSERT_TRUE(guest.start());
    // A driver on another processor: it takes what is used, and fills the ring again.
    more = [&] {
        while (guest.queue(0).take()) {
        }
        while (guest.queue(0).add({}, {{FakeGuest::kData, 8}})) {
        }
    };
    more();
    device.kick(0);
    EXPECT_EQ(asked, VirtioRng::kMostBuffers);
    EXPECT_EQ(guest.time().pending(), 1U);
    device.kick(0);
    EXPECT_EQ(guest.time().pending(), 1U);
    guest.time().run();
    EXPECT_GE(asked, 10 * VirtioRng::kMostBuffers);
    EXPECT_EQ(std::as_const(device).queue(0).outstanding(), 0U);
    device.kick(0);
    device.reset();
    guest.time().run();  // what was posted finds a device that was reset
}

TEST(VirtioRngSourceTest, TheHostsBytesDiffer) {
    model::FunctionSpec spec;
    spec.name = "rng0";
    const auto device = make_device({.function = spec});
    ASSERT_TRUE(device);
    EXPECT_EQ((*device)->name(), "rng0");
    FakeGuest guest(**device);
    ASSERT_TRUE(guest.start());
    std::set<std::vector<uint8_t>> seen;
    for (int i = 0; i < 8; ++i) {
        const auto bytes = guest.request(0, {}, 64);
        ASSERT_TRUE(bytes);
        EXPECT_EQ(bytes->size(), 64U);
        seen.insert(*bytes);
    }
    EXPECT_EQ(seen.size(), 8U);
}

TEST(VirtioRngSourceTest, WithoutBytesABufferComesBackEmpty) {
    VirtioRng device("rng0", [](std::span<std::byte>) { return false; });
    FakeGuest guest(device);
    ASSERT_TRUE(guest.start());
    EXPECT_THAT(guest.request(0, {}, 8), testing::Optional(testing::IsEmpty()));
}

}  // namespace
}  // namespace mimic::virtio_rng
