// SPDX-License-Identifier: Apache-2.0
// Backends and configurations that come and go under load, and draining.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mediator/engine/testing/engine_rig.h"

namespace mimic::mediator {
namespace {

using namespace std::chrono_literals;

void ask_many(RigClient& client, uint64_t count) {
    for (uint64_t id = 1; id <= count; ++id) client.ask(id, rig_job(1000));
}

size_t answered_ok(const RigClient& client) {
    return static_cast<size_t>(
        std::count_if(client.got.begin(), client.got.end(),
                      [](const auto& answer) { return answer.error == VGPU_OK; }));
}

TEST(EngineBackends, JobsWaitForOneThatIsNotReadyYet) {
    FakeBackends prepared;
    prepared.ready_at_once = false;
    EngineRig rig(rig_config(), prepared);
    RigClient& client = rig.connect(1);
    ask_many(client, 2);
    rig.time.advance(5s);
    EXPECT_TRUE(client.got.empty());
    rig.backends.now["A0"]->become_ready();
    rig.time.run_all();
    EXPECT_EQ(answered_ok(client), 2U);
}

TEST(EngineBackends, JobsOfAPoolWithoutHopeAreAnswered) {
    FakeBackends prepared;
    prepared.ready_at_once = false;
    EngineRig rig(rig_config(), prepared);
    RigClient& client = rig.connect(1);
    ask_many(client, 2);
    rig.time.advance(29s);  // it may only be slow: a machine has more to do than this
    EXPECT_EQ(client.error_of(1), UINT32_MAX);
    rig.time.advance(2s);
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_POOL);
    EXPECT_EQ(client.error_of(2), VGPU_ERROR_POOL);
    client.ask(3, rig_job(10));
    EXPECT_EQ(client.error_of(3), VGPU_ERROR_POOL);
    rig.backends.now["A0"]->become_ready();
    client.ask(4, rig_job(10));
    rig.time.run_all();
    EXPECT_EQ(client.error_of(4), VGPU_OK);
}

TEST(EngineBackends, DeadOneIsOneJobsErrorAndTheRestGoesOn) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    RigClient& other = rig.connect(2);
    ask_many(client, 2);
    ask_many(other, 2);
    rig.backends.now["A0"]->die();
    rig.time.run();
    rig.backends.now["A0"]->become_ready();
    rig.time.run_all();
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_BACKEND);
    EXPECT_EQ(client.error_of(2), VGPU_OK);
    EXPECT_EQ(answered_ok(other), 2U);
}

TEST(EngineBackends, HomeThatStaysAwayIsGivenUp) {
    EngineRig rig(rig_config(2));
    RigClient& client = rig.connect(1);
    client.ask(1, rig_job(10, VGPU_OP_MEM_ALLOC));
    rig.time.advance(1ms);
    const std::string home = rig.backends.ran[0].backend;
    rig.backends.now[home]->die();
    client.ask(2, rig_job(10));
    rig.time.advance(29s);
    EXPECT_EQ(client.error_of(2), UINT32_MAX);
    rig.time.advance(2s);
    EXPECT_EQ(client.error_of(2), VGPU_OK);
    EXPECT_NE(rig.backends.ran[1].backend, home);
}

TEST(EngineBackends, OneThatCannotBeMadeSaysWhy) {
    EngineRig rig;
    rig.broken = "A1";
    ASSERT_TRUE(rig.engine->reload(rig_config(2)));
    const auto backends = rig.engine->status().pools[0].backends;
    ASSERT_EQ(backends.size(), 2U);
    EXPECT_EQ(backends[1].what, "broken");
    EXPECT_FALSE(backends[1].ready);
    rig.broken.clear();
    ASSERT_TRUE(rig.engine->reload(rig_config(2)));  // tries again
    EXPECT_EQ(rig.engine->status().pools[0].backends.size(), 2U);
    EXPECT_TRUE(rig.engine->status().pools[0].backends[1].ready);
}

class EngineReload : public testing::TestWithParam<RuleName> {};
INSTANTIATE_TEST_SUITE_P(Rules, EngineReload,
                         testing::Values(RuleName::kFair, RuleName::kFifo, RuleName::kStrict,
                                         RuleName::kUrgency, RuleName::kDrmFair));

// Whatever changes, each request is answered, none twice and none out of order within its VM.
TEST_P(EngineReload, DropsNothing) {
    EngineRig rig(rig_config(2));
    std::vector<RigClient*> clients;
    for (VmId id = 1; id <= 3; ++id) {
        clients.push_back(&rig.connect(id));
        ask_many(*clients.back(), 20);
    }
    rig.time.advance(1500us);
    Config config = rig_config(3);
    config.rule = GetParam();
    config.strict_classes = true;
    VmConfig vm;
    vm.id = 2;
    vm.weight = 7;
    vm.limits.parallel = 2;
    config.vms.push_back(vm);
    ASSERT_TRUE(rig.engine->reload(config));
    rig.time.advance(1500us);
    config.pools[0].backends.erase(config.pools[0].backends.begin());
    ASSERT_TRUE(rig.engine->reload(config));
    rig.time.run_all();
    for (const RigClient* client : clients) {
        EXPECT_EQ(answered_ok(*client), 20U);
        EXPECT_EQ(client->got.size(), 20U);
    }
    for (size_t i = 0; i < 20; ++i) EXPECT_EQ(clients[0]->got[i].id, i + 1);
    EXPECT_EQ(rig.vm(2).weight, 7U);
    EXPECT_THAT(rig.backends.stopped, testing::ElementsAre("A0"));
    EXPECT_FALSE(rig.backends.now.contains("A0"));
    EXPECT_EQ(rig.engine->status().pools[0].backends.size(), 2U);
}

