// SPDX-License-Identifier: Apache-2.0
// Who may be which VM, and sessions that outlive connections.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mediator/engine/testing/engine_rig.h"

namespace mimic::mediator {
namespace {

using namespace std::chrono_literals;

TEST(EngineClients, OnlyListedUidsMayBeAVm) {
    Config config = rig_config();
    config.others.reset();
    config.uids = {1000};
    VmConfig vm;
    vm.id = 1;
    config.vms.push_back(vm);
    vm.id = 2;
    vm.uids = {2000};
    config.vms.push_back(vm);
    EngineRig rig(config);
    const auto error = [&](VmId id, uint32_t uid) {
        return rig.connect(Client{id, 1, 'A', Priority::kMedium, uid}).admission.error;
    };
    EXPECT_EQ(error(1, 1000), VGPU_OK);
    EXPECT_EQ(error(1, 2000), VGPU_ERROR_DENIED);
    EXPECT_EQ(error(2, 2000), VGPU_OK);
    EXPECT_EQ(error(2, 1000), VGPU_ERROR_DENIED);
    EXPECT_EQ(error(3, 1000), VGPU_ERROR_DENIED);  // not listed, and there are no others
    EXPECT_EQ(rig.vm(1).counters.rejected_denied, 1U);
    EXPECT_EQ(rig.audited("refused"), 3U);
}

TEST(EngineClients, WithoutAListOnlyOurOwnUserIsAdmitted) {
    EngineRig rig;
    EXPECT_EQ(rig.connect(1).admission.error, VGPU_OK);
    const Client foreign{1, 1, 'A', Priority::kMedium, ::geteuid() + 1};
    EXPECT_EQ(rig.connect(foreign).admission.error, VGPU_ERROR_DENIED);
}

TEST(EngineClients, UnknownPoolIsTheRequestsError) {
    EngineRig rig;
    RigClient& client = rig.connect(1, 1, 'Q');
    EXPECT_EQ(client.admission.error, VGPU_OK);
    client.ask(1, rig_job(10));
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_POOL);
}

TEST(EngineClients, ConfigurationSaysPoolAndPriorityFirst) {
    Config config = rig_config();
    VmConfig vm;
    vm.id = 1;
    vm.pool = 'A';
    vm.priority = Priority::kLow;
    config.vms.push_back(vm);
    EngineRig rig(config);
    RigClient& client = rig.connect(1, 1, 'Q', Priority::kHigh);
    client.ask(1, rig_job(10));
    rig.time.run_all();
    EXPECT_EQ(client.error_of(1), VGPU_OK);
    EXPECT_EQ(rig.vm(1).priority, Priority::kLow);
}

TEST(EngineClients, JobOfADeviceThatIsAwayIsAnsweredToWhoAsksAgain) {
    EngineRig rig;
    RigClient& before = rig.connect(1, 77);
    before.ask(1, rig_job(1000));
    before.ask(2, rig_job(1000));
    rig.time.advance(500us);
    before.leave(true);
    RigClient& after = rig.connect(1, 77);
    after.ask(1, rig_job(1000), true);
    after.ask(2, rig_job(1000), true);
    rig.time.run_all();
    EXPECT_TRUE(before.got.empty());
    EXPECT_EQ(after.error_of(1), VGPU_OK);
    EXPECT_EQ(after.error_of(2), VGPU_OK);
    EXPECT_EQ(rig.backends.ran.size(), 2U);  // each once
}

TEST(EngineClients, WhatEndedMeanwhileIsAskedOfTheBackendAgain) {
    EngineRig rig;
    RigClient& before = rig.connect(1, 77);
    before.ask(1, rig_job(1000));
    before.leave(true);
    rig.time.advance(5ms);
    ASSERT_EQ(rig.backends.ran.size(), 1U);
    RigClient& after = rig.connect(1, 77);
    after.ask(1, rig_job(1000), true);
    rig.time.run_all();
    EXPECT_EQ(after.error_of(1), VGPU_OK);
    ASSERT_EQ(rig.backends.ran.size(), 2U);  // it keeps the result, and knows by `again`
    EXPECT_TRUE(rig.backends.ran[1].again);
    EXPECT_EQ(rig.backends.ran[1].request_id, rig.backends.ran[0].request_id);
    EXPECT_EQ(rig.backends.ran[1].owner, rig.backends.ran[0].owner);
}

TEST(EngineClients, AGuestThatWasResetHasNothingAnyMore) {
    EngineRig rig;
    RigClient& client = rig.connect(1, 77);
    RigClient& other = rig.connect(2, 88);
    other.ask(1, rig_job(10, VGPU_OP_MEM_ALLOC));
    client.ask(1, rig_job(10, VGPU_OP_MEM_ALLOC));
    rig.time.advance(1ms);
    client.ask(2, rig_job(60'000'000));  // runs
    client.ask(3, rig_job(10));          // waits
    rig.time.advance(1ms);
    rig.engine->forget(client.admission.key);
    EXPECT_EQ(client.error_of(3), VGPU_ERROR_CANCELLED);
    client.ask(4, rig_job(10, VGPU_OP_MEM_ALLOC));
    rig.time.advance(1ms);
    EXPECT_EQ(client.error_of(2), VGPU_ERROR_CANCELLED);
    EXPECT_EQ(client.error_of(4), VGPU_OK);
    ASSERT_EQ(rig.backends.released.size(), 1U) << "once, and before the new memory";
    EXPECT_EQ(rig.backends.released[0].second, (backend::Owner{1, 77}));
    EXPECT_EQ(rig.backends.ran.back().request_id, 4U);
    client.leave(true);
    rig.time.advance(11s);
    EXPECT_EQ(rig.backends.released.size(), 2U) << "the new memory is the session's";
}

TEST(EngineClients, MemoryOfADeviceThatStaysAwayIsFreed) {
    EngineRig rig;
    RigClient& client = rig.connect(1, 77);
    client.ask(1, rig_job(10, VGPU_OP_MEM_ALLOC));
    rig.time.advance(1ms);
    client.ask(2, rig_job(60'000'000));
    client.ask(3, rig_job(10));
    client.leave(true);
    rig.time.advance(9s);
    EXPECT_TRUE(rig.backends.released.empty());
    rig.time.advance(2s);
    ASSERT_EQ(rig.backends.released.size(), 1U);  // after the job that ran was ended
    EXPECT_EQ(rig.backends.released[0].second, (backend::Owner{1, 77}));
    ASSERT_EQ(rig.backends.ran.size(), 2U);
    EXPECT_EQ(rig.backends.ran[1].error, VGPU_ERROR_CANCELLED);
    EXPECT_EQ(rig.vm(1).waiting + rig.vm(1).running, 0U);
    EXPECT_TRUE(client.got.size() == 1);
}

TEST(EngineClients, WhoCannotComeBackLosesAllAtOnce) {
    EngineRig rig;
    RigClient& client = rig.connect(1, 77);
    client.ask(1, rig_job(10, VGPU_OP_MEM_ALLOC));
    rig.time.advance(1ms);
    client.leave(false);
    EXPECT_EQ(rig.backends.released.size(), 1U);
}

TEST(EngineClients, NewerConnectionTakesItsSessionOver) {
    EngineRig rig;
    RigClient& before = rig.connect(1, 77);
    before.ask(1, rig_job(1000));
    RigClient& after = rig.connect(1, 77);
    EXPECT_TRUE(before.replaced);
    after.ask(1, rig_job(1000), true);
    before.ask(2, rig_job(1000));  // is heard no more
    before.leave(true);
    rig.time.run_all();
    EXPECT_TRUE(before.got.empty());
    EXPECT_EQ(after.got.size(), 1U);
    EXPECT_EQ(rig.vm(1).connections, 1U);
}

TEST(EngineClients, SessionsOfOneNameAreEachVmsOwn) {
    EngineRig rig;
    RigClient& one = rig.connect(1, 77);
    RigClient& two = rig.connect(2, 77);
    EXPECT_FALSE(one.replaced);
    one.ask(1, rig_job(10));
    two.ask(1, rig_job(10));
    rig.time.run_all();
    EXPECT_EQ(rig.backends.ran[0].owner, (backend::Owner{1, 77}));
    EXPECT_EQ(rig.backends.ran[1].owner, (backend::Owner{2, 77}));
}

TEST(EngineClients, ConnectionsWithoutASessionShareOne) {
    EngineRig rig;
    RigClient& one = rig.connect(1, 0);
    RigClient& two = rig.connect(1, 0);
    one.ask(1, rig_job(10, VGPU_OP_MEM_ALLOC));
    two.ask(1, rig_job(10));
    rig.time.advance(1ms);
    EXPECT_EQ(one.error_of(1), VGPU_OK);
    EXPECT_EQ(two.error_of(1), VGPU_OK);
    EXPECT_NE(rig.backends.ran[0].request_id, rig.backends.ran[1].request_id);
    one.leave(false);
    two.ask(2, rig_job(60'000));
    two.leave(false);  // nobody can ask for it again
    rig.time.advance(1ms);
    EXPECT_EQ(rig.backends.ran.back().error, VGPU_ERROR_CANCELLED);
    EXPECT_TRUE(rig.backends.released.empty());
    rig.time.advance(11s);
    EXPECT_EQ(rig.backends.released.size(), 1U);
}

// A mediator that was killed: the next one finds what backends have, and frees what nobody wants.
TEST(EngineClients, OwnersFromBeforeAreFoundAgain) {
    FakeBackends prepared;
    prepared.found["A1"] = {{1, 77}, {2, 88}};
    EngineRig rig(rig_config(2), prepared);
    RigClient& client = rig.connect(1, 77);
    for (uint64_t id = 1; id <= 4; ++id) client.ask(id, rig_job(10), true);
    rig.time.advance(1ms);
    for (const auto& ran : rig.backends.ran) EXPECT_EQ(ran.backend, "A1");
    rig.time.advance(11s);
    ASSERT_EQ(rig.backends.released.size(), 1U);
    EXPECT_EQ(rig.backends.released[0].second, (backend::Owner{2, 88}));
}

// Backends come one after the other, and one of them has the memory: what is asked before that is
// known waits. Who is new does not.
TEST(EngineClients, WhoReturnsWaitsUntilItsMemoryIsFound) {
    FakeBackends prepared;
    prepared.ready_at_once = false;
    prepared.found["A1"] = {{1, 77}, {3, 0}};
    EngineRig rig(rig_config(2), prepared);
    RigClient& returning = rig.connect(Client{1, 77, 'A', Priority::kMedium, ::geteuid(), true});
    RigClient& gone = rig.connect(Client{2, 88, 'A', Priority::kMedium, ::geteuid(), true});
    RigClient& legacy = rig.connect(3, 0);
    RigClient& fresh = rig.connect(4, 99);
    for (RigClient* const client : {&returning, &gone, &legacy, &fresh}) {
        client->ask(1, rig_job(10), true);
        client->ask(2, compute::make_request(VGPU_OP_SYNCHRONIZE));
    }
    rig.backends.now["A0"]->become_ready();
    rig.time.advance(1s);
    EXPECT_EQ(fresh.error_of(2), VGPU_OK);
    EXPECT_TRUE(returning.got.empty());
    EXPECT_TRUE(gone.got.empty());
    EXPECT_TRUE(legacy.got.empty());
    rig.backends.now["A1"]->become_ready();
    rig.time.advance(1s);
    for (const RigClient* const client : {&returning, &gone, &legacy})
        EXPECT_EQ(client->error_of(2), VGPU_OK);
    for (const auto& ran : rig.backends.ran) {
        if (ran.owner.vm != 1 && ran.owner.vm != 3) continue;
        EXPECT_EQ(ran.backend, "A1");
    }
    EXPECT_EQ(rig.backends.ran.size(), 4U);
}

// A backend that is found again is ready only when the job that it had is over.
TEST(EngineClients, WhoReturnsWaitsForTheJobOfAnEarlierMediator) {
    FakeBackends prepared;
    prepared.ready_at_once = false;
    prepared.attaching = true;
    prepared.found["A0"] = {{1, 77}};
    EngineRig rig(rig_config(), prepared);
    RigClient& client = rig.connect(Client{1, 77, 'A', Priority::kMedium, ::geteuid(), true});
    client.ask(1, rig_job(10), true);
    rig.time.advance(59s);
    EXPECT_TRUE(client.got.empty());
    rig.backends.now["A0"]->become_ready();
    rig.time.advance(1s);
    EXPECT_EQ(client.error_of(1), VGPU_OK);
    EXPECT_EQ(rig.audited("backend-down"), 0U);
}

TEST(EngineClients, NobodyWaitsForAJobLongerThanAnyMayTake) {
    FakeBackends prepared;
    prepared.ready_at_once = false;
    prepared.attaching = true;
    Config config = rig_config();
    config.others->limits.job_timeout = 20s;
    EngineRig rig(config, prepared);
    RigClient& client = rig.connect(Client{1, 77, 'A', Priority::kMedium, ::geteuid(), true});
    client.ask(1, rig_job(10), true);
    rig.time.advance(49s);
    EXPECT_TRUE(client.got.empty());
    rig.time.advance(2s);
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_POOL);
}

TEST(EngineClients, AcknowledgementsReachTheBackendsThatWereUsed) {
    EngineRig rig(rig_config(2));
    RigClient& client = rig.connect(1, 77);
    rig.engine->acknowledge(client.admission.key, 1);
    client.ask(1, rig_job(10));
    rig.time.run_all();
    rig.engine->acknowledge(client.admission.key, 1);
    ASSERT_EQ(rig.backends.acknowledged.size(), 1U);
    EXPECT_EQ(rig.backends.acknowledged[0].second, 1U);
}

// One connection a request is what v1 and v2 have; the audit log is two files of 16 MiB.
TEST(EngineClients, FloodOfConnectionsLeavesFewLines) {
    EngineRig rig;
    for (int i = 0; i < 5000; ++i) {
        rig.connect(1, 0).leave(false);
        rig.clients.clear();
    }
    EXPECT_LE(rig.audited("connected") + rig.audited("left"), 50U);
    rig.connect(2, 0);
    EXPECT_EQ(rig.audit.back().vm, 2U) << "another VM's is not hidden";
    rig.time.advance(2min);
    rig.connect(1, 0);
    EXPECT_THAT(rig.audit.back().detail, testing::HasSubstr("4980 more like it"));
    for (VmId id = 10; id < 6000; ++id) {
        rig.connect(id, 1).leave(false);
        rig.clients.clear();
    }
    EXPECT_LE(rig.audit.size(), 1100U);
}

TEST(EngineClients, FloodOfVmsAndSessionsIsBounded) {
    EngineRig rig;
    for (VmId id = 1; id <= 6000; ++id) {
        RigClient& client = rig.connect(id, 1);
        ASSERT_EQ(client.admission.error, VGPU_OK);
        client.leave(true);
        rig.clients.clear();
    }
    EXPECT_LE(rig.engine->status().vms.size(), 4096U);
    size_t refused = 0;
    for (uint64_t session = 1; session <= 200; ++session) {
        if (rig.connect(7000, session).admission.error == VGPU_ERROR_QUEUE_FULL) ++refused;
    }
    EXPECT_EQ(refused, 200U - 64U);
}

}  // namespace
}  // namespace mimic::mediator
