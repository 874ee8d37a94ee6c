// SPDX-License-Identifier: Apache-2.0
// Events: of completions, of the simulator, masked, and more than there are buffers for.
#include "devices/virtio_sst/test_bench.h"

namespace mimic::virtio_sst {
namespace {

void set_mask(Bench& bench, uint64_t mask, uint64_t expected_before) {
    SSTRequest request = Bench::request(SST_REQ_CONFIGURE);
    request.payload.config.param_id = SST_PARAM_EVENT_MASK;
    request.payload.config.value = mask;
    const auto answer = bench.ask(request);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->response.status, SST_STATUS_OK);
    EXPECT_EQ(answer->response.result, expected_before);
}

TEST(Events, CompletionOfWhoAskedForIt) {
    Bench bench;
    bench.give_event_buffers(4);
    SSTRequest request = Bench::request(SST_REQ_COMPUTE, 42);
    bench.send(request, 0);
    request.flags = SST_FLAG_EVENT;
    bench.send(request, 1);
    bench.simulator->latency = 3'000'000;
    bench.simulator->answer(0);
    EXPECT_FALSE(bench.take_event());
    bench.simulator->answer(0);
    const auto event = bench.take_event();
    ASSERT_TRUE(event);
    EXPECT_EQ(event->type, SST_EVENT_COMPLETION);
    EXPECT_EQ(event->data, 42u);
    EXPECT_EQ(event->timestamp, 3'000u);
}

TEST(Events, OfTheSimulatorWaitForBuffers) {
    Bench bench;
    for (uint64_t i = 0; i < 3; ++i)
        bench.simulator->observer->on_event({SST_EVENT_NOTIFICATION, 0, i, SST_NOTICE_USER + i});
    EXPECT_FALSE(bench.take_event());
    EXPECT_TRUE(bench.device->at_work());
    bench.give_event_buffers(3);
    for (uint64_t i = 0; i < 3; ++i) {
        const auto event = bench.take_event();
        ASSERT_TRUE(event);
        EXPECT_EQ(event->data, SST_NOTICE_USER + i);
    }
    EXPECT_FALSE(bench.device->at_work());
}

TEST(Events, TheBacklogIsBounded) {
    Bench bench;
    for (uint64_t i = 0; i < kMaxEventBacklog + 10; ++i)
        bench.simulator->observer->on_event({SST_EVENT_NOTIFICATION, 0, 0, i});
    const reg::Snapshot state = bench.device->registers().snapshot();
    EXPECT_EQ(state.values.at("EVENTS_DROPPED"), 10u);
    EXPECT_EQ(state.values.at("EVENTS"), 0u);
}

TEST(Events, MaskIsPerType) {
    Bench bench;
    bench.give_event_buffers(8);
    set_mask(bench, 1u << SST_EVENT_ERROR, ~uint64_t{0});
    bench.simulator->observer->on_event({SST_EVENT_NOTIFICATION, 0, 0, 1});
    bench.simulator->observer->on_event({SST_EVENT_ERROR, 0, 0, 2});
    bench.simulator->observer->on_event({99, 0, 0, 3});
    EXPECT_EQ(bench.take_event()->data, 2u);
    EXPECT_FALSE(bench.take_event());
    // RESET lets all through again, beginning with its own.
    bench.ask(Bench::request(SST_REQ_RESET));
    EXPECT_EQ(bench.take_event()->data, SST_NOTICE_RESET);
    set_mask(bench, 0, ~uint64_t{0});
}

TEST(Events, NotWithoutTheFeature) {
    Bench bench({}, {.features = virtio::feature(SST_F_COMPUTE)});
    bench.give_event_buffers(1);
    bench.simulator->observer->on_event({SST_EVENT_NOTIFICATION, 0, 0, 1});
    EXPECT_FALSE(bench.take_event());
    EXPECT_FALSE(bench.device->at_work());
}

TEST(Events, SmallBuffersGetWhatFits) {
    Bench bench;
    bench.guest->send(SST_EVENT_QUEUE, {}, 8, 0xf0000);
    bench.simulator->observer->on_event({SST_EVENT_NOTIFICATION, 0, 0, 1});
    const auto used = bench.guest->queue(SST_EVENT_QUEUE).take();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->written, 8u);
}

}  // namespace
}  // namespace mimic::virtio_sst
