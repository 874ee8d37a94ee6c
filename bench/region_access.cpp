// SPDX-License-Identifier: Apache-2.0
// Round trip of a 4-byte region read against a bare socket ping-pong of the same message sizes, and the rate of posted
// 4-byte writes against a bare one-way stream. Baseline and server alternate in one run; the figure is the median of the
// repetitions' ratios.
#include <fmt/format.h>

#include <cstdlib>

#include "bench/measure.h"
#include "bench/servers.h"
#include "bench/wire.h"

namespace {

using namespace mimic::bench;

constexpr int kRepetitions = 9;
constexpr int kReads = 20'000;
constexpr int kWrites = 1'000'000;
constexpr size_t kReadReply = 36;

// p50 and p99 of one repetition, in microseconds.
struct Latency {
    double p50;
    double p99;
};

Latency measure_reads(const Child& child) {
    const Bytes request = region_read(0);
    std::vector<double> samples;
    samples.reserve(kReads);
    for (int i = 0; i < kReads; ++i) {
        const uint64_t start = now_ns();
        if (!round_trip(child.fd(), request, kReadReply)) std::exit(1);
        samples.push_back(static_cast<double>(now_ns() - start) / 1000);
    }
    return {quantile(samples, 0.5), quantile(samples, 0.99)};
}

// Writes a second, each sent by its own send(2) as a VMM does; the closing read waits until all are handled.
double measure_writes(const Child& child) {
    const Bytes request = posted_write(0x2c);
    const uint64_t start = now_ns();
    for (int i = 0; i < kWrites; ++i)
        if (!send_all(child.fd(), request)) std::exit(1);
    if (!round_trip(child.fd(), region_read(0), kReadReply)) std::exit(1);
    return kWrites / (static_cast<double>(now_ns() - start) / 1e9);
}

void bench_reads(const char* name, int client_cpu, int server_cpu, double goal) {
    pin_to(client_cpu);
    std::vector<double> bare, bare99, mimic, mimic99, ratios;
    const Child bare_child = Child::start(Kind::kBare, server_cpu);
    const Child mimic_child = Child::start(Kind::kMimic, server_cpu);
    measure_reads(bare_child);
    measure_reads(mimic_child);
    for (int i = 0; i < kRepetitions; ++i) {
        const Latency a = measure_reads(bare_child);
        const Latency b = measure_reads(mimic_child);
        bare.push_back(a.p50);
        bare99.push_back(a.p99);
        mimic.push_back(b.p50);
        mimic99.push_back(b.p99);
        ratios.push_back(b.p50 / a.p50);
    }
    fmt::print("read-4B {:8} bare p50 {:6.2f} us p99 {:6.2f} us   mimic p50 {:6.2f} us p99 {:6.2f} us   "
               "ratio {:.3f} (goal <= {})\n",
               name, median(bare), median(bare99), median(mimic), median(mimic99), median(ratios), goal);
}

void bench_writes(int client_cpu, int server_cpu) {
    pin_to(client_cpu);
    const Child bare_child = Child::start(Kind::kBare, server_cpu);
    const Child mimic_child = Child::start(Kind::kMimic, server_cpu);
    std::vector<double> bare, mimic, ratios;
    for (int i = 0; i < kRepetitions; ++i) {
        bare.push_back(measure_writes(bare_child));
        mimic.push_back(measure_writes(mimic_child));
        ratios.push_back(mimic.back() / bare.back());
    }
    fmt::print("write-4B posted  bare {:7.0f} k/s   mimic {:7.0f} k/s   ratio {:.3f} (goal >= 700 k/s)\n",
               median(bare) / 1000, median(mimic) / 1000, median(ratios));
}

}  // namespace

int main() {
    const auto cpus = usable_cpus();
    bench_reads("one-cpu", cpus[0], cpus[0], 1.15);
    if (cpus.size() > 1) {
        bench_reads("two-cpus", cpus[0], cpus[1], 1.05);
        bench_writes(cpus[0], cpus[1]);
    } else {
        fmt::print("read-4B two-cpus, write-4B: skipped, this process may use one CPU only\n");
    }
    return 0;
}
