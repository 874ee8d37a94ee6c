// SPDX-License-Identifier: Apache-2.0
// What is answered by the device, and what by a simulator.
#include "devices/virtio_sst/test_bench.h"

namespace mimic::virtio_sst {
namespace {

TEST(Requests, NoopIsAnsweredByTheDevice) {
    Bench bench;
    const auto answer = bench.ask(Bench::request(SST_REQ_NOOP, 42));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->response.status, SST_STATUS_OK);
    EXPECT_EQ(answer->response.request_id, 42u);
    EXPECT_EQ(answer->response.user_data, 0x1234u);
    EXPECT_EQ(answer->written, Bench::kRoom);
    EXPECT_EQ(answer->timing.latency, 0u);
    EXPECT_EQ(bench.simulator->submitted, 0u);
}

TEST(Requests, EchoGivesThePayloadBack) {
    Bench bench;
    SSTRequest request = Bench::request(SST_REQ_ECHO);
    for (size_t i = 0; i < sizeof request.payload.data; ++i)
        request.payload.data[i] = static_cast<uint8_t>(i * 7);
    const auto answer = bench.ask(request);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->response.result, SST_MAX_DATA_SIZE);
    EXPECT_EQ(std::memcmp(answer->response.payload.data, request.payload.data,
                          sizeof request.payload.data),
              0);
}

TEST(Requests, GetInfoSaysWhatTheDeviceHas) {
    Bench bench({.memory_bytes = 1u << 20});
    const auto answer = bench.ask(Bench::request(SST_REQ_GET_INFO));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->response.payload.info.version, 0x00010000u);
    EXPECT_EQ(answer->response.payload.info.capabilities, 0x6fu);
    EXPECT_EQ(answer->response.payload.info.max_compute_units, 1'000'000u);
    EXPECT_EQ(answer->response.payload.info.memory_size, 1u << 20);
}

