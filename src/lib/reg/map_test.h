// SPDX-License-Identifier: Apache-2.0
// The test that every register map must pass. A device's test file gets it with one line at
// namespace scope, and links GoogleTest and mimic::reg:
//
//   MIMIC_MAP_TEST(Adder, adder::kMap);
//
// It drives a bare bank without a device, so no hook is bound and per-device fields are zero.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "reg/bank.h"
#include "reg/map.h"

namespace mimic::reg {

/// Fixture and helpers. `visit` of for_each() runs for every element of every register.
class MapTest : public testing::TestWithParam<const MapView*> {
protected:
    void for_each(const std::function<void(const RegisterInfo&, uint32_t)>& visit) {
        for (const RegisterInfo& info : GetParam()->registers) {
            for (uint32_t i = 0; i < info.elements; ++i) {
                SCOPED_TRACE(element_name(info, i));
                visit(info, i);
            }
        }
    }

    uint64_t guest_read(const RegisterInfo& info, uint32_t index) {
        uint8_t bytes[8] = {};
        bank_.read(info.offset(index), {bytes, info.width_bytes});
        return from_bytes(bytes, info.width_bytes);
    }

    void guest_write(const RegisterInfo& info, uint32_t index, uint64_t value) {
        uint8_t bytes[8] = {};
        for (unsigned b = 0; b < 8; ++b) bytes[b] = static_cast<uint8_t>(value >> (8 * b));
        bank_.write(info.offset(index), {bytes, info.width_bytes});
    }

    static uint64_t from_bytes(const uint8_t* bytes, unsigned size) {
        uint64_t value = 0;
        for (unsigned b = 0; b < size; ++b) value |= uint64_t{bytes[b]} << (8 * b);
        return value;
    }

    static uint64_t all_ones(const RegisterInfo& info) {
        return ~uint64_t{0} >> (64 - info.reg->width);
    }

    uint8_t filler() const { return GetParam()->options.unmapped == Unmapped::kOnes ? 0xff : 0x00; }

