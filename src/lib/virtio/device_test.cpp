// SPDX-License-Identifier: Apache-2.0
// The state of a device as a driver sees it: status, features, configuration, queues, turns.
#include "virtio/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "virtio/testing/fake_guest.h"

namespace mimic::virtio {
namespace {

using testing::ElementsAre;

// Returns what it was sent; keeps buffers while `holds`.
class Echo : public Device {
public:
    Echo()
        : Device({.name = "echo",
                  .virtio_id = 39,
                  .features = feature(0) | feature(23) | feature(24) | feature(50),
                  .queue_sizes = {16, 64},
                  .config_size = 8}) {}

    void on_start() override { ++starts; }
    void on_reset() override {
        ++resets;
        held.clear();
    }
    void on_queue_reset(uint16_t index) override { queue_resets.push_back(index); }
    void on_kick(uint16_t index) override {
        while (dma() != nullptr) {
            auto chain = queue(index).pop(*dma());
            if (!chain) break;
            held.push_back(std::move(*chain));
            if (!holds) answer(index);
        }
    }
    void answer(uint16_t index) {
        for (Chain& chain : held) {
            std::array<std::byte, 64> bytes{};
            const size_t size = queue(index).read(*dma(), chain, 0, bytes);
            queue(index).write(*dma(), chain, 0, std::span(bytes).first(size));
            complete(index, std::move(chain), static_cast<uint32_t>(size));
        }
        held.clear();
    }
    void answer_in_a_turn(uint16_t index) {
        const Turn turn(*this);
        answer(index);
    }
    void on_config_read(uint32_t offset, std::span<uint8_t> data) override {
        std::copy_n(config.begin() + offset, data.size(), data.begin());
    }
    void on_config_write(uint32_t offset, std::span<const uint8_t> data) override {
        std::ranges::copy(data, config.begin() + offset);
    }
    using Device::complete;
    using Device::config_changed;
    using Device::end_batch;
    using Device::needs_reset;

