// SPDX-License-Identifier: Apache-2.0
// How long discovery looks at a tree that `mimic tree` made: dra-scan-time ROOT ROUNDS. Also how
// large the slices of its devices are, and this process. A figure for people; no test reads it.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "devices/all_dra.h"
#include "dra/discovery/dry_run.h"
#include "dra/discovery/scan.h"

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

int run(const std::string& root, int rounds) {
    const auto kinds = mimic::devices::all_dra();
    std::vector<double> scans;
    std::vector<double> refreshes;
    size_t devices = 0;
    for (int round = 0; round < rounds; ++round) {
        auto start = Clock::now();
        auto found = mimic::dra::scan(root, *kinds.front(), false);
        if (!found) return 1;
        scans.push_back(since(start));
        devices = found->devices.size();
        start = Clock::now();
        mimic::dra::refresh(root, *kinds.front(), &found->devices);
        refreshes.push_back(since(start));
    }
    std::vector<std::string> problems;
    const auto text = mimic::dra::dry_run(kinds, {.root = root, .node = "node"}, &problems);
    if (!text || scans.empty()) return 1;
    std::sort(scans.begin(), scans.end());
    std::sort(refreshes.begin(), refreshes.end());
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const size_t middle = scans.size() / 2;
    std::fputs(fmt::format("{} devices: scan {:.2f} ms (best {:.2f}), refresh {:.2f} ms (best "
                           "{:.2f}), slices {} bytes as printed, RSS {} KiB\n",
                           devices, scans[middle], scans[0], refreshes[middle], refreshes[0],
                           text->size(), usage.ru_maxrss)
                   .c_str(),
               stdout);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() != 2) {
        std::fputs("Usage: dra-scan-time ROOT ROUNDS\n", stderr);
        return 2;
    }
    return run(words[0], std::atoi(words[1].c_str()));
}