    BankCore bank_{*GetParam(), "map-test"};
};

TEST_P(MapTest, ResetValuesAreThoseOfTheTable) {
    for_each([&](const RegisterInfo& info, uint32_t i) {
        EXPECT_EQ(guest_read(info, i), info.reset & info.readable);
        bank_.store(info, i, ~uint64_t{0});
    });
    bank_.reset();
    for_each([&](const RegisterInfo& info, uint32_t i) {
        EXPECT_EQ(bank_.load(info, i), info.reset | info.per_device);
    });
}

TEST_P(MapTest, WritesChangeOnlyWhatAccessKindsAllow) {
    for_each([&](const RegisterInfo& info, uint32_t i) {
        for (const uint64_t before : {uint64_t{0}, ~uint64_t{0}}) {
            for (const uint64_t written : {uint64_t{0}, ~uint64_t{0}}) {
                bank_.store(info, i, before);
                guest_write(info, i, written);
                const uint64_t ignored = info.stored &
                                         ~(info.direct | info.clear_ones | info.set_ones);
                uint64_t expected = (before & ignored) | (written & info.direct);
                expected |= before & info.clear_ones & ~written;
                expected |= (before | written) & info.set_ones;
                EXPECT_EQ(bank_.load(info, i), expected);
            }
        }
    });
}

TEST_P(MapTest, ReservedAndWriteOnlyBitsReadZero) {
    for_each([&](const RegisterInfo& info, uint32_t i) {
        guest_write(info, i, ~uint64_t{0});
        bank_.store(info, i, ~uint64_t{0});
        EXPECT_EQ(guest_read(info, i), info.readable);
    });
}

TEST_P(MapTest, ReadingClearsClearOnReadBitsOnly) {
    for_each([&](const RegisterInfo& info, uint32_t i) {
        bank_.store(info, i, ~uint64_t{0});
        guest_read(info, i);
        EXPECT_EQ(bank_.load(info, i), info.stored & ~info.clear_on_read);
    });
}

TEST_P(MapTest, DebugReadShowsTheWholeMapAndChangesNothing) {
    for_each([&](const RegisterInfo& info, uint32_t i) { bank_.store(info, i, ~uint64_t{0}); });
    std::vector<uint8_t> image(static_cast<size_t>(GetParam()->extent()) + 16);
    bank_.debug_read(0, image);
    for_each([&](const RegisterInfo& info, uint32_t i) {
        EXPECT_EQ(from_bytes(&image[info.offset(i)], info.width_bytes), info.readable);
        EXPECT_EQ(bank_.load(info, i), info.stored);
    });
    EXPECT_EQ(image.back(), filler());
    EXPECT_EQ(bank_.counters().undecodable_reads, 0U);
}

TEST_P(MapTest, EveryElementHasItsOwnStorage) {
    uint64_t n = 0;
    for_each([&](const RegisterInfo& info, uint32_t i) {
        bank_.store(info, i, ++n * 0x9e3779b97f4a7c15);
    });
    n = 0;
    for_each([&](const RegisterInfo& info, uint32_t i) {
        EXPECT_EQ(bank_.load(info, i), (++n * 0x9e3779b97f4a7c15) & info.stored);
    });
}

TEST_P(MapTest, AnyOffsetAndSizeIsAnswered) {
    const uint64_t extent = GetParam()->extent();
    const uint64_t step = extent > 4096 ? 61 : 1;  // arbitrary prime, to bound the time of large
                                                   // maps
    for (uint64_t offset = 0; offset < extent + 32; offset += step) {
        for (size_t size = 0; size <= 17; ++size) {
            std::vector<uint8_t> data(size, 0x5a);
            bank_.write(offset, data);
            bank_.read(offset, data);
        }
    }
    for (const uint64_t offset : {~uint64_t{0}, ~uint64_t{0} - 3, uint64_t{1} << 63, extent}) {
        std::vector<uint8_t> data(8, 0x5a);
        bank_.write(offset, data);
        const uint64_t reads = bank_.counters().undecodable_reads;
        bank_.read(offset, data);
        EXPECT_EQ(data, std::vector<uint8_t>(8, filler())) << offset;
        EXPECT_EQ(bank_.counters().undecodable_reads, reads + 1) << offset;
    }
}

TEST_P(MapTest, StraddlingAccessesFollowTheNarrowPolicy) {
    for_each([&](const RegisterInfo& info, uint32_t i) {
        if (info.width_bytes == 1) return;
        bank_.store(info, i, ~uint64_t{0});
        uint8_t byte = 0;
        bank_.read(info.offset(i) + 1, {&byte, 1});
        const bool merges = GetParam()->options.narrow == Narrow::kByteMerge;
        EXPECT_EQ(byte, merges ? (info.readable >> 8) & 0xff : filler());
    });
}

TEST_P(MapTest, SnapshotRestoresEveryValueAndRefusesOtherMaps) {
    for_each(
        [&](const RegisterInfo& info, uint32_t i) { bank_.store(info, i, 0x5a5a5a5a5a5a5a5a); });
    Snapshot saved = bank_.snapshot();
    for_each([&](const RegisterInfo& info, uint32_t i) {
        bank_.store(info, i, 0x5a5a5a5a5a5a5a5a & info.per_device);
    });
    ASSERT_TRUE(bank_.restore(saved).has_value());
    for_each([&](const RegisterInfo& info, uint32_t i) {
        EXPECT_EQ(bank_.load(info, i), 0x5a5a5a5a5a5a5a5a & info.stored);
    });
    saved.map_hash ^= 1;
    EXPECT_FALSE(bank_.restore(saved).has_value());
}

}  // namespace mimic::reg

/// Runs all of the above on `map`, as MapTest of suite `suite`. At most one use of a suite name per
/// program.
#define MIMIC_MAP_TEST(suite, map)                                               \
    static constexpr ::mimic::reg::MapView kMapTest##suite = (map).view();       \
    namespace mimic::reg {                                                       \
    INSTANTIATE_TEST_SUITE_P(suite, MapTest, testing::Values(&kMapTest##suite)); \
    }                                                                            \
    static_assert((map).valid())
