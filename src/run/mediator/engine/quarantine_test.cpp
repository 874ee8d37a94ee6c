// SPDX-License-Identifier: Apache-2.0
// Limits, timeouts, and what comes of faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mediator/engine/testing/engine_rig.h"

namespace mimic::mediator {
namespace {

using namespace std::chrono_literals;

Config with_limits(const Limits& limits) {
    Config config = rig_config();
    config.others->limits = limits;
    return config;
}

TEST(EngineLimits, RateIsATokenBucketThatBeginsFull) {
    Limits limits;
    limits.rate = 10;
    limits.burst = 3;
    EngineRig rig(with_limits(limits));
    RigClient& client = rig.connect(1);
    const auto nop = compute::make_request(VGPU_OP_NOP);
    for (uint64_t id = 1; id <= 5; ++id) client.ask(id, nop);
    EXPECT_EQ(client.error_of(3), VGPU_OK);
    EXPECT_EQ(client.error_of(4), VGPU_ERROR_RATE_LIMITED);
    rig.time.advance(100ms);
    client.ask(6, nop);
    client.ask(7, nop);
    EXPECT_EQ(client.error_of(6), VGPU_OK);
    EXPECT_EQ(client.error_of(7), VGPU_ERROR_RATE_LIMITED);
    EXPECT_EQ(rig.vm(1).counters.rejected_rate, 3U);
}

// What a mediator before a restart had taken is not said to have been refused; and to call
// everything sent before is no way around the limit.
TEST(EngineLimits, WhatWasSentBeforeIsOwedForButNotWithoutEnd) {
    Limits limits;
    limits.rate = 10;
    limits.queue_depth = 1;
    EngineRig rig(with_limits(limits));
    RigClient& client = rig.connect(1);
    const auto nop = compute::make_request(VGPU_OP_NOP);
    for (uint64_t id = 1; id <= 257; ++id) client.ask(id, nop, true);
    EXPECT_EQ(client.error_of(257), VGPU_OK);
    for (uint64_t id = 258; id <= 1000; ++id) client.ask(id, nop, true);
    EXPECT_EQ(client.error_of(524), VGPU_OK);
    EXPECT_EQ(client.error_of(525), VGPU_ERROR_RATE_LIMITED);
    rig.time.advance(51s);  // until all is paid back
    client.ask(1001, nop);
    EXPECT_EQ(client.error_of(1001), VGPU_ERROR_RATE_LIMITED);
    rig.time.advance(1s);
    client.ask(1002, nop);
    EXPECT_EQ(client.error_of(1002), VGPU_OK);
    RigClient& other = rig.connect(2);
    for (uint64_t id = 1; id <= 10; ++id) other.ask(id, rig_job(10), true);
    rig.time.run_all();
    EXPECT_EQ(other.error_of(10), VGPU_OK);
}

// The public mediator's fills up with each reconfiguration.
TEST(EngineLimits, ReconfiguringIsNoWayToMoreTokens) {
    Limits limits;
    limits.rate = 10;
    EngineRig rig(with_limits(limits));
    RigClient& client = rig.connect(1);
    const auto nop = compute::make_request(VGPU_OP_NOP);
    for (uint64_t id = 1; id <= 10; ++id) client.ask(id, nop);
    limits.rate = 20;
    ASSERT_TRUE(rig.engine->set_limits(1, limits));
    client.ask(11, nop);
    EXPECT_EQ(client.error_of(10), VGPU_OK);
    EXPECT_EQ(client.error_of(11), VGPU_ERROR_RATE_LIMITED);
    rig.connect(1, 2).ask(12, nop);  // nor is another connection
    EXPECT_EQ(rig.clients.back()->error_of(12), VGPU_ERROR_RATE_LIMITED);
}

TEST(EngineLimits, DepthCountsWhatWaits) {
    Limits limits;
    limits.queue_depth = 2;
    EngineRig rig(with_limits(limits));
    RigClient& client = rig.connect(1);
    for (uint64_t id = 1; id <= 4; ++id) client.ask(id, rig_job(1000));  // 1 runs, 2 and 3 wait
    EXPECT_EQ(client.error_of(4), VGPU_ERROR_QUEUE_FULL);
    EXPECT_EQ(rig.vm(1).counters.rejected_depth, 1U);
    rig.time.advance(1ms);
    client.ask(5, rig_job(1000));
    rig.time.run_all();
    EXPECT_EQ(client.error_of(5), VGPU_OK);
}

TEST(EngineLimits, OneVmsDepthIsNotAnothers) {
    Limits limits;
    limits.queue_depth = 1;
    EngineRig rig(with_limits(limits));
    RigClient& noisy = rig.connect(1);
    for (uint64_t id = 1; id <= 10; ++id) noisy.ask(id, rig_job(1000));
    RigClient& quiet = rig.connect(2);
    quiet.ask(1, rig_job(1000));
    rig.time.run_all();
    EXPECT_EQ(quiet.error_of(1), VGPU_OK);
}

TEST(EngineLimits, MemoryLimitAndTimeoutReachTheBackend) {
    Limits limits;
    limits.memory_bytes = 12345;
    limits.job_timeout = 5ms;
    EngineRig rig(with_limits(limits));
    RigClient& client = rig.connect(1);
    client.ask(1, rig_job(60'000));
    client.ask(2, rig_job(10));
    rig.time.run_all();
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_TIMEOUT);
    EXPECT_EQ(client.error_of(2), VGPU_OK);
    EXPECT_EQ(rig.backends.ran[0].memory_limit, 12345U);
    EXPECT_EQ(rig.backends.ran[0].ended, TimePoint{} + 5ms);
    EXPECT_EQ(rig.vm(1).counters.timeouts, 1U);
    EXPECT_EQ(rig.vm(1).counters.faults, 1U);
}

struct Faulty {
    explicit Faulty(uint32_t faults = 3, Duration release = 1min) {
        Config config = rig_config();
        config.quarantine.faults = faults;
        config.quarantine.window = 10s;
        config.quarantine.release = release;
        rig = std::make_unique<EngineRig>(config);
    }
    std::unique_ptr<EngineRig> rig;
};

TEST(EngineQuarantine, FaultsWithinTheWindowLeadThere) {
    Faulty faulty;
    EngineRig& rig = *faulty.rig;
    RigClient& client = rig.connect(1);
    rig.engine->fault(1, "a");
    rig.engine->fault(1, "b");
    rig.time.advance(11s);  // they are forgotten
    rig.engine->fault(1, "c");
    rig.engine->fault(1, "d");
    EXPECT_FALSE(rig.vm(1).quarantined);
    rig.engine->fault(1, "e");
    EXPECT_TRUE(rig.vm(1).quarantined);
    EXPECT_EQ(rig.vm(1).quarantine_left, 60s);
    EXPECT_THAT(rig.vm(1).quarantine_reason, testing::HasSubstr("e"));
    client.ask(1, compute::make_request(VGPU_OP_NOP));
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_QUARANTINED);
    EXPECT_EQ(rig.vm(1).counters.rejected_quarantine, 1U);
}

TEST(EngineQuarantine, AnswersWhatWaitsAndSparesOthers) {
    Faulty faulty;
    EngineRig& rig = *faulty.rig;
    RigClient& bad = rig.connect(1);
    RigClient& good = rig.connect(2);
    for (uint64_t id = 1; id <= 3; ++id) {
        bad.ask(id, rig_job(1000));
        good.ask(id, rig_job(1000));
    }
    for (int i = 0; i < 3; ++i) rig.engine->fault(1, "test");
    EXPECT_EQ(bad.error_of(2), VGPU_ERROR_QUARANTINED);
    EXPECT_EQ(bad.error_of(3), VGPU_ERROR_QUARANTINED);
    rig.time.advance(1s);
    EXPECT_EQ(bad.error_of(1), VGPU_OK);  // it ran already
    for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(good.error_of(id), VGPU_OK);
}

TEST(EngineQuarantine, TimeoutsAndDeadBackendsAreFaults) {
    Faulty faulty(2);
    EngineRig& rig = *faulty.rig;
    Limits limits;
    limits.job_timeout = 1ms;
    ASSERT_TRUE(rig.engine->set_limits(1, limits));
    RigClient& client = rig.connect(1);
    client.ask(1, rig_job(5000));
    rig.time.advance(2ms);
    client.ask(2, rig_job(500));
    rig.backends.now["A0"]->die();
    rig.time.run();
    EXPECT_EQ(client.error_of(2), VGPU_ERROR_BACKEND);
    EXPECT_TRUE(rig.vm(1).quarantined);
    EXPECT_EQ(rig.audited("timeout"), 1U);
    EXPECT_EQ(rig.audited("backend-died"), 1U);
}

TEST(EngineQuarantine, EndsByItselfAfterItsTime) {
    Faulty faulty(1, 30s);
    EngineRig& rig = *faulty.rig;
    RigClient& client = rig.connect(1);
    rig.engine->fault(1, "test");
    rig.time.advance(29s);
    EXPECT_TRUE(rig.vm(1).quarantined);
    rig.time.advance(1s);
    EXPECT_FALSE(rig.vm(1).quarantined);
    client.ask(1, compute::make_request(VGPU_OP_NOP));
    EXPECT_EQ(client.error_of(1), VGPU_OK);
    EXPECT_EQ(rig.audited("released"), 1U);
}

TEST(EngineQuarantine, ByHandLastsUntilReleasedByHand) {
    EngineRig rig;
    ASSERT_TRUE(rig.engine->quarantine(9, "operator", {}));  // not connected yet
    RigClient& client = rig.connect(9);
    rig.time.advance(24h);
    client.ask(1, compute::make_request(VGPU_OP_NOP));
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_QUARANTINED);
    ASSERT_TRUE(rig.engine->release(9));
    client.ask(2, compute::make_request(VGPU_OP_NOP));
    EXPECT_EQ(client.error_of(2), VGPU_OK);
    EXPECT_FALSE(rig.engine->release(9));
    EXPECT_FALSE(rig.engine->release(10));
}

TEST(EngineQuarantine, NoFaultsConfiguredIsNever) {
    Faulty faulty(0);
    EngineRig& rig = *faulty.rig;
    rig.connect(1);
    for (int i = 0; i < 100; ++i) rig.engine->fault(1, "test");
    EXPECT_FALSE(rig.vm(1).quarantined);
    EXPECT_EQ(rig.vm(1).counters.faults, 100U);
}

}  // namespace
}  // namespace mimic::mediator
