// SPDX-License-Identifier: Apache-2.0
// What mimic-dra --dry-run does, without the rest of it: dry_run ROOT NODE [on-demand]. And how
// long a scan takes: dry_run --time ROOT ROUNDS.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "devices/all_dra.h"
#include "dra/discovery/dry_run.h"
#include "dra/discovery/scan.h"

namespace {

int time_scans(const std::string& root, int rounds) {
    const mimic::slices::DraFacts& facts = *mimic::devices::all_dra().front();
    const auto since = [](std::chrono::steady_clock::time_point start) {
        return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count();
    };
    double scan_ms = 1e9;
    double refresh_ms = 1e9;
    size_t devices = 0;
    for (int round = 0; round < rounds; ++round) {
        auto start = std::chrono::steady_clock::now();
        auto found = mimic::dra::scan(root, facts, false);
        if (!found) return 1;
        scan_ms = std::min(scan_ms, since(start));
        devices = found->devices.size();
        start = std::chrono::steady_clock::now();
        mimic::dra::refresh(root, facts, &found->devices);
        refresh_ms = std::min(refresh_ms, since(start));
    }
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    std::fputs(fmt::format("{} devices: scan {:.2f} ms, refresh {:.2f} ms (best of {}), {} KiB\n",
                           devices, scan_ms, refresh_ms, rounds, usage.ru_maxrss)
                   .c_str(),
               stdout);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() == 3 && words[0] == "--time") {
        return time_scans(words[1], std::atoi(words[2].c_str()));
    }
    if (words.size() < 2) return 2;
    std::vector<std::string> problems;
    const auto text = mimic::dra::dry_run(
        mimic::devices::all_dra(),
        {.root = words[0], .node = words[1], .vfs_on_demand = words.size() == 3}, &problems);
    for (const std::string& problem : problems)
        std::fputs(("dry_run: note: " + problem + "\n").c_str(), stderr);
    if (!text) {
        std::fputs(("dry_run: " + text.error().message() + "\n").c_str(), stderr);
        return 1;
    }
    return std::fputs(text->c_str(), stdout) < 0 ? 1 : 0;
}
