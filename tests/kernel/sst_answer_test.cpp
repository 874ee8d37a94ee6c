// SPDX-License-Identifier: Apache-2.0
// What kernel/virtio-sst checks of requests and answers, and its ring of events: the module's own
// files, in user space under sanitizers.
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

extern "C" {
#include "sst_answer.h"
#include "sst_ring.h"
}

namespace {

u32 bytes_of(u32 type, u32 size = 0) {
    SSTRequest request{};
    request.type = type;
    request.payload.memory.size = size;
    return sst_request_bytes(&request);
}

TEST(SstAnswer, OnlyBytesThatSaySomethingAreSent) {
    EXPECT_EQ(bytes_of(SST_REQ_NOOP), 24u);
    EXPECT_EQ(bytes_of(SST_REQ_RESET, ~0u), 24u);
    EXPECT_EQ(bytes_of(SST_REQ_GET_INFO), 24u);
    EXPECT_EQ(bytes_of(SST_REQ_COMPUTE), 40u);
    EXPECT_EQ(bytes_of(SST_REQ_READ, 4080), 40u);
    EXPECT_EQ(bytes_of(SST_REQ_CONFIGURE), 40u);
    EXPECT_EQ(bytes_of(SST_REQ_ECHO), 4104u);
}

TEST(SstAnswer, AWriteBringsItsData) {
    EXPECT_EQ(bytes_of(SST_REQ_WRITE, 0), 40u);
    EXPECT_EQ(bytes_of(SST_REQ_WRITE, 1), 41u);
    EXPECT_EQ(bytes_of(SST_REQ_WRITE, 4064), 4104u);
    EXPECT_EQ(bytes_of(SST_REQ_WRITE, 4065), 4104u) << "too long: all, and the device refuses it";
    EXPECT_EQ(bytes_of(SST_REQ_WRITE, ~0u), 4104u);
}

TEST(SstAnswer, AnUnknownTypeIsSentWhole) {
    for (const u32 type : {8u, 4711u, ~0u}) EXPECT_EQ(bytes_of(type), 4104u);
}

TEST(SstAnswer, AnAnswerIsRead) {
    SSTResponse response{};
    response.status = SST_STATUS_BUSY;
    response.request_id = 7;
    response.result = 1ull << 40;
    sst_answer answer{};
    EXPECT_EQ(sst_answer_read(&answer, &response, 32, 7), 0);
    EXPECT_EQ(answer.status, u32{SST_STATUS_BUSY});
    EXPECT_EQ(answer.result, 1ull << 40);
}

TEST(SstAnswer, OneThatIsTooShortOrSomebodyElsesIsNone) {
    // Exactly what may be read, so that a sanitizer sees more than that.
    const std::unique_ptr<u8[]> bytes(new u8[SST_RESPONSE_HEADER_SIZE]{});
    sst_answer answer{};
    EXPECT_EQ(sst_answer_read(&answer, bytes.get(), 31, 0), -EIO);
    EXPECT_EQ(sst_answer_read(&answer, bytes.get(), 0, 0), -EIO);
    EXPECT_EQ(sst_answer_read(&answer, bytes.get(), 32, 1), -EIO);
    EXPECT_EQ(sst_answer_read(&answer, bytes.get(), ~0u, 0), 0);
}

TEST(SstAnswer, TimingFollowsAWholeResponse) {
    EXPECT_FALSE(sst_answer_has_timing(0));
    EXPECT_FALSE(sst_answer_has_timing(4112));
    EXPECT_FALSE(sst_answer_has_timing(4127));
    EXPECT_TRUE(sst_answer_has_timing(4128));
}

TEST(SstAnswer, PartsOfABuffer) {
    EXPECT_TRUE(sst_span_is_valid(0, 24, 24, 4104, 8, 4096));
    EXPECT_TRUE(sst_span_is_valid(4072, 24, 24, 4104, 8, 4096));
    EXPECT_FALSE(sst_span_is_valid(4080, 24, 24, 4104, 8, 4096)) << "past the end";
    EXPECT_FALSE(sst_span_is_valid(4, 24, 24, 4104, 8, 4096)) << "alignment";
    EXPECT_FALSE(sst_span_is_valid(0, 23, 24, 4104, 8, 4096)) << "too short";
    EXPECT_FALSE(sst_span_is_valid(0, 4105, 24, 4104, 8, 8192)) << "too long";
    EXPECT_FALSE(sst_span_is_valid(~u64{0} - 7, 24, 24, 4104, 8, 4096)) << "wraps";
    EXPECT_FALSE(sst_span_is_valid(8192, 24, 24, 4104, 8, 4096));
    EXPECT_FALSE(sst_span_is_valid(0, 24, 24, 4104, 8, 0)) << "no buffer";
}

/// A valid part never reaches past its buffer, whatever was asked.
TEST(SstAnswer, NoPartReachesPastItsBuffer) {
    std::mt19937_64 random(20261129);  // arbitrary
    int valid = 0;
    for (int i = 0; i < 200'000; ++i) {
        const u64 size = 4096 * (random() % 8);
        const u64 offset = random() >> (random() % 64);
        const u32 bytes = static_cast<u32>(random() >> (32 + random() % 32));
        if (!sst_span_is_valid(offset, bytes, 32, 4112, 32, size)) continue;
        ++valid;
        ASSERT_LE(offset, size);
        ASSERT_LE(bytes, size - offset);
        ASSERT_LE(offset / 4096, (offset + 31) / 4096);
        ASSERT_EQ(offset / 4096, (offset + 31) / 4096) << "the header lies across pages";
    }
    EXPECT_GT(valid, 100);
}

SSTEvent event(u64 data) {
    return {SST_EVENT_NOTIFICATION, 0, data * 10, data};
}

TEST(SstRing, EventsComeOutAsTheyWentIn) {
    const auto ring = std::make_unique<sst_ring>();
    SSTEvent taken{};
    EXPECT_TRUE(sst_ring_is_empty(ring.get()));
    EXPECT_FALSE(sst_ring_take(ring.get(), &taken));
    for (u64 i = 0; i < 3; ++i) {
        const SSTEvent put = event(i);
        sst_ring_put(ring.get(), &put);
    }
    for (u64 i = 0; i < 3; ++i) {
        ASSERT_TRUE(sst_ring_take(ring.get(), &taken));
        EXPECT_EQ(taken.data, i);
        EXPECT_EQ(taken.timestamp, i * 10);
    }
    EXPECT_TRUE(sst_ring_is_empty(ring.get()));
}

/// Against a model, over the wrap of its numbers.
TEST(SstRing, NewEventsReplaceTheOldest) {
    std::mt19937 random(20261130);  // arbitrary
    const auto ring = std::make_unique<sst_ring>();
    ring->written = ring->read = ~u32{0} - 1000;
    std::deque<u64> model;
    u64 lost = 0, next = 0;
    for (int step = 0; step < 100'000; ++step) {
        // Long runs of one kind, so that it is full and empty at times.
        if ((step / 700) % 2 == 0 ? random() % 4 != 0 : random() % 4 == 0) {
            const SSTEvent put = event(next);
            sst_ring_put(ring.get(), &put);
            model.push_back(next++);
            if (model.size() > SST_RING_EVENTS) {
                model.pop_front();
                ++lost;
            }
        } else {
            SSTEvent taken{};
            ASSERT_EQ(sst_ring_take(ring.get(), &taken), !model.empty());
            if (model.empty()) continue;
            ASSERT_EQ(taken.data, model.front());
            model.pop_front();
        }
        ASSERT_EQ(ring->lost, lost);
        ASSERT_EQ(sst_ring_is_empty(ring.get()), model.empty());
    }
    EXPECT_GT(lost, 0u);
}

}  // namespace
