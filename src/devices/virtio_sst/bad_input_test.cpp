// SPDX-License-Identifier: Apache-2.0
// Requests that are short, over-long, unknown, out of bounds, and buffers that lie the wrong way.
#include "devices/virtio_sst/test_bench.h"

namespace mimic::virtio_sst {
namespace {

std::optional<SSTResponse> ask_bytes(Bench& bench, std::span<const uint8_t> bytes,
                                     uint32_t room = Bench::kRoom) {
    const auto written = bench.guest->request(0, bytes, room);
    if (!written) return std::nullopt;
    SSTResponse out{};
    std::memcpy(&out, written->data(), std::min(written->size(), sizeof out));
    return out;
}

TEST(BadRequests, TwentyFourBytesAreEnough) {
    Bench bench;
    const SSTRequest noop = Bench::request(SST_REQ_NOOP, 5);
    const auto answer = ask_bytes(bench, Bench::bytes_of(noop).first(SST_REQUEST_HEADER_SIZE));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, SST_STATUS_OK);
    EXPECT_EQ(answer->request_id, 5u);
}

TEST(BadRequests, EchoOfAShortRequestIsShort) {
    Bench bench;
    SSTRequest echo = Bench::request(SST_REQ_ECHO);
    echo.payload.data[0] = 0xab;
    const auto answer = ask_bytes(bench, Bench::bytes_of(echo).first(SST_REQUEST_HEADER_SIZE + 3));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->result, 3u);
    EXPECT_EQ(answer->payload.data[0], 0xab);
}

TEST(BadRequests, ShorterOnesAreInvalidAndAnswered) {
    Bench bench;
    const SSTRequest noop = Bench::request(SST_REQ_NOOP, 5);
    for (const size_t bytes : {1u, 4u, 16u, 23u}) {
        const auto answer = ask_bytes(bench, Bench::bytes_of(noop).first(bytes));
        ASSERT_TRUE(answer) << bytes;
        EXPECT_EQ(answer->status, SST_STATUS_INVALID) << bytes;
    }
    // All of it for the device to write: no request at all.
    const auto answer = ask_bytes(bench, {});
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, SST_STATUS_INVALID);
}

TEST(BadRequests, OverLongOnesAreCut) {
    Bench bench;
    std::vector<uint8_t> bytes(sizeof(SSTRequest) + 1000, 0xff);
    const SSTRequest echo = Bench::request(SST_REQ_ECHO);
    std::memcpy(bytes.data(), &echo, sizeof echo);
    const auto answer = ask_bytes(bench, bytes);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, SST_STATUS_OK);
    EXPECT_EQ(answer->result, SST_MAX_DATA_SIZE);
}

TEST(BadRequests, WhatFitsIsWritten) {
    Bench bench;
    const SSTRequest noop = Bench::request(SST_REQ_NOOP, 5);
    for (const uint32_t room : {1u, 16u, 32u, 4111u, 4112u, 4113u, 4127u, 4128u, 5000u}) {
        const auto written = bench.guest->request(0, Bench::bytes_of(noop), room);
        ASSERT_TRUE(written) << room;
        EXPECT_EQ(written->size(), std::min(room, Bench::kRoom)) << room;
    }
}

TEST(BadRequests, UnknownTypesAreInvalid) {
    Bench bench;
    for (const uint32_t type : {8u, 255u, 0xffffffffu}) {
        const auto answer = bench.ask(Bench::request(type));
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->response.status, SST_STATUS_INVALID) << type;
    }
}

TEST(BadRequests, MemoryEndsWhereTheFileSays) {
    Bench bench({.memory_bytes = 0x10000});
    bench.simulator->at_once = true;
    const auto status = [&](uint32_t type, uint64_t addr, uint32_t size) {
        SSTRequest request = Bench::request(type);
        request.payload.memory.addr = addr;
        request.payload.memory.size = size;
        return bench.ask(request)->response.status;
    };
    EXPECT_EQ(status(SST_REQ_READ, 0, 4080), SST_STATUS_OK);
    EXPECT_EQ(status(SST_REQ_READ, 0, 4081), SST_STATUS_INVALID);
    EXPECT_EQ(status(SST_REQ_WRITE, 0, 4064), SST_STATUS_OK);
    EXPECT_EQ(status(SST_REQ_WRITE, 0, 4065), SST_STATUS_INVALID);
    EXPECT_EQ(status(SST_REQ_READ, 0xfffe, 2), SST_STATUS_OK);
    EXPECT_EQ(status(SST_REQ_READ, 0xffff, 2), SST_STATUS_INVALID);
    EXPECT_EQ(status(SST_REQ_READ, 0x10000, 0), SST_STATUS_OK);
    EXPECT_EQ(status(SST_REQ_READ, 0x10001, 0), SST_STATUS_INVALID);
    EXPECT_EQ(status(SST_REQ_READ, UINT64_MAX, 2), SST_STATUS_INVALID);
    EXPECT_EQ(status(SST_REQ_WRITE, 0, UINT32_MAX), SST_STATUS_INVALID);
}

TEST(BadRequests, AStatusThatNobodyKnowsIsAnError) {
    Bench bench;
    bench.send(Bench::request(SST_REQ_COMPUTE));
    bench.simulator->answer(0, 77);
    EXPECT_EQ(bench.take()->response.status, SST_STATUS_ERROR);
}

TEST(BadRequests, OptionsOutOfRangeAreRefused) {
    const MakeSimulator make = [](TaskRunner&) -> Result<std::unique_ptr<sim::Simulator>> {
        return std::make_unique<HeldSimulator>();
    };
    EXPECT_FALSE(VirtioSst::create({.name = "a", .pairs = 0, .make_simulator = make}));
    EXPECT_FALSE(VirtioSst::create({.name = "a", .pairs = 17, .make_simulator = make}));
    EXPECT_FALSE(VirtioSst::create({.name = "a", .queue_size = 96, .make_simulator = make}));
    EXPECT_FALSE(VirtioSst::create({.name = "a", .queue_size = 2048, .make_simulator = make}));
    EXPECT_FALSE(VirtioSst::create({.name = "a"}));
    EXPECT_TRUE(VirtioSst::create({.name = "a", .pairs = 16, .make_simulator = make}));
}

TEST(BadRequests, MemoryThatIsNotThereBreaksTheQueueAndTellsTheDriver) {
    Bench bench;
    bench.guest->queue(0).add({{0xdead0000, 64}}, {{0xdeae0000, 64}});
    bench.device->kick(0);
    EXPECT_NE(bench.device->status() & virtio::kNeedsReset, 0);
    EXPECT_EQ(bench.guest->slot().config_interrupts, 1);
    // A reset mends it.
    ASSERT_TRUE(bench.guest->start());
    EXPECT_TRUE(bench.ask(Bench::request(SST_REQ_NOOP)));
}

}  // namespace
}  // namespace mimic::virtio_sst