TEST(EngineReloadPools, PoolThatGoesAnswersAndEnds) {
    Config config = rig_config();
    PoolConfig second = config.pools[0];
    second.id = 'B';
    second.backends[0].name = "B0";
    config.pools.push_back(second);
    EngineRig rig(config);
    RigClient& client = rig.connect(1, 1, 'B');
    ask_many(client, 3);
    ASSERT_TRUE(rig.engine->reload(rig_config()));
    EXPECT_EQ(client.error_of(2), VGPU_ERROR_POOL);
    EXPECT_EQ(client.error_of(3), VGPU_ERROR_POOL);
    rig.time.run_all();
    EXPECT_EQ(client.error_of(1), VGPU_OK);  // it ran already
    EXPECT_THAT(rig.backends.stopped, testing::ElementsAre("B0"));
    client.ask(4, rig_job(10));
    EXPECT_EQ(client.error_of(4), VGPU_ERROR_POOL);
    ASSERT_TRUE(rig.engine->reload(config));  // and comes back
    client.ask(5, rig_job(10));
    rig.time.run_all();
    EXPECT_EQ(client.error_of(5), VGPU_OK);
}

TEST(EngineReloadPools, VmThatMovesTakesItsQueueAndLeavesItsMemory) {
    Config config = rig_config();
    PoolConfig second = config.pools[0];
    second.id = 'B';
    second.backends[0].name = "B0";
    config.pools.push_back(second);
    EngineRig rig(config);
    RigClient& client = rig.connect(1);
    client.ask(1, rig_job(10, VGPU_OP_MEM_ALLOC));
    rig.time.advance(1ms);
    client.ask(2, rig_job(1000));
    client.ask(3, rig_job(1000));
    VmConfig vm;
    vm.id = 1;
    vm.pool = 'B';
    config.vms.push_back(vm);
    ASSERT_TRUE(rig.engine->reload(config));
    rig.time.run_all();
    EXPECT_EQ(answered_ok(client), 3U);
    EXPECT_EQ(rig.backends.ran[1].backend, "A0");
    EXPECT_EQ(rig.backends.ran[2].backend, "B0");
    ASSERT_EQ(rig.backends.released.size(), 1U);
    EXPECT_EQ(rig.backends.released[0].first, "A0");
}

TEST(EngineReloadPools, WhoIsNotAdmittedAnyMoreIsDenied) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    ask_many(client, 2);
    Config config = rig_config();
    config.others.reset();
    ASSERT_TRUE(rig.engine->reload(config));
    client.ask(3, rig_job(10));
    EXPECT_EQ(client.error_of(3), VGPU_ERROR_DENIED);
    rig.time.run_all();
    EXPECT_EQ(answered_ok(client), 2U);  // what waited before is not lost
    EXPECT_EQ(rig.connect(1, 2).admission.error, VGPU_ERROR_DENIED);
}

TEST(EngineOperations, WeightIsCheckedAndTakesEffect) {
    EngineRig rig;
    EXPECT_FALSE(rig.engine->set_weight(1, 0));
    EXPECT_FALSE(rig.engine->set_weight(1, 10'001));
    ASSERT_TRUE(rig.engine->set_weight(1, 100));
    for (VmId id = 1; id <= 2; ++id) {
        RigClient& client = rig.connect(id);
        ask_many(client, 500);
    }
    rig.time.advance(300ms);
    const double ratio = static_cast<double>(rig.vm(1).counters.service_ns) /
                         static_cast<double>(rig.vm(2).counters.service_ns);
    EXPECT_NEAR(ratio, 2.0, 0.05);
}

TEST(EngineOperations, LimitsAreChecked) {
    EngineRig rig;
    Limits limits;
    limits.parallel = 0;
    EXPECT_FALSE(rig.engine->set_limits(1, limits));
    limits = {};
    limits.rate = -1;
    EXPECT_FALSE(rig.engine->set_limits(1, limits));
    limits = {};
    limits.job_timeout = {};
    EXPECT_FALSE(rig.engine->set_limits(1, limits));
    Config config = rig_config();
    config.others.reset();
    ASSERT_TRUE(rig.engine->reload(config));
    EXPECT_FALSE(rig.engine->set_limits(1, Limits{}));  // not in the configuration
}

TEST(EngineOperations, DrainEndsWithTheLastJob) {
    EngineRig rig;
    RigClient& client = rig.connect(1);
    ask_many(client, 2);
    bool drained = false;
    rig.engine->drain(true, [&] { drained = true; });
    client.ask(3, rig_job(10));
    EXPECT_EQ(client.error_of(3), VGPU_ERROR_CANCELLED);
    rig.time.advance(1500us);
    EXPECT_FALSE(drained);
    EXPECT_TRUE(rig.engine->status().draining);
    rig.time.run_all();
    EXPECT_TRUE(drained);
    EXPECT_EQ(answered_ok(client), 2U);
    rig.engine->drain(false, nullptr);
    client.ask(4, rig_job(10));
    rig.time.run_all();
    EXPECT_EQ(client.error_of(4), VGPU_OK);
}

}  // namespace
}  // namespace mimic::mediator
