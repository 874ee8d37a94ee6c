// SPDX-License-Identifier: Apache-2.0
// What idle devices cost: memory and start-up time of 1,000 in one process, and what they do to the
// round trip of one.
#include <fmt/format.h>

#include "bench/reads.h"

namespace {

using namespace mimic::bench;

constexpr unsigned kDevices = 1000;
constexpr int kRepetitions = 9;
constexpr int kReads = 10'000;

}  // namespace

int main() {
    const auto cpus = usable_cpus();
    pin_to(cpus[0]);
    const Child one = Child::start({Kind::kMimic, cpus[0], 1});
    const Child many = Child::start({Kind::kMimic, cpus[0], kDevices});
    std::vector<double> ratios;
    std::vector<double> one50;
    std::vector<double> many50;
    for (int i = 0; i < kRepetitions; ++i) {
        one50.push_back(measure_reads(one, kReads).p50);
        many50.push_back(measure_reads(many, kReads).p50);
        ratios.push_back(many50.back() / one50.back());
    }
    fmt::print(
        "{} idle devices: {:.1f} KiB of RSS each (goal < 64), started in {:.0f} ms (goal < 2000)\n",
        kDevices, many.device_bytes() / 1024, many.start_ms());
    fmt::print(
        "region read 4 B, one of {}: p50 {:.2f} us, alone {:.2f} us, ratio {:.3f} (goal <= 1.1)\n",
        kDevices, median(many50), median(one50), median(ratios));
    return 0;
}
