// SPDX-License-Identifier: Apache-2.0
// Requests from submit() to their answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mediator/engine/testing/engine_rig.h"

namespace mimic::mediator {
namespace {

using namespace std::chrono_literals;

TEST(EngineRequests, NopIsAnsweredBeforeSubmitReturns) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    client.ask(7, compute::make_request(VGPU_OP_NOP));
    ASSERT_EQ(client.got.size(), 1U);
    EXPECT_EQ(client.got[0].id, 7U);
    EXPECT_EQ(client.got[0].error, VGPU_OK);
    EXPECT_EQ(client.got[0].response.size(), sizeof(vgpu_response));
    EXPECT_TRUE(rig.backends.ran.empty());
}

TEST(EngineRequests, NopWaitsBehindWhatItsVmAskedBefore) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    client.ask(1, rig_job(1000));
    client.ask(2, compute::make_request(VGPU_OP_NOP));
    client.ask(3, rig_job(1000));
    EXPECT_TRUE(client.got.empty());
    rig.time.run_all();
    ASSERT_EQ(client.got.size(), 3U);
    EXPECT_EQ(client.got[0].id, 1U);
    EXPECT_EQ(client.got[1].id, 2U);
    EXPECT_EQ(client.got[1].when, client.got[0].when);  // it took nothing
    EXPECT_EQ(client.got[2].id, 3U);
    EXPECT_EQ(rig.backends.ran.size(), 2U);
}

TEST(EngineRequests, NopOfAnotherVmDoesNotWait) {
    EngineRig rig;
    rig.connect(1).ask(1, rig_job(1000));
    RigClient& other = rig.connect(2);
    other.ask(1, compute::make_request(VGPU_OP_NOP));
    EXPECT_EQ(other.error_of(1), VGPU_OK);
}

TEST(EngineRequests, SynchronizeWaitsForAllBeforeItAlsoInParallel) {
    Config config = rig_config(2);
    config.others->limits.parallel = 2;
    EngineRig rig(config);
    RigClient& client = rig.connect(1);
    client.ask(1, rig_job(5000));
    client.ask(2, rig_job(1000));
    client.ask(3, compute::make_request(VGPU_OP_SYNCHRONIZE));
    client.ask(4, rig_job(1000));
    rig.time.advance(4500us);
    EXPECT_EQ(client.error_of(2), VGPU_OK);
    EXPECT_EQ(client.error_of(4), VGPU_OK);  // what comes behind it need not wait
    EXPECT_EQ(client.error_of(3), UINT32_MAX);
    rig.time.run_all();
    EXPECT_EQ(client.error_of(3), VGPU_OK);
    EXPECT_EQ(client.got.back().id, 3U);
}

TEST(EngineRequests, AnswerIsWhatTheBackendGave) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    const auto asked = rig_job(10);
    client.ask(1, asked);
    rig.time.run_all();
    ASSERT_EQ(client.got.size(), 1U);
    const auto view = compute::view_response(client.got[0].response);
    ASSERT_TRUE(view);
    EXPECT_EQ(std::vector<std::byte>(view->data.begin(), view->data.end()), asked);
}

// What is waiting has been copied: the sender's bytes are gone by then.
TEST(EngineRequests, WaitingRequestOutlivesItsSendersBytes) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    client.ask(1, rig_job(10));
    auto asked = rig_job(20);
    client.ask(2, asked);
    std::fill(asked.begin(), asked.end(), std::byte{0xff});
    rig.time.run_all();
    ASSERT_EQ(rig.backends.ran.size(), 2U);
    EXPECT_EQ(rig.backends.ran[1].ended - rig.backends.ran[1].started, 20us);
}

TEST(EngineRequests, TooLittleRoomIsInvalidLength) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    client.ask(1, compute::make_request(VGPU_OP_NOP), false, sizeof(vgpu_response) - 1);
    client.ask(2, rig_job(10), false, sizeof(vgpu_response));
    rig.time.run_all();
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_INVALID_LENGTH);
    EXPECT_EQ(client.error_of(2), VGPU_ERROR_INVALID_LENGTH);
}

TEST(EngineRequests, TooShortForARequestIsInvalid) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    client.ask(1, std::vector<std::byte>(31));
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_INVALID_REQUEST);
}

// Every wrong field of a NOP makes it the backend's.
TEST(EngineRequests, NopWithParametersGoesToTheBackend) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    client.ask(1, compute::make_request(VGPU_OP_NOP, std::vector<uint32_t>{5}));
    rig.time.run_all();
    EXPECT_EQ(rig.backends.ran.size(), 1U);
    EXPECT_EQ(client.error_of(1), VGPU_OK);
}

