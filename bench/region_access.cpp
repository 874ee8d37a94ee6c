// SPDX-License-Identifier: Apache-2.0
// Round trip of a 4-byte region read against a bare socket ping-pong of the same message sizes, and
// the rate of posted 4-byte writes against a bare one-way stream. Baseline and server alternate in
// one run; the figure is the median of the repetitions' ratios. LIBVFIO_USER_BUILD, the folder of a
// build of libvfio-user, adds its sample server to the reads.
#include <cstdlib>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "bench/reads.h"

namespace {

using namespace mimic::bench;

constexpr int kRepetitions = 9;
constexpr int kReads = 20'000;
constexpr int kWrites = 1'000'000;
constexpr uint64_t kStatus = 0x2c;  // mock_accel's STATUS: read-write, with a hook

// Writes a second, each sent by its own send(2) as a VMM does; the closing read waits until all are
// handled.
double measure_writes(const Child& child) {
    const Bytes request = posted_write(kStatus);
    const uint64_t start = now_ns();
    for (int i = 0; i < kWrites; ++i)
        if (!send_all(child.fd(), request)) std::exit(1);
    if (!round_trip(child.fd(), region_read(0), kReadReplySize)) std::exit(1);
    return kWrites / (static_cast<double>(now_ns() - start) / 1e9);
}

// The sample server of a build of libvfio-user, if its folder is given; empty: none.
std::string libvfio_user_sample() {
    const char* const build = std::getenv("LIBVFIO_USER_BUILD");
    return build != nullptr && *build != '\0' ? std::string(build) + "/samples/gpio-pci-idio-16"
                                              : "";
}

// Its BAR2 has the registers.
constexpr uint32_t kSampleRegion = 2;

void bench_reads(const char* name, int client_cpu, int server_cpu, bool spin, double goal) {
    pin_to(client_cpu);
    const Child bare = Child::start({Kind::kBare, server_cpu});
    const Child mimic = Child::start({Kind::kMimic, server_cpu, 1, spin});
    std::optional<Child> other;
    const std::string sample = libvfio_user_sample();
    if (!sample.empty())
        other.emplace(Child::start({.kind = Kind::kProgram, .cpu = server_cpu, .program = sample}));
    measure_reads(bare, kReads);
    measure_reads(mimic, kReads);
    std::vector<double> bare50, bare99, mimic50, mimic99, ratios, other50, other99, other_ratios;
    for (int i = 0; i < kRepetitions; ++i) {
        const Latency a = measure_reads(bare, kReads);
        const Latency b = measure_reads(mimic, kReads);
        bare50.push_back(a.p50);
        bare99.push_back(a.p99);
        mimic50.push_back(b.p50);
        mimic99.push_back(b.p99);
        ratios.push_back(b.p50 / a.p50);
        if (!other) continue;
        const Latency c = measure_reads(*other, kReads, region_read(0, kSampleRegion));
        other50.push_back(c.p50);
        other99.push_back(c.p99);
        other_ratios.push_back(b.p50 / c.p50);
    }
    fmt::print(
        "region read 4 B, {:22} bare p50 {:6.2f} p99 {:6.2f} us, mimic p50 {:6.2f} p99 {:6.2f} us, "
        "p50 ratio {:.3f} (goal <= {})\n",
        name, median(bare50), median(bare99), median(mimic50), median(mimic99), median(ratios),
        goal);
    if (other)
        fmt::print(
            "region read 4 B, {:22} libvfio-user's sample p50 {:6.2f} p99 {:6.2f} us, mimic's p50 "
            "to that {:.3f}\n",
            name, median(other50), median(other99), median(other_ratios));
}

void bench_writes(int client_cpu, int server_cpu) {
    pin_to(client_cpu);
    const Child bare = Child::start({Kind::kBare, server_cpu});
    const Child mimic = Child::start({Kind::kMimic, server_cpu});
    std::vector<double> bare_rate, mimic_rate, ratios;
    for (int i = 0; i < kRepetitions; ++i) {
        bare_rate.push_back(measure_writes(bare));
        mimic_rate.push_back(measure_writes(mimic));
        ratios.push_back(mimic_rate.back() / bare_rate.back());
    }
    fmt::print(
        "posted write 4 B, {:21} bare {:.0f} k/s, mimic {:.0f} k/s, ratio {:.3f} (goal >= 700 "
        "k/s)\n",
        "two CPUs:", median(bare_rate) / 1000, median(mimic_rate) / 1000, median(ratios));
}

}  // namespace

int main() {
    const auto cpus = usable_cpus();
    bench_reads("one CPU:", cpus[0], cpus[0], true, 1.15);
    bench_reads("one CPU, no spinning:", cpus[0], cpus[0], false, 1.15);
    if (cpus.size() > 1) {
        bench_reads("two CPUs:", cpus[0], cpus[1], true, 1.05);
        bench_reads("two CPUs, no spinning:", cpus[0], cpus[1], false, 1.05);
        bench_writes(cpus[0], cpus[1]);
    } else {
        fmt::print(
            "region read and posted write on two CPUs: skipped, this process may use only one\n");
    }
    return 0;
}
