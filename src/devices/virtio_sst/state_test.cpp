// SPDX-License-Identifier: Apache-2.0
// Registers, counters, requests as tools see them, and a state that is put into another device.
#include "devices/virtio_sst/test_bench.h"
#include "reg/map_test.h"

namespace mimic::reg {
MIMIC_MAP_TEST(VirtioSst, virtio_sst::kMap);
}  // namespace mimic::reg

namespace mimic::virtio_sst {
namespace {

SSTRequest configure(uint32_t param, uint64_t value) {
    SSTRequest request = Bench::request(SST_REQ_CONFIGURE);
    request.payload.config.param_id = param;
    request.payload.config.value = value;
    return request;
}

uint64_t counter(const VirtioSst& device, std::string_view name) {
    for (const virtio::Counter& one : device.counters())
        if (one.name == "model_" + std::string(name)) return one.value;
    ADD_FAILURE() << "no counter " << name;
    return 0;
}

TEST(State, GoesOnInAnotherDevice) {
    Bench first;
    first.simulator->at_once = true;
    first.ask(configure(SST_PARAM_UNITS, 8));
    first.ask(configure(SST_PARAM_CLOCK_HZ, 2'000'000'000));
    first.ask(configure(SST_PARAM_EVENT_MASK, 5));
    const reg::Snapshot saved = first.device->registers().snapshot();

    Bench second;
    const Status restored = second.device->restore(saved);
    ASSERT_TRUE(restored) << restored.error().message();
    ASSERT_EQ(second.simulator->held.size(), 2u);
    EXPECT_EQ(second.simulator->held[0].request.payload.config.param_id, SST_PARAM_CLOCK_HZ);
    EXPECT_EQ(second.simulator->held[0].request.payload.config.value, 2'000'000'000u);
    EXPECT_EQ(second.simulator->held[1].request.payload.config.param_id, SST_PARAM_UNITS);
    EXPECT_EQ(second.device->registers().snapshot().values, saved.values);
    EXPECT_EQ(second.ask(configure(SST_PARAM_EVENT_MASK, 5))->response.result, 5u);
}

TEST(State, OfRequestsInFlightIsNone) {
    Bench first;
    first.send(Bench::request(SST_REQ_COMPUTE));
    EXPECT_TRUE(first.device->at_work());
    Bench second;
    const Status restored = second.device->restore(first.device->registers().snapshot());
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code(), std::errc::not_supported);
}

TEST(State, OfAnotherDeviceIsRefused) {
    Bench one;
    Bench four({.pairs = 4});
    EXPECT_FALSE(four.device->restore(one.device->registers().snapshot()));
    reg::Snapshot saved = one.device->registers().snapshot();
    saved.map_hash ^= 1;
    EXPECT_FALSE(one.device->restore(saved));
}

TEST(State, AParameterThatTheSimulatorRefusedIsNotKept) {
    Bench bench;
    bench.send(configure(SST_PARAM_UNITS, 0));
    bench.simulator->answer(0, SST_STATUS_INVALID);
    EXPECT_EQ(bench.device->registers().snapshot().values.at("PARAMETERS_SET"), 0u);
}

TEST(Counters, TellOfRequestsAndQueues) {
    Bench bench({.pairs = 2});
    bench.ask(Bench::request(SST_REQ_NOOP));
    bench.ask(Bench::request(99));
    bench.send(Bench::request(SST_REQ_COMPUTE), 0, 3);
    EXPECT_EQ(counter(*bench.device, "requests"), 3u);
    EXPECT_EQ(counter(*bench.device, "responses"), 2u);
    EXPECT_EQ(counter(*bench.device, "request_errors"), 1u);
    EXPECT_EQ(bench.device->in_flight(), 1u);
    EXPECT_EQ(counter(*bench.device, "queue0_buffers"), 2u);
    EXPECT_EQ(counter(*bench.device, "queue3_buffers"), 1u);
    EXPECT_EQ(counter(*bench.device, "queue3_kicks"), 1u);
    ASSERT_TRUE(bench.guest->start());
    EXPECT_EQ(counter(*bench.device, "requests"), 3u) << "a reset resets no counter";
}

TEST(Slices, SayWhenARequestBeganAndEnded) {
    struct Observer final : virtio::RequestObserver {
        void on_request(const virtio::RequestSlice& slice) override {
            names.emplace_back(slice.name);
            last = slice;
        }
        std::vector<std::string> names;
        virtio::RequestSlice last;
    } observer;
    Bench bench({.pairs = 2});
    bench.device->set_request_observer(&observer);
    bench.ask(Bench::request(SST_REQ_NOOP));
    bench.send(Bench::request(SST_REQ_COMPUTE, 42), 0, 3);
    bench.simulator->time = 1'000'000;
    bench.simulator->latency = 2'000'000;
    bench.simulator->answer(0, SST_STATUS_BUSY);
    EXPECT_THAT(observer.names, testing::ElementsAre("NOOP", "COMPUTE"));
    EXPECT_EQ(observer.last.queue, 3);
    EXPECT_EQ(observer.last.id, 42u);
    EXPECT_EQ(observer.last.status, SST_STATUS_BUSY);
    EXPECT_EQ(observer.last.begun_ns, 1000u);
    EXPECT_EQ(observer.last.ended_ns, 3000u);
}

}  // namespace
}  // namespace mimic::virtio_sst
