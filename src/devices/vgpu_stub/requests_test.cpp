// SPDX-License-Identifier: Apache-2.0
// The registers' request: IDLE, BUSY, DONE and ERROR, with and without a mediator, and by DMA.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/vgpu_stub/test_bench.h"

namespace mimic::vgpu_stub {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

void ring(Bench& bench, std::span<const std::byte> request) {
    bench.put_request(request);
    bench.write(DOORBELL, 1);
}

// The original vgpu-stub, Test 3: status 3 (ERROR), error code 3 (MEDIATOR_UNAVAILABLE).
TEST(VgpuRequestTest, WithoutAMediatorItIsError3) {
    Bench bench({}, /*has_mediator=*/false);
    bench.write(REQUEST_LEN, 16);
    bench.write(DOORBELL, 1);
    EXPECT_EQ(bench.read(STATUS), 3U);
    EXPECT_EQ(bench.read(ERROR_CODE), 3U);
}

TEST(VgpuRequestTest, AMediatorThatIsNotThereIsError3) {
    Bench bench;
    bench.queue().set_connected(false);
    ring(bench, bytes_of(16));
    EXPECT_EQ(bench.read(STATUS), 3U);
    EXPECT_EQ(bench.read(ERROR_CODE), 3U);
    bench.queue().set_connected(true);
    ring(bench, bytes_of(16));
    EXPECT_EQ(bench.state(), State::kBusy);
    EXPECT_EQ(bench.read(ERROR_CODE), 0U);
}

TEST(VgpuRequestTest, AQueueThatCannotBeMadeIsNoMediator) {
    Options options{.name = "vgpu0"};
    options.make_queue = [](TaskRunner&) -> Result<std::unique_ptr<compute::Queue>> {
        return fail(std::errc::filename_too_long, "the path is too long");
    };
    Bench bench(std::move(options), /*has_mediator=*/false);
    ring(bench, bytes_of(16));
    EXPECT_EQ(bench.read(ERROR_CODE), 3U);
}

TEST(VgpuRequestTest, RequestGoesOutAndAnswerComesIn) {
    Bench bench;
    bench.write(REQUEST_ID, 77);
    const auto request = bytes_of(1023);  // no multiple of a word
    ring(bench, request);
    EXPECT_EQ(bench.state(), State::kBusy);
    ASSERT_EQ(bench.queue().asked().size(), 1U);
    EXPECT_EQ(bench.queue().asked()[0].request, request);
    EXPECT_EQ(bench.queue().asked()[0].tag, 77U);
    EXPECT_EQ(bench.queue().asked()[0].room, 1024U);
    bench.slot.time.advance(5'000'000'123ns);
    const auto answer = bytes_of(1022, 9);
    bench.queue().answer(0, VGPU_OK, answer);
    EXPECT_EQ(bench.state(), State::kDone);
    EXPECT_EQ(bench.read(ERROR_CODE), 0U);
    EXPECT_EQ(bench.read(RESPONSE_LEN), 1022U);
    EXPECT_EQ(bench.response(), answer);
    EXPECT_EQ(bench.read(RESPONSE, 255) >> 16, 0U);  // behind it: zeros
    EXPECT_EQ(uint64_t{bench.read(TIMESTAMP_HI)} << 32 | bench.read(TIMESTAMP_LO), 5'000'000'123U);
}

TEST(VgpuRequestTest, APublicMediatorsSumEndsAtOnce) {
    Bench bench({}, true, compute::ScriptedQueue::answer_sums);
    const uint32_t numbers[] = {40, 2};
    ring(bench, compute::make_request(VGPU_OP_SUM, numbers));
    EXPECT_EQ(bench.state(), State::kDone);
    const auto answer = bench.response();
    const auto view = compute::view_response(answer);
    ASSERT_TRUE(view.has_value());
    EXPECT_EQ(view->results[0], 42U);
}

TEST(VgpuRequestTest, LengthZeroIsTheSeeds2OrAnOptions9) {
    Bench seed;
    seed.write(DOORBELL, 1);
    EXPECT_EQ(seed.read(STATUS), 3U);
    EXPECT_EQ(seed.read(ERROR_CODE), 2U);  // REQUEST_TOO_LARGE or INVALID
    EXPECT_TRUE(seed.queue().asked().empty());
    Bench other({.length_error = VGPU_ERROR_INVALID_LENGTH});
    other.write(DOORBELL, 1);
    EXPECT_EQ(other.read(ERROR_CODE), 9U);
    other.write(DMA_DOORBELL, 1);
    EXPECT_EQ(other.read(ERROR_CODE), 9U);
}

TEST(VgpuRequestTest, LengthOneIsARequest) {
    Bench bench;
    ring(bench, bytes_of(1));
    ASSERT_EQ(bench.queue().asked().size(), 1U);
    EXPECT_EQ(bench.queue().asked()[0].request, bytes_of(1));
}

TEST(VgpuRequestTest, OnlyOneRings) {
    Bench bench;
    bench.put_request(bytes_of(16));
    for (const uint32_t value : {0U, 2U, 3U, 0x101U, 0xffffffffU}) bench.write(DOORBELL, value);
    EXPECT_EQ(bench.state(), State::kIdle);
    bench.write_at(DOORBELL.offset + 1, 1, 1);
    EXPECT_EQ(bench.state(), State::kIdle);
    bench.write_at(DOORBELL.offset, 1, 1);
    EXPECT_EQ(bench.state(), State::kBusy);
}

TEST(VgpuRequestTest, ADoorbellWhileBusyIsIgnored) {
    Bench bench;
    ring(bench, bytes_of(16, 1));
    bench.put_request(bytes_of(20, 2));
    bench.write(DOORBELL, 1);
    bench.write(DMA_REQUEST_LEN, 16);
    bench.write(DMA_DOORBELL, 1);
    bench.write(REQUEST_LEN, 0);
    bench.write(DOORBELL, 1);
    EXPECT_EQ(bench.state(), State::kBusy);
    ASSERT_EQ(bench.queue().asked().size(), 1U);
    EXPECT_EQ(bench.queue().asked()[0].request, bytes_of(16, 1));
    bench.queue().answer(0, VGPU_OK, bytes_of(32, 3));
    EXPECT_EQ(bench.state(), State::kDone);
    EXPECT_EQ(bench.response(), bytes_of(32, 3));
}

TEST(VgpuRequestTest, ErrorsOfTheMediatorAreCodes) {
    Bench bench;
    for (const vgpu_error error :
         {VGPU_ERROR_INVALID_REQUEST, VGPU_ERROR_TIMEOUT, VGPU_ERROR_BACKEND, VGPU_ERROR_POOL,
          VGPU_ERROR_QUEUE_FULL, VGPU_ERROR_UNSUPPORTED, VGPU_ERROR_RATE_LIMITED,
          VGPU_ERROR_QUARANTINED, VGPU_ERROR_DENIED, VGPU_ERROR_CANCELLED}) {
        ring(bench, bytes_of(16));
        bench.queue().answer(0, error);
        EXPECT_EQ(bench.state(), State::kError);
        EXPECT_EQ(bench.read(ERROR_CODE), static_cast<uint32_t>(error));
        EXPECT_EQ(bench.read(RESPONSE_LEN), 0U);
    }
}

TEST(VgpuRequestTest, AnAnswerThatIsTooLongIsError9) {
    Bench bench;
    ring(bench, bytes_of(16));
    bench.queue().answer(0, VGPU_OK, bytes_of(1025));
    EXPECT_EQ(bench.read(ERROR_CODE), 9U);
}

TEST(VgpuRequestTest, ResetForgetsWhatIsUnderWay) {
    for (const auto kind : {pci::ResetKind::kFunctionLevel, pci::ResetKind::kConventional}) {
        Bench bench;
        ring(bench, bytes_of(16, 1));
        const auto done = bench.queue().asked()[0].done;
        bench.device->reset(kind);
        EXPECT_EQ(bench.queue().in_flight(), 0U);
        EXPECT_EQ(bench.queue().fresh_starts(), 1U) << "the guest's memory goes";
        EXPECT_EQ(bench.state(), State::kIdle);
        EXPECT_EQ(bench.read(REQUEST), 0U);
        bench.start();
        ring(bench, bytes_of(20, 2));
        done({VGPU_OK, bytes_of(32, 7)});  // the first one's: nobody waits for it
        EXPECT_EQ(bench.state(), State::kBusy);
        bench.queue().answer(0, VGPU_OK, bytes_of(32, 3));
        EXPECT_EQ(bench.response(), bytes_of(32, 3));
    }
}

TEST(VgpuRequestTest, DetachedAndPluggedInAgainItHasANewQueue) {
    Bench bench;
    ring(bench, bytes_of(16));
    const auto done = bench.queue().asked()[0].done;
    bench.device->detach();
    EXPECT_EQ(bench.device->queue(), nullptr);
    done({VGPU_OK, bytes_of(32)});
    bench.device->attach(bench.slot);
    bench.start();
    EXPECT_EQ(bench.state(), State::kIdle);
    ring(bench, bytes_of(16));
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    EXPECT_EQ(bench.state(), State::kDone);
}

// --- Interrupts ------------------------------------------------------------------------------

TEST(VgpuInterruptTest, DoneAndErrorRaiseVector0) {
    Bench bench;
    ring(bench, bytes_of(16));
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    EXPECT_THAT(bench.slot.take_vectors(), IsEmpty());  // not asked for
    EXPECT_EQ(bench.read(INTERRUPT_STATUS), kInterruptDone);
    bench.write(INTERRUPT_STATUS, 0xffffffff);
    EXPECT_EQ(bench.read(INTERRUPT_STATUS), 0U);
    bench.write(INTERRUPT_CTRL, kInterruptDone);
    ring(bench, bytes_of(16));
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    EXPECT_THAT(bench.slot.take_vectors(), ElementsAre(0));
    bench.write(REQUEST_LEN, 0);
    bench.write(DOORBELL, 1);
    EXPECT_THAT(bench.slot.take_vectors(), ElementsAre(0));
}

TEST(VgpuInterruptTest, ThePinFollowsStatusAndControl) {
    Bench bench;
    bench.set_config(bench.capability(pci::regs::CAP_ID_MSIX) + 2, 0, 2);
    bench.slot.take();
    bench.write(INTERRUPT_CTRL, kInterruptDone);
    ring(bench, bytes_of(16));
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    EXPECT_THAT(bench.slot.take(), ElementsAre("pin 1"));
    bench.write(INTERRUPT_CTRL, 0);
    EXPECT_THAT(bench.slot.take(), ElementsAre("pin 0"));
    bench.write(INTERRUPT_CTRL, kInterruptDone);
    EXPECT_THAT(bench.slot.take(), ElementsAre("pin 1"));
    bench.write(INTERRUPT_STATUS, kInterruptDone);
    EXPECT_THAT(bench.slot.take(), ElementsAre("pin 0"));
    ring(bench, bytes_of(16));
    bench.queue().answer(0, VGPU_ERROR_POOL);
    EXPECT_THAT(bench.slot.take(), ElementsAre("pin 1"));
    bench.device->reset(pci::ResetKind::kFunctionLevel);
    EXPECT_THAT(bench.slot.take(), ElementsAre("pin 0"));
}

// --- By DMA ----------------------------------------------------------------------------------

TEST(VgpuDmaTest, LargestRequestAndAnswer) {
    Bench bench;
    bench.slot.memory.add(0x1'0000'0000, VGPU_MAX_MESSAGE);
    bench.slot.memory.add(0x2'0000'0000, VGPU_MAX_MESSAGE);
    const auto request = bytes_of(VGPU_MAX_MESSAGE);
    bench.put(0x1'0000'0000, request);
    bench.set_dma(0x1'0000'0000, VGPU_MAX_MESSAGE, 0x2'0000'0000, VGPU_MAX_MESSAGE);
    bench.write(INTERRUPT_CTRL, kInterruptDone);
    bench.write(DMA_DOORBELL, 1);
    EXPECT_EQ(bench.state(), State::kBusy);
    ASSERT_EQ(bench.queue().asked().size(), 1U);
    EXPECT_EQ(bench.queue().asked()[0].request, request);
    EXPECT_EQ(bench.queue().asked()[0].room, VGPU_MAX_MESSAGE);
    const auto answer = bytes_of(VGPU_MAX_MESSAGE, 5);
    bench.queue().answer(0, VGPU_OK, answer);
    EXPECT_EQ(bench.state(), State::kDone);
    EXPECT_EQ(bench.read(RESPONSE_LEN), VGPU_MAX_MESSAGE);
    EXPECT_EQ(bench.get(0x2'0000'0000, VGPU_MAX_MESSAGE), answer);
    EXPECT_EQ(bench.read(RESPONSE), 0U);
    EXPECT_THAT(bench.slot.take_vectors(), ElementsAre(0));
}

TEST(VgpuDmaTest, AddressesThatAreNoMemoryAreError14) {
    Bench bench;
    bench.slot.memory.add(0x1000, 0x1000);
    bench.set_dma(0x1fff, 2, 0x1000, 64);
    bench.write(DMA_DOORBELL, 1);
    EXPECT_EQ(bench.read(ERROR_CODE), 14U);
    bench.set_dma(0xffff'ffff'ffff'fff0, 64, 0x1000, 64);
    bench.write(DMA_DOORBELL, 1);
    EXPECT_EQ(bench.read(ERROR_CODE), 14U);
    bench.set_dma(0x1000, 64, 0x9000, 64);
    bench.write(DMA_DOORBELL, 1);
    EXPECT_EQ(bench.state(), State::kBusy);
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    EXPECT_EQ(bench.read(ERROR_CODE), 14U);
    EXPECT_EQ(bench.read(RESPONSE_LEN), 0U);
    bench.set_config(0x04, 0x0002, 2);  // no bus mastering
    bench.set_dma(0x1000, 64, 0x1000, 64);
    bench.write(DMA_DOORBELL, 1);
    EXPECT_EQ(bench.read(ERROR_CODE), 14U);
}

TEST(VgpuDmaTest, AnAnswerBeyondItsRoomIsError9) {
    Bench bench;
    bench.slot.memory.add(0x1000, 0x1000);
    for (const uint32_t size : {0U, 31U}) {
        bench.set_dma(0x1000, 64, 0x1800, size);
        bench.write(DMA_DOORBELL, 1);
        bench.queue().answer(0, VGPU_OK, bytes_of(32));
        EXPECT_EQ(bench.read(ERROR_CODE), 9U);
        EXPECT_EQ(bench.get(0x1800, 1)[0], std::byte{0});
    }
}

// Memory that is reached by message: the doorbell is answered before the request is there.
TEST(VgpuDmaTest, MemoryThatAnswersLater) {
    Bench bench;
    bench.slot.memory.add(0x1000, 0x1000, memory::FakeMemory::Kind::kByMessage);
    bench.set_dma(0x1000, 64, 0x1800, 64);
    bench.write(DMA_DOORBELL, 1);
    EXPECT_EQ(bench.state(), State::kBusy);
    EXPECT_TRUE(bench.queue().asked().empty());
    bench.slot.memory.answer();
    ASSERT_EQ(bench.queue().asked().size(), 1U);
    bench.queue().answer(0, VGPU_OK, bytes_of(40));
    EXPECT_EQ(bench.state(), State::kBusy);
    bench.slot.memory.answer();
    EXPECT_EQ(bench.state(), State::kDone);
    EXPECT_EQ(bench.get(0x1800, 40), bytes_of(40));
    bench.write(DMA_DOORBELL, 1);
    bench.device->reset(pci::ResetKind::kFunctionLevel);
    bench.slot.memory.answer();
    EXPECT_EQ(bench.state(), State::kIdle);
    EXPECT_TRUE(bench.queue().asked().empty());
}

}  // namespace
}  // namespace mimic::vgpu_stub
