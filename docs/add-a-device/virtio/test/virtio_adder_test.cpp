// SPDX-License-Identifier: Apache-2.0
// The unit test of the toy virtio device: FakeGuest is its transport, its memory and its driver.
#include "virtio_adder.h"

#include <gtest/gtest.h>

#include "virtio/testing/fake_guest.h"

namespace adder {
namespace {

class VirtioAdderTest : public testing::TestWithParam<bool> {
protected:
    void SetUp() override { ASSERT_TRUE(guest.start({.packed = GetParam()})); }

    VirtioAdder device{"adder0"};
    mimic::virtio::FakeGuest guest{device};
};

TEST_P(VirtioAdderTest, AddsTheWordsOfABuffer) {
    const std::vector<uint8_t> words{1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
    const auto answer = guest.request(0, words, 8);
    EXPECT_EQ(answer, (std::vector<uint8_t>{2, 0, 0, 0, 1, 0, 0, 0}));
    EXPECT_EQ(guest.slot().interrupts[0], 1);
}

TEST_P(VirtioAdderTest, WritesNoMoreThanThereIsRoomFor) {
    const std::vector<uint8_t> word{7, 0, 0, 0};
    EXPECT_EQ(guest.request(0, word, 1), std::vector<uint8_t>{7});
    EXPECT_EQ(guest.request(0, word, 0), std::vector<uint8_t>{});
}

TEST_P(VirtioAdderTest, BuffersBeyondMemoryNeedAReset) {
    guest.queue(0).add({{0xffff'0000'0000, 4}}, {});
    device.kick(0);
    EXPECT_NE(device.status() & mimic::virtio::kNeedsReset, 0);
}

TEST_P(VirtioAdderTest, SaysHowMuchItAdds) {
    std::vector<uint8_t> config(4);
    device.config_read(0, config);
    EXPECT_EQ(config, (std::vector<uint8_t>{0, 0x10, 0, 0}));
}

INSTANTIATE_TEST_SUITE_P(Rings, VirtioAdderTest, testing::Bool());

}  // namespace
}  // namespace adder
