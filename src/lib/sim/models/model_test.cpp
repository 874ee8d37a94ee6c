// SPDX-License-Identifier: Apache-2.0
#include "sim/models/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <queue>
#include <random>

namespace mimic::sim {
namespace {

constexpr SimTime kNano = kPicosecondsPerNanosecond;
constexpr uint64_t kGigahertz = 1'000'000'000;

sst_work work_of(uint64_t operations, uint64_t bytes) {
    sst_work work{};
    work.operations = operations;
    work.bytes = bytes;
    return work;
}

sst_work work_of_gemm(uint32_t m, uint32_t n, uint32_t k) {
    sst_work work{};
    work.m = m;
    work.n = n;
    work.k = k;
    return work;
}

// A model with compute units of its own, 1 GHz.
struct Machine {
    Model model;
    Servers units;
    explicit Machine(ModelSpec spec, uint32_t count = 1, uint64_t seed = 1)
        : model(std::move(spec), seed), units(count) {}
    Service serve(uint64_t compute_units, SimTime time, sst_work work = {}, SimTime launch = 0) {
        return model.serve({compute_units, work}, time, {units, launch, kGigahertz});
    }
};

TEST(ServersTest, AreTheSameAsAListOfFreeTimes) {
    std::mt19937_64 random(11);
    for (const uint32_t count : {1u, 3u, 16u}) {
        Servers servers(count);
        std::vector<SimTime> free_at(count, 0);
        SimTime time = 0;
        for (int i = 0; i < 2000; ++i) {
            time += random() % 20;
            const SimTime length = random() % (uint64_t{30} * count);
            const auto first = std::min_element(free_at.begin(), free_at.end());
            const SimTime expected = std::max(time, *first);
            const SimTime start = servers.next(time);
            ASSERT_EQ(start, expected);
            *first = start + length;
            servers.begin();
            ASSERT_EQ(servers.busy_at(start),
                      static_cast<size_t>(std::count_if(free_at.begin(), free_at.end(),
                                                        [&](SimTime end) { return end > start; })) -
                          (length != 0));
            servers.serve_until(start + length);
        }
    }
}

TEST(ServersTest, FewerServersFinishWhatTheyHave) {
    Servers servers(4);
    for (const SimTime end : {10u, 20u, 30u, 40u}) {
        servers.next(0);
        servers.begin();
        servers.serve_until(end);
    }
    servers.set_count(2);
    // At 30 there is one left.
    EXPECT_EQ(servers.next(5), 30u);
    servers.set_count(5);
    EXPECT_EQ(servers.next(5), 5u);
}

TEST(ModelTest, FixedAndLinearQueueOnTheirUnits) {
    Machine fixed({.kind = ModelKind::kFixed, .latency = 10 * kNano}, 2);
    EXPECT_EQ(fixed.serve(1, 0).finish, 10 * kNano);
    EXPECT_EQ(fixed.serve(9, 0).finish, 10 * kNano);
    const Service third = fixed.serve(1, 3 * kNano);
    EXPECT_EQ(third.start, 10 * kNano);
    EXPECT_EQ(third.finish, 20 * kNano);

    Machine linear({.kind = ModelKind::kLinear, .latency = 5 * kNano, .per_unit = 3 * kNano});
    EXPECT_EQ(linear.serve(7, 100 * kNano, {}, 2 * kNano).finish, (100 + 2 + 5 + 21) * kNano);
    EXPECT_EQ(linear.serve(0, 200 * kNano).finish, 205 * kNano);
}

TEST(ModelTest, BandwidthIsSharedByUnits) {
    // 64 bytes at 1 GB/s are 64 ns on the bus; the latency is spent beside it.
    Machine machine({.kind = ModelKind::kBandwidth,
                     .latency = 10 * kNano,
                     .bandwidth = 1'000'000'000,
                     .bytes_per_unit = 64},
                    8);
    EXPECT_EQ(machine.serve(1, 0).finish, 74 * kNano);
    EXPECT_EQ(machine.serve(1, 0).finish, (74 + 64) * kNano);
    EXPECT_EQ(machine.serve(9, 0, work_of(0, 1000)).finish, (74 + 64 + 1000) * kNano);
    EXPECT_EQ(machine.serve(1, 5000 * kNano).finish, 5074 * kNano);
}

TEST(ModelTest, RooflineTakesItsWorkFromUnitsRequestOrMatrices) {
    // 1 operation a ps, 1 byte a ns.
    Machine machine({.kind = ModelKind::kRoofline,
                     .bandwidth = 1'000'000'000,
                     .bytes_per_unit = 2,
                     .peak = 1'000'000'000'000,
                     .operations_per_unit = 500});
    EXPECT_EQ(machine.serve(10, 0).finish, 20 * kNano);
    const SimTime later = 1000 * kNano;
    EXPECT_EQ(machine.serve(0, later, work_of(30'000, 3)).finish, later + 30'000);
    // 2 x 4 x 5 x 6 operations; 4 bytes for each of 24 + 30 + 20 elements.
    EXPECT_EQ(machine.serve(0, 2 * later, work_of_gemm(4, 5, 6)).finish, 2 * later + 296 * kNano);
}

TEST(ModelTest, SystolicTakesUnitsOfTheModelsShapeOrTheRequests) {
    Machine machine({.kind = ModelKind::kSystolic, .rows = 8, .columns = 4, .k = 100});
    // m and n are the array's: one fold of 2 x 8 + 4 + 100 - 2 cycles of 1 ns, three times.
    EXPECT_EQ(machine.serve(3, 0).finish, 354 * kNano);
    // m = 16: two folds.
    EXPECT_EQ(machine.serve(99, 1'000'000, work_of_gemm(16, 0, 0)).finish, 1'000'000 + 236 * kNano);
}

TEST(ModelTest, TableBySequenceBeginsAgain) {
    Machine machine({.kind = ModelKind::kTable,
                     .points = {{1, 10 * kNano}, {1, 20 * kNano}, {1, 5 * kNano}},
                     .lookup = Lookup::kSequence});
    SimTime time = 0;
    for (const SimTime expected : {10u, 20u, 5u, 10u}) {
        time += 1000 * kNano;
        EXPECT_EQ(machine.serve(1, time).finish, time + expected * kNano);
    }
    machine.model.reset();
    EXPECT_EQ(machine.serve(1, 10'000 * kNano).finish, 10'010 * kNano);
}

TEST(ModelTest, ContentionSlowsByThePenaltyForEachThatIsBusy) {
    Machine machine({.kind = ModelKind::kContention,
                     .latency = 0,
                     .per_unit = 10 * kNano,
                     .shared = 3,
                     .penalty = 0.5});
    EXPECT_EQ(machine.serve(10, 0).finish, 100 * kNano);
    EXPECT_EQ(machine.serve(10, 0).finish, 150 * kNano);
    EXPECT_EQ(machine.serve(10, 0).finish, 200 * kNano);
    // The first is free at 100; two others are busy then.
    EXPECT_EQ(machine.serve(10, 0).finish, 300 * kNano);
}

// Without a penalty and with exponential gaps, one server is an M/D/1 queue: the mean wait is
// rho / (2 (1 - rho)) service times (Pollaczek and Khinchine; Kleinrock, "Queueing Systems",
// volume 1, section 5.6).
TEST(ModelTest, OneServerWaitsAsAnMD1QueueDoes) {
    for (const double load : {0.3, 0.6, 0.8}) {
        Machine machine({.kind = ModelKind::kContention, .per_unit = 1000 * kNano, .shared = 1});
        std::mt19937_64 random(42);
        double time = 0;
        double waited = 0;
        constexpr int kRequests = 200'000;
        for (int i = 0; i < kRequests; ++i) {
            const double uniform = (static_cast<double>(random() >> 11) + 1) / 9007199254740993.0;
            time -= std::log(uniform) * 1e6 / load;
            const auto submitted = static_cast<SimTime>(time);
            waited += static_cast<double>(machine.serve(1, submitted).start - submitted);
        }
        const double mean = waited / kRequests / 1e6;
        const double expected = load / (2 * (1 - load));
        EXPECT_NEAR(mean / expected, 1, 0.05) << load;
    }
}

TEST(ModelTest, SeedsReplayAndDiffer) {
    const ModelSpec spec{.kind = ModelKind::kFixed, .latency = 1000 * kNano, .jitter = 0.2};
    const auto ends = [&](uint64_t seed, bool again) {
        Machine machine(spec, 4, seed);
        std::vector<SimTime> result;
        for (int round = 0; round < (again ? 2 : 1); ++round) {
            result.clear();
            machine.model.reset();
            machine.units.clear();
            for (SimTime t = 0; t < 100; ++t)
                result.push_back(machine.serve(1, t * 300 * kNano).finish);
        }
        return result;
    };
    EXPECT_EQ(ends(7, false), ends(7, false));
    EXPECT_EQ(ends(7, false), ends(7, true));
    EXPECT_NE(ends(7, false), ends(8, false));
}

TEST(ModelTest, WhatTakesTooLongReservesNothing) {
    Machine machine({.kind = ModelKind::kLinear, .per_unit = kLongest});
    EXPECT_EQ(machine.serve(2, 0).verdict, Service::Verdict::kTooMuch);
    EXPECT_EQ(machine.serve(1, 0).finish, kLongest);
    Machine matrix({.kind = ModelKind::kRoofline, .bandwidth = 1, .peak = 1});
    EXPECT_EQ(matrix.serve(0, 0, work_of_gemm(1u << 20, 1u << 20, 1u << 20)).verdict,
              Service::Verdict::kTooMuch);
    EXPECT_EQ(matrix.serve(0, 0, work_of(~0ull, 0)).verdict, Service::Verdict::kTooMuch);
}

TEST(ModelTest, SimulatedTimeEndsWithoutWrapping) {
    for (const ModelKind kind :
         {ModelKind::kFixed, ModelKind::kContention, ModelKind::kBandwidth}) {
        Machine machine({.kind = kind,
                         .latency = kLongest,
                         .per_unit = 0,
                         .bandwidth = 1,
                         .bytes_per_unit = 10'000},
                        65'536);
        SimTime last = 0;
        Service service;
        SimTime time = 0;
        for (int i = 0; i < 3000; ++i) {
            service = machine.serve(1, time);
            if (service.verdict != Service::Verdict::kServed) break;
            ASSERT_GE(service.finish, last);
            last = service.finish;
            time = kind == ModelKind::kFixed ? last : time;
        }
        EXPECT_EQ(service.verdict, Service::Verdict::kAtTheEnd);
        EXPECT_GT(last, kEnd);
    }
}

}  // namespace
}  // namespace mimic::sim