    std::array<uint8_t, 8> config{1, 2, 3, 4, 5, 6, 7, 8};
    std::vector<Chain> held;
    std::vector<uint16_t> queue_resets;
    bool holds = false;
    int starts = 0;
    int resets = 0;
};

const std::vector<uint8_t> kWord{1, 2, 3, 4};

class DeviceTest : public testing::Test {
protected:
    Echo device;
    FakeGuest guest{device};
};

TEST_F(DeviceTest, OffersItsFeaturesAndThoseOfQueuesAndTransport) {
    guest.slot().transport_features = feature(kAccessPlatform);
    const uint64_t offered = device.offered_features();
    for (const unsigned bit : {0U, 23U, 50U, 28U, 29U, 32U, 33U, 34U, 40U}) {
        EXPECT_NE(offered & feature(bit), 0U) << bit;
    }
    for (const unsigned bit : {24U, 35U, 36U, 37U, 38U}) {
        EXPECT_EQ(offered & feature(bit), 0U) << bit;
    }
}

TEST_F(DeviceTest, TakesOnlyFeaturesThatItOffers) {
    EXPECT_FALSE(guest.negotiate({.features = feature(1)}));
    EXPECT_TRUE(guest.negotiate({.features = feature(0)}));
    EXPECT_TRUE(device.has(0));
    device.set_driver_features(feature(kVersion1));  // too late
    EXPECT_TRUE(device.has(0));
}

TEST_F(DeviceTest, WantsVersion1) {
    device.set_status(kAcknowledge | kDriver);
    device.set_driver_features(feature(kEventIndex));
    device.set_status(kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    EXPECT_EQ(device.status(), kAcknowledge | kDriver);
    EXPECT_EQ(device.starts, 0);
    device.set_driver_features(feature(kVersion1));
    device.set_status(device.status() | kFeaturesOk);
    EXPECT_NE(device.status() & kFeaturesOk, 0);
}

TEST_F(DeviceTest, BitsOfTheStatusAreOnlyAdded) {
    ASSERT_TRUE(guest.start());
    device.set_status(kAcknowledge);
    device.set_status(kNeedsReset | kFailed | kDriverOk);
    EXPECT_EQ(device.status(), kAcknowledge | kDriver | kFeaturesOk | kDriverOk | kFailed);
    EXPECT_EQ(device.starts, 1);
    device.set_status(0);
    EXPECT_EQ(device.status(), 0);
    EXPECT_EQ(device.driver_features(), 0U);
    EXPECT_FALSE(device.queue_enabled(0));
}

TEST_F(DeviceTest, ConfigurationEndsWhereItEnds) {
    std::array<uint8_t, 6> bytes{};
    bytes.fill(0xee);
    device.config_read(4, bytes);
    EXPECT_THAT(bytes, ElementsAre(5, 6, 7, 8, 0, 0));
    device.config_write(6, std::array<uint8_t, 4>{9, 9, 9, 9});
    EXPECT_EQ(device.config[7], 9);
    device.config_read(0xffff'ffff, bytes);
    EXPECT_THAT(bytes, ElementsAre(0, 0, 0, 0, 0, 0));
    device.config_write(8, bytes);
}

TEST_F(DeviceTest, AChangeOfConfigurationIsANewGeneration) {
    const uint8_t before = device.config_generation();
    device.config_changed();
    EXPECT_NE(device.config_generation(), before);
    EXPECT_EQ(guest.slot().config_interrupts, 0);  // nobody listens yet
    ASSERT_TRUE(guest.start());
    device.config_changed();
    EXPECT_EQ(guest.slot().config_interrupts, 1);
}

TEST_F(DeviceTest, AnswersOnBothRings) {
    for (const bool packed : {false, true}) {
        for (const bool indirect : {false, true}) {
            ASSERT_TRUE(guest.start({.packed = packed, .indirect = indirect}));
            for (int i = 0; i < 100; ++i) {
                EXPECT_EQ(guest.request(1, kWord, 8), kWord) << packed << indirect << i;
            }
        }
    }
    EXPECT_EQ(guest.slot().interrupts[1], 400);
}

TEST_F(DeviceTest, QueuesThatCannotBeAreNotEnabled) {
    ASSERT_TRUE(guest.negotiate({}));
    const QueueAddresses good{0x1000, 0x2000, 0x3000};
    device.enable_queue(2, 16, good);
    device.enable_queue(0, 32, good);
    device.enable_queue(0, 12, good);
    device.enable_queue(0, 0, good);
    device.enable_queue(0, 16, {0x1001, 0x2000, 0x3000});
    EXPECT_FALSE(device.queue_enabled(0));
    EXPECT_FALSE(device.queue_enabled(2));
    EXPECT_EQ(device.max_queue_size(2), 0);
    device.enable_queue(0, 16, good);
    EXPECT_TRUE(device.queue_enabled(0));
    device.kick(0);  // before DRIVER_OK
    device.kick(7);
    EXPECT_EQ(std::as_const(device).queue(0).counters().kicks, 0U);
}

TEST_F(DeviceTest, NoQueuesBeforeFeatures) {
    device.set_status(kAcknowledge | kDriver);
    device.enable_queue(0, 16, {0x1000, 0x2000, 0x3000});
    EXPECT_FALSE(device.queue_enabled(0));
}

TEST_F(DeviceTest, OneInterruptForWhatATurnCompletes) {
    ASSERT_TRUE(guest.start());
    device.holds = true;
    for (uint32_t i = 0; i < 8; ++i) guest.send(0, kWord, 4, i * 64);
    device.kick(0);
    ASSERT_EQ(device.held.size(), 8U);
    device.answer_in_a_turn(0);
    EXPECT_EQ(guest.slot().interrupts[0], 1);
    int used = 0;
    while (guest.queue(0).take()) ++used;
    EXPECT_EQ(used, 8);
}

TEST_F(DeviceTest, ABatchOutsideOfATurnEndsWhenItSaysSo) {
    ASSERT_TRUE(guest.start());
    device.holds = true;
    for (uint32_t i = 0; i < 3; ++i) guest.send(0, kWord, 4, i * 64);
    device.kick(0);
    device.answer(0);
    EXPECT_EQ(guest.slot().interrupts[0], 0);
    device.end_batch(0);
    EXPECT_EQ(guest.slot().interrupts[0], 1);
}

TEST_F(DeviceTest, ABrokenQueueNeedsAReset) {
    ASSERT_TRUE(guest.start());
    guest.queue(0).add_elements({{FakeGuest::kData, 0}});
    device.kick(0);
    EXPECT_NE(device.status() & kNeedsReset, 0);
    EXPECT_FALSE(device.is_live());
    EXPECT_EQ(guest.slot().config_interrupts, 1);
    // Also the other queue stands still, and the driver is told once.
    guest.send(1, kWord, 4);
    device.kick(1);
    EXPECT_FALSE(guest.queue(1).take());
    device.needs_reset("again");
    EXPECT_EQ(guest.slot().config_interrupts, 1);
    ASSERT_TRUE(guest.start());
    EXPECT_EQ(guest.request(0, kWord, 4), kWord);
}

TEST_F(DeviceTest, BuffersWithoutMemoryNeedAReset) {
    ASSERT_TRUE(guest.start());
    guest.queue(0).add({{0xffff'0000'0000, 4}}, {});
    device.kick(0);
    EXPECT_NE(device.status() & kNeedsReset, 0);
    EXPECT_TRUE(guest.queue(0).take());
}

TEST_F(DeviceTest, ResetDropsWhatIsOut) {
    ASSERT_TRUE(guest.start());
    device.holds = true;
    guest.send(0, kWord, 4);
    device.kick(0);
    ASSERT_EQ(device.held.size(), 1U);
    Chain old = std::move(device.held.front());
    ASSERT_TRUE(guest.start());
    device.complete(0, std::move(old), 4);
    device.end_batch(0);
    EXPECT_FALSE(guest.queue(0).take());
    EXPECT_EQ(guest.slot().interrupts[0], 0);
}

TEST_F(DeviceTest, AQueueIsResetAlone) {
    ASSERT_TRUE(guest.start());
    device.holds = true;
    guest.send(0, kWord, 4);
    device.kick(0);
    Chain old = std::move(device.held.front());
    device.held.clear();
    device.holds = false;
    device.reset_queue(0);
    EXPECT_THAT(device.queue_resets, ElementsAre(0));
    EXPECT_FALSE(device.queue_enabled(0));
    EXPECT_EQ(guest.request(1, kWord, 4), kWord);
    guest.make_queue(0);
    device.complete(0, std::move(old), 4);
    EXPECT_EQ(guest.request(0, kWord, 4), kWord);
}

TEST_F(DeviceTest, WithoutMemoryNothingIsTouched) {
    ASSERT_TRUE(guest.start());
    device.holds = true;
    guest.send(0, kWord, 4);
    device.kick(0);
    guest.slot().has_memory = false;
    device.complete(0, std::move(device.held.front()), 4);
    device.end_batch(0);
    device.kick(0);
    EXPECT_EQ(std::as_const(device).queue(0).outstanding(), 0U);
    EXPECT_FALSE(guest.queue(0).take());
    EXPECT_EQ(device.status() & kNeedsReset, 0);
}

TEST(DeviceLifetimeTest, DetachResets) {
    Echo device;
    {
        FakeGuest guest(device);
        ASSERT_TRUE(guest.start());
    }
    EXPECT_EQ(device.status(), 0);
    EXPECT_FALSE(device.queue_enabled(0));
    FakeGuest again(device);
    ASSERT_TRUE(again.start());
    EXPECT_EQ(again.request(0, kWord, 4), kWord);
}

}  // namespace
}  // namespace mimic::virtio
