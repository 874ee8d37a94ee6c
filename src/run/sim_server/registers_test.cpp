// SPDX-License-Identifier: Apache-2.0
// The registers of Linux SST's bare-metal devices, in virtual time.
#include "sim_server/registers.h"

#include <optional>

#include <gtest/gtest.h>

#include "base/testing/virtual_time.h"

namespace mimic::sim_server {
namespace {

class Registers : public ::testing::Test {
protected:
    std::unique_ptr<RegisterDevice> make(DeviceKind kind, double scale = 0) {
        RegisterOptions options;
        options.kind = kind;
        options.scale = scale;
        return RegisterDevice::create(options, time_);
    }
    static std::optional<uint64_t> read(RegisterDevice& device, uint64_t offset,
                                        unsigned size = 4) {
        std::optional<uint64_t> value;
        device.read(offset, size, [&](uint64_t got) { value = got; });
        return value;
    }
    VirtualTime time_;
};

TEST_F(Registers, EchoGivesBackTheWord) {
    const auto echo = make(DeviceKind::kEcho);
    echo->write(0x0, 4, 0x12345678);
    EXPECT_EQ(read(*echo, 0x8), 2u);
    EXPECT_EQ(read(*echo, 0x4), 0x12345678u);
    EXPECT_EQ(read(*echo, 0x4, 1), 0x78u);
    echo->write(0xc, 4, 1);
    EXPECT_EQ(read(*echo, 0x8), 0u);
    EXPECT_EQ(read(*echo, 0x4), 0u);
    EXPECT_EQ(read(*echo, 0xff0), 0u);
}

TEST_F(Registers, HoldsReadsOfTheResultUntilItsTime) {
    const auto echo = make(DeviceKind::kEcho, 1.0);
    echo->write(0x0, 4, 7);
    EXPECT_EQ(read(*echo, 0x8), 1u);
    std::optional<uint64_t> value;
    echo->read(0x4, 4, [&](uint64_t got) { value = got; });
    time_.advance(Duration(9));
    EXPECT_FALSE(value);
    time_.advance(Duration(1));  // ten cycles of 1 ns
    EXPECT_EQ(value, 7u);
    EXPECT_EQ(read(*echo, 0x8), 2u);
}

TEST_F(Registers, AResetEndsTheOperationAndItsReader) {
    const auto echo = make(DeviceKind::kEcho, 1.0);
    echo->write(0x0, 4, 7);
    std::optional<uint64_t> value;
    echo->read(0x4, 4, [&](uint64_t got) { value = got; });
    echo->write(0xc, 4, 1);
    EXPECT_EQ(value, 0u);
    time_.advance(Duration(100));
    EXPECT_EQ(read(*echo, 0x8), 0u);
}

TEST_F(Registers, ComputeKnowsFourOperations) {
    const auto compute = make(DeviceKind::kCompute);
    const auto result = [&](uint32_t operation, uint32_t a, uint32_t b) {
        compute->write(0x0, 4, a);
        compute->write(0x4, 4, b);
        compute->write(0x8, 4, operation);
        compute->write(0x14, 4, 2);
        return read(*compute, 0xc);
    };
    EXPECT_EQ(result(0, 5, 3), 8u);
    EXPECT_EQ(result(1, 5, 3), 2u);
    EXPECT_EQ(result(2, 5, 3), 15u);
    EXPECT_EQ(result(3, 15, 3), 5u);
    EXPECT_EQ(read(*compute, 0x10), 2u);
    EXPECT_EQ(result(3, 15, 0), 0u);
    EXPECT_EQ(read(*compute, 0x10), 4u);  // error
    EXPECT_EQ(result(9, 15, 3), 0u);
    EXPECT_EQ(read(*compute, 0x10), 4u);
}

TEST_F(Registers, ComputeTakesOneOperationAtATime) {
    const auto compute = make(DeviceKind::kCompute, 1.0);
    compute->write(0x0, 8, 4 | uint64_t{5} << 32);
    compute->write(0x14, 4, 2);
    time_.advance(Duration(99));
    compute->write(0x14, 4, 2);  // ignored, and does not begin anew
    EXPECT_EQ(read(*compute, 0x10), 1u);
    time_.advance(Duration(1));
    EXPECT_EQ(read(*compute, 0x10), 2u);
    EXPECT_EQ(read(*compute, 0xc), 9u);
    EXPECT_EQ(read(*compute, 0x0, 8), 4 | uint64_t{5} << 32);
}

TEST_F(Registers, APeersWordArrives) {
    const auto one = make(DeviceKind::kCompute);
    const auto two = make(DeviceKind::kCompute);
    one->set_peer(two.get());
    one->write(0x18, 4, 77);
    EXPECT_EQ(read(*two, 0x10), 8u);
    EXPECT_EQ(read(*two, 0x1c), 77u);
    EXPECT_EQ(read(*two, 0x10), 0u);
}

}  // namespace
}  // namespace mimic::sim_server
