// SPDX-License-Identifier: Apache-2.0
#include "sim/models/formulas.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace mimic::sim {
namespace {

using Matrix = std::vector<std::vector<int64_t>>;

Matrix random_matrix(std::mt19937& random, size_t rows, size_t columns) {
    Matrix matrix(rows, std::vector<int64_t>(columns));
    for (auto& row : matrix)
        for (auto& value : row) value = static_cast<int64_t>(random() % 19) - 9;
    return matrix;
}

Matrix product(const Matrix& a, const Matrix& b) {
    Matrix c(a.size(), std::vector<int64_t>(b[0].size()));
    for (size_t i = 0; i < c.size(); ++i)
        for (size_t j = 0; j < c[0].size(); ++j)
            for (size_t k = 0; k < b.size(); ++k) c[i][j] += a[i][k] * b[k][j];
    return c;
}

// An array of elements with a register each for what moves right and what moves down, clocked until
// the work is done: what the formula must agree with. It computes, so that its skew cannot be
// wrong.
struct Array {
    Matrix right;
    Matrix down;
    Matrix held;
    explicit Array(size_t rows, size_t columns)
        : right(rows, std::vector<int64_t>(columns)), down(right), held(right) {}

    // One cycle: each element gets its neighbours' registers, or what is fed in at the edges.
    template <typename Element>
    void clock(const std::vector<int64_t>& left, const std::vector<int64_t>& top, Element element) {
        const Matrix old_right = right;
        const Matrix old_down = down;
        for (size_t r = 0; r < right.size(); ++r) {
            for (size_t c = 0; c < right[0].size(); ++c) {
                const int64_t from_left = c == 0 ? left[r] : old_right[r][c - 1];
                const int64_t from_top = r == 0 ? top[c] : old_down[r - 1][c];
                element(r, c, from_left, from_top);
            }
        }
    }
};

// C stays: A comes from the left, B from the top, each row and column a cycle later; then C is
// moved out down, a row a cycle. One fold, R x C results.
uint64_t clock_output_stationary(const Matrix& a, const Matrix& b) {
    const size_t rows = a.size();
    const size_t columns = b[0].size();
    const size_t depth = b.size();
    Array array(rows, columns);
    size_t macs = 0;
    uint64_t cycles = 0;
    for (; macs < rows * columns * depth; ++cycles) {
        std::vector<int64_t> left(rows);
        std::vector<int64_t> top(columns);
        for (size_t r = 0; r < rows; ++r)
            if (cycles >= r && cycles - r < depth) left[r] = a[r][cycles - r];
        for (size_t c = 0; c < columns; ++c)
            if (cycles >= c && cycles - c < depth) top[c] = b[cycles - c][c];
        array.clock(left, top, [&](size_t r, size_t c, int64_t from_left, int64_t from_top) {
            array.right[r][c] = from_left;
            array.down[r][c] = from_top;
            array.held[r][c] += from_left * from_top;
            macs += cycles >= r + c && cycles - r - c < depth;
        });
    }
    EXPECT_EQ(array.held, product(a, b));
    return cycles + rows;
}

// B stays: it is moved in from the top, a row a cycle; then rows of A come from the left, and sums
// leave at the bottom.
uint64_t clock_weight_stationary(const Matrix& a, const Matrix& b) {
    const size_t rows = b.size();
    const size_t columns = b[0].size();
    const size_t depth = a.size();
    Array array(rows, columns);
    array.held = b;
    uint64_t cycles = rows;
    Matrix sums(depth, std::vector<int64_t>(columns));
    size_t left_array = 0;
    for (uint64_t t = 0; left_array < depth * columns; ++t, ++cycles) {
        std::vector<int64_t> left(rows);
        for (size_t r = 0; r < rows; ++r)
            if (t >= r && t - r < depth) left[r] = a[t - r][r];
        array.clock(left, std::vector<int64_t>(columns),
                    [&](size_t r, size_t c, int64_t from_left, int64_t from_top) {
                        array.right[r][c] = from_left;
                        array.down[r][c] = from_top + from_left * array.held[r][c];
                        if (r + 1 == rows && t >= r + c && t - r - c < depth) {
                            sums[t - r - c][c] = array.down[r][c];
                            ++left_array;
                        }
                    });
    }
    EXPECT_EQ(sums, product(a, b));
    return cycles;
}

TEST(SystolicCycles, AgreeWithAnArrayThatIsClocked) {
    std::mt19937 random(5);
    for (int i = 0; i < 40; ++i) {
        const auto rows = static_cast<uint32_t>(1 + random() % 6);
        const auto columns = static_cast<uint32_t>(1 + random() % 6);
        const size_t depth = 1 + random() % 9;
        const Matrix tall = random_matrix(random, rows, depth);
        const Matrix wide = random_matrix(random, depth, columns);
        EXPECT_EQ(
            systolic_cycles({rows, columns, depth}, rows, columns, Dataflow::kOutputStationary),
            clock_output_stationary(tall, wide));
        const Matrix inputs = random_matrix(random, depth, rows);
        const Matrix weights = random_matrix(random, rows, columns);
        EXPECT_EQ(
            systolic_cycles({depth, columns, rows}, rows, columns, Dataflow::kWeightStationary),
            clock_weight_stationary(inputs, weights));
        // Input stationary is weight stationary for the transposed product.
        EXPECT_EQ(
            systolic_cycles({columns, depth, rows}, rows, columns, Dataflow::kInputStationary),
            clock_weight_stationary(inputs, weights));
    }
}

TEST(SystolicCycles, FoldsByHand) {
    // 32 x 32, 100 x 70 results of 256: 4 x 3 folds of 2 x 32 + 32 + 256 - 2 cycles.
    EXPECT_EQ(systolic_cycles({100, 70, 256}, 32, 32, Dataflow::kOutputStationary), 12u * 350u);
    // 256 over 8 folds of rows, 70 over 3 of columns, 100 in turn.
    EXPECT_EQ(systolic_cycles({100, 70, 256}, 32, 32, Dataflow::kWeightStationary),
              8u * 3u * (64 + 32 + 100 - 2));
    EXPECT_EQ(systolic_cycles({100, 70, 256}, 32, 32, Dataflow::kInputStationary),
              8u * 4u * (64 + 32 + 70 - 2));
    EXPECT_EQ(systolic_cycles({0, 70, 256}, 32, 32, Dataflow::kOutputStationary), 0u);
    EXPECT_EQ(systolic_cycles({~0ull, ~0ull, ~0ull}, 1, 1, Dataflow::kOutputStationary), ~0ull);
}

// Opteron X2 of Williams et al., section 3: 17.6 GFlop/s, 16.6 GB/s of Stream; the ridge is at
// 1.06 flops a byte.
TEST(RooflineTime, BoundByMemoryBelowTheRidgeAndByThePeakAbove) {
    constexpr uint64_t kPeak = 17'600'000'000;
    constexpr uint64_t kBandwidth = 16'600'000'000;
    for (const double intensity : {0.25, 0.5, 1.0, 2.0, 8.0}) {
        constexpr uint64_t kBytes = 1'000'000'000;
        const auto operations = static_cast<uint64_t>(intensity * kBytes);
        const double seconds = static_cast<double>(
                                   roofline_time(operations, kBytes, kPeak, kBandwidth)) /
                               1e12;
        const double achieved = static_cast<double>(operations) / seconds;
        const double attainable = std::min(17.6e9, 16.6e9 * intensity);
        EXPECT_NEAR(achieved / attainable, 1, 1e-9) << intensity;
    }
}

TEST(TimeOf, RoundsUpAndSaturates) {
    EXPECT_EQ(time_of(1, 3), 333'333'333'334u);
    EXPECT_EQ(time_of(7, 0), 0u);
    EXPECT_EQ(time_of(~0ull, 1), kTooLong);
    EXPECT_EQ(time_of(10'000, 1), kLongest);
    EXPECT_EQ(multiply_time(~0ull, ~0ull), kTooLong);
    EXPECT_EQ(add_times(kTooLong, kTooLong), kTooLong);
}

TEST(CyclesIn, GivesBackTheCyclesOfATime) {
    std::mt19937_64 random(3);
    for (int i = 0; i < 1000; ++i) {
        const uint64_t hz = 1 + random() % kPicosecondsPerSecond;
        const uint64_t cycles = random() % (hz * 1000);
        ASSERT_EQ(cycles_in(time_of(cycles, hz), hz), cycles) << hz;
    }
}

TEST(Interpolate, GoesThroughThePointsAndOnFromTheLastTwo) {
    const std::vector<TablePoint> points = {{10, 1000}, {20, 3000}, {40, 2000}, {50, 2500}};
    EXPECT_EQ(interpolate(points, 0), 1000u);
    EXPECT_EQ(interpolate(points, 10), 1000u);
    EXPECT_EQ(interpolate(points, 15), 2000u);
    EXPECT_EQ(interpolate(points, 20), 3000u);
    EXPECT_EQ(interpolate(points, 30), 2500u);
    EXPECT_EQ(interpolate(points, 50), 2500u);
    EXPECT_EQ(interpolate(points, 70), 3500u);
    EXPECT_EQ(interpolate(std::vector<TablePoint>{{10, 7}}, 99), 7u);
    EXPECT_EQ(interpolate(std::vector<TablePoint>{{1, 9}, {2, 5}}, 99), 5u);
    EXPECT_EQ(interpolate(std::vector<TablePoint>{{0, 0}, {1, kLongest}}, 99), kTooLong);
}

TEST(Jittered, StaysWithinItsSpreadAndReachesItsEnds) {
    constexpr uint64_t kTenth = (1ull << 32) / 10;
    EXPECT_EQ(jittered(1000, 0, ~0ull), 1000u);
    EXPECT_EQ(jittered(1'000'000, kTenth, 0), 900'000u);
    EXPECT_NEAR(static_cast<double>(jittered(1'000'000, kTenth, ~0ull)), 1'100'000, 1);
    std::mt19937_64 random(1);
    double sum = 0;
    for (int i = 0; i < 10'000; ++i)
        sum += static_cast<double>(jittered(1'000'000, kTenth, random()));
    EXPECT_NEAR(sum / 10'000, 1'000'000, 2500);
}

}  // namespace
}  // namespace mimic::sim
