// SPDX-License-Identifier: Apache-2.0
// What is wrong with a simulator by request: answers that are lost, late, corrupt or for something
// else, and a simulator that dies.
#include <chrono>

#include "devices/virtio_sst/test_bench.h"

namespace mimic::virtio_sst {
namespace {

using namespace std::chrono_literals;
using Kind = virtio::BackendFaults::Kind;

class TestFaults final : public virtio::BackendFaults {
public:
    Verdict next_answer() override { return std::exchange(next, Verdict()); }
    bool is_dead() override { return dead; }

    Verdict next;
    bool dead = false;
};

class Faults : public testing::Test {
protected:
    Faults() {
        bench_.device->set_backend_faults(&faults_);
        bench_.give_event_buffers(8);
    }

    void send_and_answer(const virtio::BackendFaults::Verdict& verdict) {
        bench_.send(Bench::request(SST_REQ_COMPUTE, 42));
        faults_.next = verdict;
        bench_.simulator->answer(0, SST_STATUS_OK, 1000);
    }
    /// What the next answer's status is once `time` has passed; nullopt: there is none yet.
    std::optional<uint32_t> status_after(Duration time) {
        bench_.guest->time().advance(time);
        const auto answer = bench_.take();
        if (!answer) return std::nullopt;
        EXPECT_EQ(answer->response.request_id, 42u);
        return answer->response.status;
    }
    std::optional<uint64_t> error() {
        const auto event = bench_.take_event();
        if (!event || event->type != SST_EVENT_ERROR) return std::nullopt;
        return event->data >> 56;
    }

    TestFaults faults_;
    Bench bench_;
};

TEST_F(Faults, ALostAnswerIsATimeout) {
    send_and_answer({.kind = Kind::kDrop});
    EXPECT_EQ(status_after(4999ms), std::nullopt);
    EXPECT_EQ(status_after(1ms), SST_STATUS_TIMEOUT);
    EXPECT_EQ(bench_.device->in_flight(), 0u);
}

TEST_F(Faults, AWrongIdIsAnEventAndATimeout) {
    send_and_answer({.kind = Kind::kWrongId});
    EXPECT_EQ(error(), SST_ERROR_UNKNOWN_ID);
    EXPECT_EQ(status_after(5s), SST_STATUS_TIMEOUT);
}

TEST_F(Faults, ALateAnswerComesLater) {
    send_and_answer({.kind = Kind::kDelay, .delay = 30ms});
    EXPECT_EQ(status_after(29ms), std::nullopt);
    EXPECT_EQ(status_after(1ms), SST_STATUS_OK);
}

TEST_F(Faults, AnAnswerAfterItsTimeHarmsNobody) {
    send_and_answer({.kind = Kind::kDelay, .delay = 8s});
    EXPECT_EQ(status_after(5s), SST_STATUS_TIMEOUT);
    bench_.send(Bench::request(SST_REQ_COMPUTE, 42));
    EXPECT_EQ(status_after(3s), std::nullopt);
    EXPECT_EQ(error(), SST_ERROR_LATE);
    bench_.simulator->answer(0);
    EXPECT_EQ(status_after(0s), SST_STATUS_OK);
}

TEST_F(Faults, ACorruptAnswerIsStillTheAnswerToItsRequest) {
    for (uint64_t random = 1; random < 50; ++random) {
        send_and_answer({.kind = Kind::kCorrupt, .random = random * 0x9e3779b97f4a7c15});
        const auto answer = bench_.take();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->response.request_id, 42u);
        EXPECT_EQ(answer->response.user_data, 0x1234u);
        EXPECT_NE(answer->response.result, 1000u);
        EXPECT_LE(answer->response.status, unsigned{SST_STATUS_NO_DEVICE});
    }
}

TEST_F(Faults, ADeadSimulatorAnswersNobody) {
    for (uint32_t i = 0; i < 64 / 8; ++i) bench_.send(Bench::request(SST_REQ_COMPUTE, 42), i);
    faults_.dead = true;
    bench_.device->backend_changed();
    for (uint32_t i = 0; i < 8; ++i) EXPECT_EQ(status_after(0s), SST_STATUS_NO_DEVICE);
    EXPECT_EQ(error(), SST_ERROR_SIMULATOR_LOST);
    bench_.send(Bench::request(SST_REQ_COMPUTE, 42));
    EXPECT_EQ(status_after(0s), SST_STATUS_NO_DEVICE);
    EXPECT_EQ(bench_.simulator->submitted, 8u);
    // What it had comes when nobody waits.
    bench_.simulator->answer(0);
    EXPECT_EQ(error(), SST_ERROR_LATE);
    faults_.dead = false;
    bench_.device->backend_changed();
    EXPECT_EQ(bench_.take_event()->data, SST_NOTICE_SIMULATOR_READY);
    bench_.send(Bench::request(SST_REQ_COMPUTE, 42));
    EXPECT_EQ(bench_.simulator->submitted, 9u);
}

TEST_F(Faults, AResetForgetsThem) {
    send_and_answer({.kind = Kind::kDrop});
    send_and_answer({.kind = Kind::kDelay, .delay = 1s});
    ASSERT_TRUE(bench_.guest->start());
    EXPECT_EQ(status_after(20s), std::nullopt);
}

TEST(FaultsInLockStep, StrikeInTheGuestsTime) {
    TestFaults faults;
    Bench bench({.lock_step = true});
    bench.device->set_backend_faults(&faults);
    bench.simulator->at_once = true;
    const auto latency_of = [&](const virtio::BackendFaults::Verdict& verdict, sst_status status) {
        faults.next = verdict;
        bench.send(Bench::request(SST_REQ_COMPUTE));
        const auto answer = bench.take();
        if (!answer) return ~uint64_t{0};
        EXPECT_EQ(answer->response.status, status);
        return uint64_t{answer->timing.latency};
    };
    EXPECT_EQ(latency_of({.kind = Kind::kDrop}, SST_STATUS_TIMEOUT), 5'000'000'000u);
    EXPECT_EQ(latency_of({.kind = Kind::kDelay, .delay = 3us}, SST_STATUS_OK), 3'000u);
}

}  // namespace
}  // namespace mimic::virtio_sst
