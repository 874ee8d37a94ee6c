// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <random>

#include "base/testing/virtual_time.h"
#include "sim/builtin/spec.h"

namespace mimic::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr SimTime kNs = kPicosecondsPerNanosecond;

struct Told {
    uint64_t id;
    uint32_t status;
    SimTime submitted;
    SimTime finished;
    uint64_t result;
    bool operator==(const Told&) const = default;
};

SSTRequest request_of(uint32_t type, uint64_t id) {
    SSTRequest request{};
    request.type = type;
    request.request_id = id;
    request.user_data = ~id;
    return request;
}

SSTRequest compute(uint64_t id, uint64_t units, uint32_t model = 0) {
    SSTRequest request = request_of(SST_REQ_COMPUTE, id);
    request.payload.compute.compute_units = units;
    request.payload.compute.latency_model = model;
    return request;
}

SSTRequest memory(uint32_t type, uint64_t address, uint32_t size, uint8_t fill = 0) {
    SSTRequest request = request_of(type, address);
    std::memset(request.payload.data + 16, fill, SST_MAX_DATA_SIZE - 16);
    request.payload.memory.addr = address;
    request.payload.memory.size = size;
    return request;
}

SSTRequest configure(uint32_t parameter, uint64_t value) {
    SSTRequest request = request_of(SST_REQ_CONFIGURE, parameter);
    request.payload.config.param_id = parameter;
    request.payload.config.value = value;
    return request;
}

class BuiltinTest : public testing::Test, public SimulatorObserver {
protected:
    void make(const BuiltinSpec& spec) {
        auto made = make_builtin(spec, time_);
        ASSERT_TRUE(made) << made.error().message();
        simulator_ = std::move(*made);
        simulator_->set_observer(this);
    }
    void on_event(const SSTEvent& event) override { events_.push_back(event); }

    void submit(const SSTRequest& request, SimTime guest_time = 0) {
        simulator_->submit(request, guest_time, [this](const Answer& answer) {
            const SSTResponse& response = answer.response;
            EXPECT_EQ(response.user_data, ~response.request_id);
            told_.push_back({response.request_id, response.status, answer.submitted,
                             answer.finished, response.result});
            last_ = response;
            if (then_) then_();
        });
    }
    // The answer, once everything is done.
    SSTResponse ask(const SSTRequest& request) {
        const size_t before = told_.size();
        submit(request);
        time_.run_all();
        EXPECT_EQ(told_.size(), before + 1);
        return last_;
    }
    std::vector<uint64_t> ids() const {
        std::vector<uint64_t> result;
        for (const Told& told : told_) result.push_back(told.id);
        return result;
    }

    VirtualTime time_;
    std::unique_ptr<Simulator> simulator_;
    std::vector<Told> told_;
    SSTResponse last_{};
    std::vector<SSTEvent> events_;
    std::function<void()> then_;
};

TEST_F(BuiltinTest, AsMadeIsTheSeedsDevice) {
    make({});
    const SSTResponse response = ask(compute(5, 10));
    // 10 units of 100 cycles, 1 GHz: what Linux SST's component reports.
    EXPECT_EQ(response.status, SST_STATUS_OK);
    EXPECT_EQ(response.result, 1000u);
    EXPECT_EQ(response.payload.compute.cycles, 1000u);
    EXPECT_EQ(response.payload.compute.timestamp, 1000u);
    EXPECT_EQ(told_[0].finished, 1000 * kNs);
    EXPECT_EQ(simulator_->now(), 1000 * kNs);
    EXPECT_EQ(simulator_->in_flight(), 0u);
    EXPECT_EQ(simulator_->counters().answered, 1u);
}

