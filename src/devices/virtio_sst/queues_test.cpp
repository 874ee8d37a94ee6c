// SPDX-License-Identifier: Apache-2.0
// Queue pairs, response queues, and resets of queues and device with requests in flight.
#include "devices/virtio_sst/test_bench.h"

namespace mimic::virtio_sst {
namespace {

TEST(Pairs, EachAnswersItsOwn) {
    Bench bench({.pairs = 4});
    ASSERT_EQ(bench.device->queue_count(), 9);
    for (const uint16_t queue : Bench::kRequestQueues)
        bench.send(Bench::request(SST_REQ_COMPUTE, queue), queue, queue);
    ASSERT_EQ(bench.simulator->held.size(), 4u);
    for (int i = 0; i < 4; ++i) bench.simulator->answer(bench.simulator->held.size() - 1);
    for (const uint16_t queue : Bench::kRequestQueues) {
        const auto answer = bench.take(queue);
        ASSERT_TRUE(answer) << queue;
        EXPECT_EQ(answer->response.request_id, queue);
        EXPECT_FALSE(bench.take(queue));
    }
}

TEST(Pairs, FeaturesSayHowManyThereAre) {
    Bench one;
    EXPECT_EQ(one.device->offered_features() & virtio::feature(SST_F_MULTI_QUEUE), 0u);
    Bench four({.device_id = 3, .pairs = 4});
    EXPECT_NE(four.device->offered_features() & virtio::feature(SST_F_MULTI_QUEUE), 0u);
    SSTConfig config{};
    four.device->config_read(0, {reinterpret_cast<uint8_t*>(&config), sizeof config});
    EXPECT_EQ(config.version, 0x00010000u);
    EXPECT_EQ(config.device_id, 3u);
    EXPECT_EQ(config.features, 0x7fu);
    EXPECT_EQ(config.max_queues, 4u);
    std::array<uint8_t, 64> more{};
    four.device->config_read(0, more);
    EXPECT_TRUE(std::all_of(more.begin() + sizeof config, more.end(), [](uint8_t byte) {
        return byte == 0;
    })) << "what tools see is not the guest's";
}

class Unroomy : public testing::Test {
protected:
    void give_response_buffer(uint32_t slot) {
        const auto id = bench_.guest->send(SST_RESPONSE_QUEUE, {}, Bench::kRoom,
                                           slot * Bench::kSlot + sizeof(SSTRequest));
        if (id) bench_.slots[{SST_RESPONSE_QUEUE, *id}] = slot;
    }
    Bench bench_;
};

TEST_F(Unroomy, RequestsAreAnsweredOnTheResponseQueue) {
    give_response_buffer(8);
    bench_.send(Bench::request(SST_REQ_NOOP, 42), 0, 0, 0);
    const auto request = bench_.guest->queue(0).take();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->written, 0u);
    const auto answer = bench_.take(SST_RESPONSE_QUEUE);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->response.request_id, 42u);
    EXPECT_EQ(answer->written, Bench::kRoom);
}

TEST_F(Unroomy, AnswersWaitForBuffersInOrder) {
    for (uint32_t i = 0; i < 3; ++i) bench_.send(Bench::request(SST_REQ_NOOP, i), i, 0, 0);
    EXPECT_FALSE(bench_.guest->queue(0).take()) << "the request's buffer is held until then";
    for (uint32_t i = 0; i < 3; ++i) {
        give_response_buffer(8 + i);
        const auto answer = bench_.take(SST_RESPONSE_QUEUE);
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->response.request_id, i);
        EXPECT_TRUE(bench_.guest->queue(0).take());
    }
}

TEST_F(Unroomy, AResetForgetsThem) {
    bench_.send(Bench::request(SST_REQ_NOOP, 1), 0, 0, 0);
    ASSERT_TRUE(bench_.guest->start());
    give_response_buffer(8);
    EXPECT_FALSE(bench_.take(SST_RESPONSE_QUEUE));
}

TEST(Resets, OfTheDeviceForgetWhatIsInFlight) {
    Bench bench;
    for (uint32_t i = 0; i < 8; ++i) bench.send(Bench::request(SST_REQ_COMPUTE, i), i);
    auto old = bench.simulator->held;
    ASSERT_TRUE(bench.guest->start());
    EXPECT_EQ(bench.device->in_flight(), 0u);
    EXPECT_EQ(bench.simulator->in_flight(), 0u);
    // A simulator that answers all the same harms nobody.
    const SSTResponse response{};
    for (const auto& one : old) one.done({response, 0, 0});
    EXPECT_FALSE(bench.take());
    EXPECT_EQ(bench.ask(Bench::request(SST_REQ_NOOP, 9))->response.request_id, 9u);
}

TEST(Resets, OfAQueueLeaveTheOthers) {
    Bench bench({.pairs = 2});
    bench.send(Bench::request(SST_REQ_COMPUTE, 1), 0, 0);
    bench.send(Bench::request(SST_REQ_COMPUTE, 2), 1, 3);
    bench.device->reset_queue(0);
    bench.guest->make_queue(0);
    bench.simulator->answer(0);
    EXPECT_FALSE(bench.take(0)) << "the buffer is the driver's again";
    bench.simulator->answer(0);
    EXPECT_EQ(bench.take(3)->response.request_id, 2u);
    EXPECT_EQ(bench.ask(Bench::request(SST_REQ_NOOP, 3))->response.request_id, 3u);
}

TEST(Resets, DetachWithRequestsInFlight) {
    Bench bench;
    for (uint32_t i = 0; i < 4; ++i) bench.send(Bench::request(SST_REQ_COMPUTE, i), i);
    bench.guest.reset();
    EXPECT_EQ(bench.device->in_flight(), 0u);
    EXPECT_EQ(bench.device->simulator(), nullptr);
}

TEST(Turns, KicksAreNotWantedWhileRequestsAreServed) {
    Bench bench({}, {.queue_size = 64, .event_index = false});
    bench.simulator->at_once = true;
    unsigned kicks = 0;
    for (uint32_t i = 0; i < 16; ++i) {
        std::vector<virtio::Segment> readable{{virtio::FakeGuest::kData, sizeof(SSTRequest)}};
        std::vector<virtio::Segment> writable{{virtio::FakeGuest::kData + 8192, Bench::kRoom}};
        ASSERT_TRUE(bench.guest->queue(0).add(readable, writable));
    }
    if (bench.guest->queue(0).wants_kick()) {
        ++kicks;
        bench.device->kick(0);
    }
    unsigned answers = 0;
    while (bench.guest->queue(0).take()) ++answers;
    EXPECT_EQ(answers, 16u);
    EXPECT_EQ(kicks, 1u);
    EXPECT_EQ(bench.guest->slot().interrupts[0], 1) << "one for all";
    EXPECT_TRUE(bench.guest->queue(0).wants_kick()) << "and the next one is";
}

}  // namespace
}  // namespace mimic::virtio_sst
