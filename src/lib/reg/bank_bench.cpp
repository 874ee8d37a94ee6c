// SPDX-License-Identifier: Apache-2.0
// Cost of guest accesses to a bank, for `make bench`. Goal: below 30 ns for a 4-byte read.
#include <array>

#include <benchmark/benchmark.h>

#include "reg/bank.h"
#include "reg/test_map.h"

namespace mimic::reg {
namespace {

void bench_read(benchmark::State& state, uint64_t offset, size_t size) {
    Bank<test::kMerge> bank("bench");
    std::array<uint8_t, 8> data{};
    while (state.KeepRunning()) {
        benchmark::DoNotOptimize(offset);
        bank.read(offset, {data.data(), size});
        benchmark::DoNotOptimize(data);
    }
}

void bench_write(benchmark::State& state) {
    Bank<test::kMerge> bank("bench");
    uint64_t sum = 0;
    bank.on_write<test::DOORBELL>([&](const WriteEvent& event) { sum += event.now; });
    std::array<uint8_t, 4> data{1, 2, 3, 4};
    while (state.KeepRunning()) bank.write(0x448, data);
    benchmark::DoNotOptimize(sum);
}

BENCHMARK_CAPTURE(bench_read, plain_4_bytes, 0x010, 4);
BENCHMARK_CAPTURE(bench_read, clear_on_read_4_bytes, 0x000, 4);
BENCHMARK_CAPTURE(bench_read, undecodable_4_bytes, 0x800, 4);
BENCHMARK_CAPTURE(bench_read, split_8_bytes, 0x010, 8);
BENCHMARK(bench_write)->Name("write_with_hook_4_bytes");

}  // namespace
}  // namespace mimic::reg

BENCHMARK_MAIN();