TEST_F(BuiltinTest, FastTellsInOrderOfSimulatedTimeWithoutWallTime) {
    make({.models = {{.kind = ModelKind::kLinear, .per_unit = kNs}}, .units = 4});
    for (const uint64_t units : {30u, 10u, 20u, 10u}) submit(compute(units + told_.size(), units));
    submit(request_of(SST_REQ_NOOP, 1));
    EXPECT_THAT(told_, IsEmpty());
    EXPECT_EQ(simulator_->in_flight(), 5u);
    const auto start = time_.now();
    time_.run();
    EXPECT_EQ(time_.now(), start);
    EXPECT_THAT(ids(), ElementsAre(1, 10, 10, 20, 30));
    EXPECT_EQ(simulator_->in_flight(), 0u);
}

TEST_F(BuiltinTest, FastTellsABoundedNumberInATurn) {
    make({});
    for (uint64_t i = 0; i < 1000; ++i) submit(request_of(SST_REQ_NOOP, i));
    time_.turn();
    EXPECT_GT(told_.size(), 0u);
    EXPECT_LT(told_.size(), 1000u);
    time_.run();
    EXPECT_EQ(told_.size(), 1000u);
}

TEST_F(BuiltinTest, ScaledWaitsForTheWallClockTimesItsScale) {
    make({.models = {{.kind = ModelKind::kFixed, .latency = 10'000 * kNs}},
          .pace = Pace::kScaled,
          .scale = 3,
          .units = 2});
    time_.advance(microseconds(90));
    submit(compute(1, 1));
    EXPECT_EQ(simulator_->now(), 30'000 * kNs);
    time_.advance(microseconds(29));
    EXPECT_THAT(told_, IsEmpty());
    submit(request_of(SST_REQ_NOOP, 2));  // comes before what was first
    time_.advance(nanoseconds(999));
    EXPECT_THAT(ids(), ElementsAre(2));
    time_.advance(nanoseconds(1));
    EXPECT_THAT(ids(), ElementsAre(2, 1));
    EXPECT_EQ(told_[1].submitted, 30'000 * kNs);
    EXPECT_EQ(told_[1].finished, 40'000 * kNs);
}

TEST_F(BuiltinTest, ScaledNeverTellsEarlyAndSoonEnough) {
    for (const double scale : {1e-6, 0.37, 1.0, 1234.5}) {
        make({.models = {{.kind = ModelKind::kLinear, .per_unit = 1}},
              .pace = Pace::kScaled,
              .scale = scale,
              .units = 64});
        std::mt19937_64 random(4);
        const TimePoint epoch = time_.now();
        then_ = [&] {
            const double wall = static_cast<double>((time_.now() - epoch).count());
            const double due = static_cast<double>(told_.back().finished) / 1000 * scale;
            EXPECT_GE(wall, due - 1e-6 * due);
            EXPECT_LE(wall, due * (1 + 1e-6) + 2);
        };
        for (int i = 0; i < 200; ++i) {
            submit(compute(1, random() % 1'000'000));
            time_.advance(nanoseconds(random() % 2000));
        }
        time_.run_all();
        then_ = nullptr;
    }
    EXPECT_EQ(told_.size(), 800u);
}

TEST_F(BuiltinTest, LockStepKnowsAllEndsAtSubmission) {
    make({.models = {{.kind = ModelKind::kFixed, .latency = 10 * kNs}}, .pace = Pace::kLockStep});
    submit(compute(1, 1), 100 * kNs);
    submit(compute(2, 1), 105 * kNs);
    submit(compute(3, 1), 90 * kNs);  // does not go back
    submit(compute(4, 1), 1000 * kNs);
    EXPECT_THAT(
        told_,
        ElementsAre(Told{1, 0, 100 * kNs, 110 * kNs, 10}, Told{2, 0, 105 * kNs, 120 * kNs, 10},
                    Told{3, 0, 105 * kNs, 130 * kNs, 10}, Told{4, 0, 1000 * kNs, 1010 * kNs, 10}));
    EXPECT_TRUE(time_.idle());
}

TEST_F(BuiltinTest, SeedsReplayBitForBitInAllPaces) {
    const auto run = [&](Pace pace, uint64_t seed) {
        told_.clear();
        make({.models = {{.kind = ModelKind::kLinear, .jitter = 0.3},
                         {.kind = ModelKind::kRoofline,
                          .bandwidth = 1'000'000'007,
                          .bytes_per_unit = 13,
                          .peak = 999'999'937,
                          .operations_per_unit = 11,
                          .jitter = 0.9},
                         {.kind = ModelKind::kContention, .shared = 3, .penalty = 0.1}},
              .pace = pace,
              .scale = 0.77,
              .seed = seed,
              .units = 3,
              .memory_bandwidth = 3'000'000'001});
        std::mt19937_64 random(99);
        for (uint64_t i = 0; i < 300; ++i) {
            submit(random() % 4 == 0
                       ? memory(SST_REQ_READ, random() % 10'000,
                                static_cast<uint32_t>(random() % 4000))
                       : compute(i, random() % 1000, static_cast<uint32_t>(random() % 3)),
                   i * 777 * kNs);
            if (random() % 3 == 0) time_.advance(nanoseconds(random() % 5000));
        }
        time_.run_all();
        EXPECT_EQ(told_.size(), 300u);
        return told_;
    };
    for (const Pace pace : {Pace::kFast, Pace::kScaled, Pace::kLockStep}) {
        const auto first = run(pace, 5);
        EXPECT_EQ(run(pace, 5), first);
        EXPECT_NE(run(pace, 6), first);
    }
}

TEST_F(BuiltinTest, ResetIsAStartAnew) {
    make({.models = {{.kind = ModelKind::kLinear, .jitter = 0.5}}, .pace = Pace::kScaled});
    const auto round = [&] {
        told_.clear();
        submit(memory(SST_REQ_READ, 0, 8));
        for (uint64_t i = 0; i < 5; ++i) submit(compute(i, 100));
        time_.run_all();
        EXPECT_EQ(told_.size(), 6u);
        return told_;
    };
    const auto first = round();
    ask(memory(SST_REQ_WRITE, 0, 8, 0xaa));
    ask(configure(SST_PARAM_NS_PER_UNIT, 7));
    submit(compute(77, 1'000'000));
    told_.clear();
    simulator_->reset();
    EXPECT_EQ(simulator_->in_flight(), 0u);
    EXPECT_EQ(simulator_->now(), 0u);
    time_.run_all();
    EXPECT_THAT(told_, IsEmpty());  // 77 is forgotten
    simulator_->reset();            // time went on
    EXPECT_EQ(round(), first);
    ask(memory(SST_REQ_READ, 0, 8));
    EXPECT_EQ(last_.payload.data[0], 0);
}

TEST_F(BuiltinTest, DoneMayResetAndSubmit) {
    make({});
    for (uint64_t i = 1; i <= 5; ++i) submit(compute(i, i));
    then_ = [&] {
        if (told_.size() == 2) {
            simulator_->reset();
            submit(compute(9, 1));
        }
    };
    time_.run_all();
    EXPECT_THAT(ids(), ElementsAre(1, 2, 9));
    EXPECT_EQ(told_[2].finished, 100 * kNs);
}

TEST_F(BuiltinTest, NothingIsToldAfterTheSimulatorHasGone) {
    for (const Pace pace : {Pace::kFast, Pace::kScaled}) {
        make({.pace = pace});
        submit(compute(1, 1));
        simulator_.reset();
        time_.run_all();
        EXPECT_THAT(told_, IsEmpty());
    }
}

TEST_F(BuiltinTest, MoreInFlightThanTheBoundAreBusy) {
    make({.max_in_flight = 2});
    submit(compute(1, 1));
    submit(compute(2, 1));
    submit(compute(3, 1));
    ASSERT_EQ(told_.size(), 1u);
    EXPECT_EQ(told_[0].id, 3u);
    EXPECT_EQ(told_[0].status, uint32_t{SST_STATUS_BUSY});
    time_.run_all();
    EXPECT_THAT(ids(), ElementsAre(3, 1, 2));
    EXPECT_EQ(simulator_->counters().submitted, 3u);
    EXPECT_EQ(simulator_->counters().answered, 3u);
}

TEST_F(BuiltinTest, MemoryIsReadAsItWasWritten) {
    make({.memory_bytes = 1 << 20, .memory_latency = 50 * kNs, .memory_bandwidth = 1'000'000'000});
    EXPECT_EQ(ask(memory(SST_REQ_WRITE, 4090, 100, 0x5a)).result, 100u);
    EXPECT_EQ(told_[0].finished, 150 * kNs);
    const SSTResponse response = ask(memory(SST_REQ_READ, 4080, 200));
    EXPECT_EQ(response.result, 200u);
    for (size_t i = 0; i < 200; ++i) {
        ASSERT_EQ(response.payload.data[i], i >= 10 && i < 110 ? 0x5a : 0) << i;
    }
    EXPECT_EQ(response.payload.data[200], 0);
    // In order of submission, though both are in flight at once; the bus is shared.
    told_.clear();
    submit(memory(SST_REQ_WRITE, 0, 10, 1));
    submit(memory(SST_REQ_READ, 0, 10));
    time_.run_all();
    EXPECT_EQ(last_.payload.data[9], 1);
    EXPECT_EQ(told_[1].finished - told_[0].finished, 10 * kNs);
}

TEST_F(BuiltinTest, WhatLiesOutsideOfMemoryIsInvalid) {
    make({.memory_bytes = 10'000});
    const auto status = [&](const SSTRequest& request) { return ask(request).status; };
    EXPECT_EQ(status(memory(SST_REQ_READ, 9'999, 1)), uint32_t{SST_STATUS_OK});
    EXPECT_EQ(status(memory(SST_REQ_READ, 10'000, 0)), uint32_t{SST_STATUS_OK});
    EXPECT_EQ(status(memory(SST_REQ_READ, 0, 4080)), uint32_t{SST_STATUS_OK});
    EXPECT_EQ(status(memory(SST_REQ_WRITE, 0, 4064)), uint32_t{SST_STATUS_OK});
    EXPECT_EQ(status(memory(SST_REQ_READ, 10'000, 1)), uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(status(memory(SST_REQ_READ, 0, 4081)), uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(status(memory(SST_REQ_READ, ~0ull, 4)), uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(status(memory(SST_REQ_READ, 0, ~0u)), uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(status(memory(SST_REQ_WRITE, 0, 4065)), uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(status(memory(SST_REQ_WRITE, 9'999, 2)), uint32_t{SST_STATUS_INVALID});
}

TEST_F(BuiltinTest, MemoryBeyondItsLimitIsAnError) {
    make({.memory_bytes = 1ull << 40, .memory_limit = 8192});
    EXPECT_EQ(ask(memory(SST_REQ_WRITE, 0, 10, 1)).status, uint32_t{SST_STATUS_OK});
    EXPECT_EQ(ask(memory(SST_REQ_WRITE, 1ull << 39, 10, 1)).status, uint32_t{SST_STATUS_OK});
    EXPECT_EQ(ask(memory(SST_REQ_WRITE, 1ull << 38, 10, 1)).status, uint32_t{SST_STATUS_ERROR});
    // Zeros take nothing.
    EXPECT_EQ(ask(memory(SST_REQ_WRITE, 1ull << 38, 10, 0)).status, uint32_t{SST_STATUS_OK});
}

TEST_F(BuiltinTest, EachTypeIsAnsweredAndUnknownOnesAreInvalid) {
    make({.memory_bytes = 12345});
    SSTRequest echo = request_of(SST_REQ_ECHO, 1);
    for (size_t i = 0; i < SST_MAX_DATA_SIZE; ++i) {
        echo.payload.data[i] = static_cast<uint8_t>(i * 7);
    }
    const SSTResponse back = ask(echo);
    EXPECT_EQ(back.result, uint64_t{SST_MAX_DATA_SIZE});
    EXPECT_EQ(std::memcmp(back.payload.data, echo.payload.data, SST_MAX_DATA_SIZE), 0);
    const SSTResponse info = ask(request_of(SST_REQ_GET_INFO, 2));
    EXPECT_EQ(info.payload.info.version, uint32_t{SST_VERSION});
    EXPECT_EQ(info.payload.info.capabilities, 0b101111u);
    EXPECT_EQ(info.payload.info.max_compute_units, uint64_t{SST_MAX_COMPUTE_UNITS});
    EXPECT_EQ(info.payload.info.memory_size, 12345u);
    EXPECT_EQ(ask(request_of(SST_REQ_NOOP, 3)).status, uint32_t{SST_STATUS_OK});
    for (const uint32_t type : {8u, 99u, ~0u}) {
        EXPECT_EQ(ask(request_of(type, 4)).status, uint32_t{SST_STATUS_INVALID});
    }
    EXPECT_EQ(ask(compute(5, SST_MAX_COMPUTE_UNITS)).status, uint32_t{SST_STATUS_OK});
    EXPECT_EQ(ask(compute(5, SST_MAX_COMPUTE_UNITS + 1)).status, uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(ask(compute(5, 1, 1)).status, uint32_t{SST_STATUS_INVALID});
}

TEST_F(BuiltinTest, WorkOfARequestIsTakenOnlyWithItsFlag) {
    make({.models = {{.kind = ModelKind::kSystolic, .rows = 4, .columns = 4}}});
    SSTRequest request = compute(1, 1);
    sst_work work{};
    work.m = 40;
    work.n = 4;
    work.k = 4;
    std::memcpy(request.payload.data + SST_WORK_OFFSET, &work, sizeof work);
    EXPECT_EQ(ask(request).result, 14u);  // the array's own: 2 x 4 + 4 + 4 - 2
    request.flags = SST_FLAG_WORK;
    EXPECT_EQ(ask(request).result, 140u);
    work.n = (1u << 20) + 1;
    std::memcpy(request.payload.data + SST_WORK_OFFSET, &work, sizeof work);
    EXPECT_EQ(ask(request).status, uint32_t{SST_STATUS_INVALID});
}

TEST_F(BuiltinTest, ParametersHaveRangesAndTellWhatWasBefore) {
    make({.models = {{}, {.kind = ModelKind::kFixed, .latency = kNs}}});
    struct Case {
        uint32_t id;
        uint64_t before, good, bad;
    };
    for (const Case& c :
         {Case{SST_PARAM_CLOCK_HZ, 1'000'000'000, 2'000'000'000, 0},
          Case{SST_PARAM_CLOCK_HZ, 2'000'000'000, 1, 1'000'000'000'001},
          Case{SST_PARAM_LAUNCH_LATENCY_NS, 0, 77, ~0ull},
          Case{SST_PARAM_NS_PER_UNIT, 100'000, 250, ~0ull},
          Case{SST_PARAM_MEMORY_LATENCY_NS, 100, 0, 10'000'000'000'001},
          Case{SST_PARAM_UNITS, 1, 65'536, 65'537}, Case{SST_PARAM_UNITS, 65'536, 3, 0},
          Case{SST_PARAM_LATENCY_MODEL, 0, 1, 2}}) {
        const SSTResponse bad = ask(configure(c.id, c.bad));
        EXPECT_EQ(bad.status, uint32_t{SST_STATUS_INVALID}) << c.id;
        EXPECT_EQ(bad.result, 0u);
        const SSTResponse good = ask(configure(c.id, c.good));
        EXPECT_EQ(good.status, uint32_t{SST_STATUS_OK}) << c.id;
        EXPECT_EQ(good.result, c.before) << c.id;
    }
    // The model that is chosen now has none.
    EXPECT_EQ(ask(configure(SST_PARAM_NS_PER_UNIT, 1)).status, uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(ask(configure(SST_PARAM_MEMORY_BANDWIDTH, ~0ull)).result, 0u);
    EXPECT_EQ(ask(configure(SST_PARAM_EVENT_MASK, 0)).result, ~0ull);
    EXPECT_EQ(ask(configure(0, 0)).status, uint32_t{SST_STATUS_INVALID});
    EXPECT_EQ(ask(configure(9, 0)).status, uint32_t{SST_STATUS_INVALID});
    // RESET as a request: all as at start.
    ask(request_of(SST_REQ_RESET, 1));
    EXPECT_EQ(ask(configure(SST_PARAM_NS_PER_UNIT, 1)).result, 100'000u);
    EXPECT_EQ(ask(configure(SST_PARAM_UNITS, 1)).result, 1u);
}

TEST_F(BuiltinTest, ParametersTakeEffect) {
    make({.models = {{}, {.kind = ModelKind::kFixed, .latency = 40 * kNs}}});
    ask(configure(SST_PARAM_LATENCY_MODEL, 1));
    ask(configure(SST_PARAM_LAUNCH_LATENCY_NS, 60));
    ask(configure(SST_PARAM_CLOCK_HZ, 500'000'000));
    EXPECT_EQ(ask(compute(1, 999)).result, 50u);
    ask(configure(SST_PARAM_MEMORY_LATENCY_NS, 5));
    ask(configure(SST_PARAM_MEMORY_BANDWIDTH, 1'000'000));
    ask(memory(SST_REQ_READ, 0, 3));
    EXPECT_EQ(told_.back().finished - told_.back().submitted, 3005 * kNs);
}

TEST_F(BuiltinTest, EventsTellOfCompletionsAndResets) {
    make({});
    SSTRequest request = compute(31, 5);
    request.flags = SST_FLAG_EVENT;
    then_ = [&] { EXPECT_THAT(events_, IsEmpty()); };  // the answer comes first
    ask(request);
    then_ = nullptr;
    ASSERT_EQ(events_.size(), 1u);
    EXPECT_EQ(events_[0].type, uint32_t{SST_EVENT_COMPLETION});
    EXPECT_EQ(events_[0].data, 31u);
    EXPECT_EQ(events_[0].timestamp, 500u);
    ask(request_of(SST_REQ_RESET, 1));
    ASSERT_EQ(events_.size(), 2u);
    EXPECT_EQ(events_[1].type, uint32_t{SST_EVENT_NOTIFICATION});
    EXPECT_EQ(events_[1].data, uint64_t{SST_NOTICE_RESET});
    ask(configure(SST_PARAM_EVENT_MASK, ~0ull - 1));
    ask(request);
    EXPECT_EQ(events_.size(), 2u);
}

// As a guest would that asks for the longest again and again.
TEST_F(BuiltinTest, SimulatedTimeEndsWithAnErrorUntilReset) {
    make({.models = {{.kind = ModelKind::kFixed, .latency = 10'000'000'000'000 * kNs}}});
    uint32_t status = SST_STATUS_OK;
    int count = 0;
    for (; status == SST_STATUS_OK && count < 2000; ++count) status = ask(compute(1, 1)).status;
    EXPECT_EQ(status, uint32_t{SST_STATUS_ERROR});
    EXPECT_EQ(ask(memory(SST_REQ_READ, 0, 1)).status, uint32_t{SST_STATUS_ERROR});
    EXPECT_EQ(ask(request_of(SST_REQ_NOOP, 1)).status, uint32_t{SST_STATUS_OK});
    simulator_->reset();
    EXPECT_EQ(ask(compute(1, 1)).status, uint32_t{SST_STATUS_OK});
}

}  // namespace
}  // namespace mimic::sim
