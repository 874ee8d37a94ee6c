// SPDX-License-Identifier: Apache-2.0
// What the trace costs: a 4-byte region read over the socket with a ring that records it, with a
// tracer that was taken away, and with none ever; the three servers take turns in one run, and the
// figures are the medians of the rounds' ratios. Then an access of the function alone, without any
// socket, which shows the same cost undiluted; and the states that a host puts into its rings.
#include <array>
#include <chrono>

#include <fmt/format.h>

#include "base/task_runner.h"
#include "bench/reads.h"
#include "devices/mock_accel/mock_accel.h"
#include "host/function_state.h"
#include "pci/trace/trace_ring.h"

namespace {

using namespace mimic;
using namespace mimic::bench;

constexpr int kRounds = 31;
constexpr int kReads = 8'000;
constexpr int kAccesses = 2'000'000;
constexpr double kGoal = 1.03;

void bench_socket(const char* name, int client_cpu, int server_cpu) {
    pin_to(client_cpu);
    const std::array<Child, 3> children{
        Child::start({.kind = Kind::kMimic, .cpu = server_cpu, .trace = Trace::kNever}),
        Child::start({.kind = Kind::kMimic, .cpu = server_cpu, .trace = Trace::kOff}),
        Child::start({.kind = Kind::kMimic, .cpu = server_cpu, .trace = Trace::kOn})};
    for (const Child& child : children) measure_reads(child, kReads);
    std::array<std::vector<double>, 3> p50;
    std::vector<double> off;
    std::vector<double> on;
    for (int round = 0; round < kRounds; ++round) {
        std::array<double, 3> now{};
        // Each begins as often as the others: what runs first in a round may find another machine.
        for (size_t i = 0; i < children.size(); ++i) {
            const size_t which = (i + static_cast<size_t>(round)) % children.size();
            now.at(which) = measure_reads(children.at(which), kReads).p50;
        }
        for (size_t i = 0; i < children.size(); ++i) p50.at(i).push_back(now.at(i));
        off.push_back(now[1] / now[0]);
        on.push_back(now[2] / now[1]);
    }
    fmt::print(
        "traced region read 4 B, {:9} never {:6.3f}, off {:6.3f}, on {:6.3f} us; off/never {:.3f}, "
        "on/off {:.3f} (goal <= {})\n",
        name, median(p50[0]), median(p50[1]), median(p50[2]), median(off), median(on), kGoal);
}

double access_ns(pci::Function& function) {
    std::array<uint8_t, 4> data{};
    const uint64_t start = now_ns();
    for (int i = 0; i < kAccesses; ++i) function.read_bar(0, mock_accel::STATUS.offset, data);
    return static_cast<double>(now_ns() - start) / kAccesses;
}

void bench_access() {
    auto device = mock_accel::MockAccel::create({.name = "bench", .identifier = "BENCH"});
    if (!device) std::exit(1);
    const SteadyClock clock;
    pci::TraceRing ring(uint64_t{1} << 20, clock, 1, pci::cheapest_ticks());
    std::vector<double> off;
    std::vector<double> on;
    for (int round = 0; round < 9; ++round) {
        (*device)->set_tracer(nullptr);
        off.push_back(access_ns(**device));
        (*device)->set_tracer(&ring);
        on.push_back(access_ns(**device));
    }
    fmt::print("access of a function, no socket: off {:.1f} ns, on {:.1f} ns\n", median(off),
               median(on));
}

// What a loop spends on the registers of one function each time that half of its ring is new.
void bench_state() {
    constexpr int kTimes = 2'000;
    auto device = mock_accel::MockAccel::create({.name = "bench", .identifier = "BENCH"});
    if (!device) std::exit(1);
    size_t bytes = 0;
    const uint64_t start = now_ns();
    for (int i = 0; i < kTimes; ++i) bytes = host::capture_state(**device).size();
    const double each = static_cast<double>(now_ns() - start) / 1e3 / kTimes;
    fmt::print("registers of a function, once each half of the ring: {:.1f} us, {} B\n", each,
               bytes);
}

}  // namespace

int main() {
    const auto cpus = usable_cpus();
    bench_socket("one CPU:", cpus[0], cpus[0]);
    if (cpus.size() > 1) bench_socket("two CPUs:", cpus[0], cpus[1]);
    bench_access();
    bench_state();
    return 0;
}