TEST(EngineRequests, OneIdTwiceInFlightIsInvalid) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    client.ask(1, rig_job(10));
    client.ask(1, rig_job(10));
    ASSERT_EQ(client.got.size(), 1U);
    EXPECT_EQ(client.got[0].error, VGPU_ERROR_INVALID_REQUEST);
    rig.time.run_all();
    EXPECT_EQ(client.got.size(), 2U);
}

TEST(EngineRequests, CancelTakesBackWhatWaitsAndEndsWhatRuns) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    client.ask(1, rig_job(1'000'000));
    client.ask(2, rig_job(1000));
    rig.engine->cancel(client.admission.key, 2);
    EXPECT_EQ(client.error_of(2), VGPU_ERROR_CANCELLED);
    rig.engine->cancel(client.admission.key, 1);
    rig.time.run();
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_CANCELLED);
    rig.engine->cancel(client.admission.key, 99);  // unknown: nothing
    EXPECT_EQ(rig.time.now(), TimePoint{});
}

TEST(EngineRequests, NextJobStartsInTheSameMoment) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    for (uint64_t id = 1; id <= 3; ++id) client.ask(id, rig_job(100));
    rig.time.run_all();
    EXPECT_EQ(rig.backends.ran[1].started, rig.backends.ran[0].ended);
    EXPECT_EQ(rig.backends.ran[2].started, rig.backends.ran[1].ended);
    EXPECT_EQ(client.got.back().when, TimePoint{} + 300us);
}

TEST(EngineRequests, WeightsDecideWhoRuns) {
    Config config = rig_config();
    for (VmId id = 1; id <= 2; ++id) {
        VmConfig vm;
        vm.id = id;
        vm.weight = id == 1 ? 10 : 30;
        config.vms.push_back(vm);
    }
    EngineRig rig(config);
    for (VmId id = 1; id <= 2; ++id) {
        RigClient& client = rig.connect(id);
        for (uint64_t i = 1; i <= 1000; ++i) client.ask(i, rig_job(1000));
    }
    rig.time.advance(400ms);
    const double first = static_cast<double>(rig.vm(1).counters.service_ns);
    const double second = static_cast<double>(rig.vm(2).counters.service_ns);
    EXPECT_NEAR(second / first, 3.0, 0.05);
    EXPECT_GE(rig.engine->status().pools[0].fairness, 0.999);
}

TEST(EngineRequests, AllBackendsOfAPoolWork) {
    EngineRig rig(rig_config(3));
    std::vector<RigClient*> clients;
    for (VmId id = 1; id <= 3; ++id) {
        clients.push_back(&rig.connect(id));
        for (uint64_t i = 1; i <= 4; ++i) clients.back()->ask(i, rig_job(1000));
    }
    rig.time.run_all();
    EXPECT_EQ(rig.time.now(), TimePoint{} + 4ms);
    EXPECT_EQ(rig.engine->status().pools[0].busy_ns, 12'000'000U);
}

TEST(EngineRequests, MemoryMakesAHomeAndJobsFollow) {
    EngineRig rig(rig_config(2));
    RigClient& one = rig.connect(1);
    RigClient& two = rig.connect(2);
    one.ask(1, rig_job(10, VGPU_OP_MEM_ALLOC));
    two.ask(1, rig_job(10, VGPU_OP_MEM_ALLOC));
    rig.time.run_all();
    for (uint64_t i = 2; i <= 9; ++i) {
        one.ask(i, rig_job(10));
        two.ask(i, rig_job(10));
    }
    rig.time.run_all();
    std::map<VmId, std::set<std::string>> homes;
    for (const auto& ran : rig.backends.ran) homes[ran.owner.vm].insert(ran.backend);
    EXPECT_EQ(homes[1].size(), 1U);
    EXPECT_EQ(homes[2].size(), 1U);
    EXPECT_NE(*homes[1].begin(), *homes[2].begin());
    EXPECT_EQ(rig.vm(1).memory_used, 1U);
}

TEST(EngineRequests, HistogramsAndCountersTellOfIt) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    client.ask(1, rig_job(1500));
    client.ask(2, rig_job(1500));
    rig.time.run_all();
    const VmStatus status = rig.vm(1);
    EXPECT_EQ(status.counters.submitted, 2U);
    EXPECT_EQ(status.counters.done, 2U);
    EXPECT_EQ(status.counters.service_ns, 3'000'000U);
    EXPECT_EQ(status.execution.sum_ns, 3'000'000U);
    EXPECT_EQ(status.latency.sum_ns, 4'500'000U);
    EXPECT_EQ(status.latency.percentile(1.0), 4096us);
    EXPECT_EQ(status.waiting + status.running, 0U);
}

}  // namespace
}  // namespace mimic::mediator
