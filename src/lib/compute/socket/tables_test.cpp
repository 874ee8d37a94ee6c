// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "compute/socket/in_flight.h"
#include "compute/socket/range_pool.h"

namespace mimic::compute {
namespace {

TEST(RangePool, PartsNeverOverlapAndAllComesBack) {
    std::mt19937 random(1);
    RangePool pool;
    pool.reset(1u << 16);
    std::vector<RangePool::Range> used;
    for (int step = 0; step < 20'000; ++step) {
        if (random() % 2 == 0) {
            const auto range = pool.take(1 + static_cast<uint32_t>(random() % 5000));
            if (!range) continue;
            ASSERT_LE(range->offset + range->length, 1u << 16);
            for (const auto& other : used)
                ASSERT_TRUE(range->offset >= other.offset + other.length ||
                            other.offset >= range->offset + range->length);
            used.push_back(*range);
        } else if (!used.empty()) {
            const size_t at = random() % used.size();
            pool.give_back(used[at]);
            used.erase(used.begin() + static_cast<std::ptrdiff_t>(at));
        }
    }
    for (const auto& range : used) pool.give_back(range);
    EXPECT_EQ(pool.free_bytes(), 1u << 16);
    const auto whole = pool.take(1u << 16);
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->offset, 0u);
    EXPECT_FALSE(pool.take(1));
}

TEST(RangePool, WhatCannotBeTaken) {
    RangePool pool;
    EXPECT_FALSE(pool.take(1));
    pool.reset(100);  // one unit
    EXPECT_FALSE(pool.take(0));
    EXPECT_FALSE(pool.take(65));
    EXPECT_FALSE(pool.take(0xffffffff));
    EXPECT_TRUE(pool.take(64));
}

TEST(InFlight, KeepsTheOrderAndItsCounts) {
    InFlight table;
    std::vector<uint64_t> ids;
    for (int i = 0; i < 4; ++i) ids.push_back(table.add(std::vector<std::byte>(10))->id);
    EXPECT_TRUE(std::ranges::is_sorted(ids));
    EXPECT_EQ(table.last_id(), ids.back());
    for (int i = 0; i < 3; ++i) table.sent(*table.first_queued());
    EXPECT_EQ(table.first_queued()->id, ids[3]);
    table.forget(*table.find(ids[1]));
    EXPECT_EQ(table.waiting(), 3u);
    EXPECT_EQ(table.with_mediator(), 3u);
    EXPECT_EQ(table.bytes(), 30u);
    table.remove(*table.find(ids[0]));
    EXPECT_EQ(table.find(ids[0]), nullptr);
    table.requeue();
    EXPECT_EQ(table.find(ids[1]), nullptr);  // nobody waited for it
    EXPECT_EQ(table.first_queued()->id, ids[2]);
    EXPECT_TRUE(table.first_queued()->again);
    EXPECT_FALSE(table.find(ids[3])->again);
    EXPECT_EQ(table.with_mediator(), 0u);
    EXPECT_EQ(table.bytes(), 20u);
    table.remove(*table.first_queued());
    EXPECT_EQ(table.first_queued()->id, ids[3]);
    table.remove(*table.first_queued());
    EXPECT_EQ(table.first(), nullptr);
    EXPECT_EQ(table.first_queued(), nullptr);
    EXPECT_EQ(table.bytes(), 0u);
}

TEST(InFlight, IdsAreNeverUsedTwiceAndThereIsALimit) {
    InFlight table;
    const uint64_t first = table.add({})->id;
    table.remove(*table.find(first));
    uint64_t last = first;
    for (size_t i = 0; i < InFlight::kMost; ++i) {
        const auto* const entry = table.add({});
        ASSERT_NE(entry, nullptr);
        EXPECT_GT(entry->id, last);
        last = entry->id;
    }
    EXPECT_EQ(table.add({}), nullptr);
    EXPECT_EQ(table.find(first), nullptr);
}

}  // namespace
}  // namespace mimic::compute