TEST(Requests, ComputeIsAnsweredByTheSimulatorUnderAnotherId) {
    Bench bench;
    SSTRequest request = Bench::request(SST_REQ_COMPUTE, 42);
    request.payload.compute.compute_units = 1000;
    request.flags = SST_FLAG_PIPELINE | SST_FLAG_TIMED | SST_FLAG_EVENT;
    bench.send(request);
    EXPECT_FALSE(bench.take());
    ASSERT_EQ(bench.simulator->held.size(), 1u);
    const SSTRequest& asked = bench.simulator->held[0].request;
    EXPECT_EQ(asked.payload.compute.compute_units, 1000u);
    EXPECT_NE(asked.request_id, 42u);
    EXPECT_EQ(asked.flags, SST_FLAG_EVENT) << "a guest may not speak of the socket";
    bench.simulator->latency = 100'000'000;
    bench.simulator->time = 5'000'000;
    bench.simulator->answer(0, SST_STATUS_OK, 100'000);
    const auto answer = bench.take();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->response.request_id, 42u);
    EXPECT_EQ(answer->response.user_data, 0x1234u);
    EXPECT_EQ(answer->response.reserved, 0u);
    EXPECT_EQ(answer->response.result, 100'000u);
    EXPECT_EQ(answer->timing.latency, 100'000u);
    EXPECT_EQ(answer->timing.finished, 105'000u);
}

TEST(Requests, AnswersComeInTheSimulatorsOrder) {
    Bench bench;
    for (uint32_t i = 0; i < 5; ++i) bench.send(Bench::request(SST_REQ_COMPUTE, 100 + i), i);
    for (const size_t index : {3u, 0u, 2u, 1u, 0u}) bench.simulator->answer(index);
    for (const uint64_t id : {103u, 100u, 104u, 102u, 101u}) {
        const auto answer = bench.take();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->response.request_id, id);
    }
    EXPECT_EQ(bench.device->in_flight(), 0u);
}

TEST(Requests, EqualIdsOfAGuestAreApartAtTheSimulator) {
    Bench bench;
    for (uint32_t i = 0; i < 3; ++i) bench.send(Bench::request(SST_REQ_COMPUTE, 9), i);
    EXPECT_NE(bench.simulator->held[0].request.request_id,
              bench.simulator->held[1].request.request_id);
    EXPECT_NE(bench.simulator->held[1].request.request_id,
              bench.simulator->held[2].request.request_id);
    for (int i = 0; i < 3; ++i) bench.simulator->answer(0);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(bench.take());
}

TEST(Requests, ResetAnswersWhatIsInFlight) {
    Bench bench;
    bench.give_event_buffers(1);
    for (uint32_t i = 0; i < 3; ++i) bench.send(Bench::request(SST_REQ_COMPUTE, i), i);
    bench.send(Bench::request(SST_REQ_RESET, 3), 3);
    for (uint64_t i = 0; i < 4; ++i) {
        const auto answer = bench.take();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->response.request_id, i);
        EXPECT_EQ(answer->response.status, i == 3 ? SST_STATUS_OK : SST_STATUS_ERROR);
    }
    EXPECT_EQ(bench.simulator->resets, 2u);  // one by the reset of the driver
    const auto event = bench.take_event();
    ASSERT_TRUE(event);
    EXPECT_EQ(event->type, SST_EVENT_NOTIFICATION);
    EXPECT_EQ(event->data, SST_NOTICE_RESET);
}

TEST(Requests, WithoutASimulatorThereIsNoDevice) {
    Bench bench({.make_simulator = [](TaskRunner&) -> Result<std::unique_ptr<sim::Simulator>> {
        return fail(std::errc::no_such_file_or_directory, "no table");
    }});
    EXPECT_EQ(bench.ask(Bench::request(SST_REQ_NOOP))->response.status, SST_STATUS_OK);
    EXPECT_EQ(bench.ask(Bench::request(SST_REQ_COMPUTE))->response.status, SST_STATUS_NO_DEVICE);
    EXPECT_EQ(bench.ask(Bench::request(SST_REQ_RESET))->response.status, SST_STATUS_OK);
}

TEST(Requests, ConfigureOfTheSimulatorIsItsOwn) {
    Bench bench;
    SSTRequest request = Bench::request(SST_REQ_CONFIGURE);
    request.payload.config.param_id = SST_PARAM_CLOCK_HZ;
    request.payload.config.value = 2'000'000'000;
    bench.send(request);
    ASSERT_EQ(bench.simulator->held.size(), 1u);
    bench.simulator->answer(0, SST_STATUS_OK, 1'000'000'000);
    EXPECT_EQ(bench.take()->response.result, 1'000'000'000u);
}

TEST(LockStep, TheAnswerIsThereWhenTheKickReturns) {
    Bench bench({.lock_step = true});
    bench.simulator->at_once = true;
    bench.simulator->latency = 2'500'000;
    struct Whole {
        SSTRequest request = Bench::request(SST_REQ_COMPUTE);
        sst_submit submit{};
    } whole;
    whole.submit.submitted = 7'000;
    const auto id = bench.guest->send(0, Bench::bytes_of(whole), Bench::kRoom);
    const auto used = bench.guest->queue(0).take();  // no turn of the loop
    ASSERT_TRUE(used);
    EXPECT_EQ(used->id, *id);
    EXPECT_EQ(used->written, Bench::kRoom);
    sst_timing timing;
    std::memcpy(
        &timing,
        bench.guest->memory().at(virtio::FakeGuest::kData + sizeof whole + sizeof(SSTResponse)),
        sizeof timing);
    EXPECT_EQ(timing.latency, 2'500u);
    EXPECT_EQ(timing.finished, 9'500u);
}

TEST(LockStep, WithoutTheFeatureRequestsHaveNoTrailer) {
    Bench bench({.lock_step = true}, {.features = virtio::feature(SST_F_COMPUTE)});
    bench.simulator->at_once = true;
    const auto answer = bench.ask(Bench::request(SST_REQ_COMPUTE));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->written, sizeof(SSTResponse)) << "no timing either";
}

}  // namespace
}  // namespace mimic::virtio_sst
