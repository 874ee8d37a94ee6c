// SPDX-License-Identifier: Apache-2.0
// Fairness of the mediator's rules: each load of a folder played against all of them in virtual
// time, by the code that the mediator schedules by. No length of a job is known to a rule before
// the job has ended.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/text_table.h"
#include "mediator/config/keys.h"
#include "mediator/schedule/simulate/lag_watcher.h"
#include "mediator/schedule/simulate/report.h"

namespace mimic::bench {
namespace {

using namespace mediator;
using namespace mediator::schedule;

std::string shares_of(const Fairness& fairness) {
    std::string text;
    for (const double share : fairness.shares)
        text += fmt::format("{}{:.1f}", text.empty() ? "" : "/", share * 100);
    return text;
}

// Rows of one load; false if it cannot be played.
bool add_rows(const std::string& path, std::vector<std::vector<std::string>>& rows) {
    const auto load = read_load_file(path);
    if (!load) {
        std::fprintf(stderr, "bench_vgpu_fairness: %s\n", load.error().message().c_str());
        return false;
    }
    std::vector<RuleName> rules;
    for (size_t i = 0; i < kRules.size(); ++i) rules.push_back(static_cast<RuleName>(i));
    const auto report = simulate_rules(*load, rules);
    if (!report) {
        std::fprintf(stderr, "bench_vgpu_fairness: %s\n", report.error().message().c_str());
        return false;
    }
    for (const auto& [result, fairness] : report->rules) {
        LagWatcher watcher;
        (void)simulate(*load, {.rule = result.rule, .pieces = 0, .watcher = &watcher});
        Time gap = 0;
        for (const SimulatedVm& vm : result.vms) gap = std::max(gap, vm.longest_gap);
        rows.push_back({load->name, std::string(kRules[static_cast<size_t>(result.rule)]),
                        fmt::format("{:.4f}", fairness.min_max),
                        fmt::format("{:.5f}", fairness.jain), shares_of(fairness),
                        fmt::format("{:.2f}", watcher.worst()),
                        fmt::format("{:.3f}", static_cast<double>(gap) / 1e9),
                        fmt::format("{:.3f}", result.conservation())});
    }
    return true;
}

int run(const char* folder) {
    std::vector<std::string> paths;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
        if (entry.path().extension() == ".jsonl") paths.push_back(entry.path());
    if (paths.empty()) {
        std::fprintf(stderr, "bench_vgpu_fairness: no loads in %s\n", folder);
        return 1;
    }
    std::sort(paths.begin(), paths.end());
    std::vector<std::vector<std::string>> rows = {
        {"LOAD", "RULE", "MIN/MAX", "JAIN", "SHARES %", "LAG", "GAP s", "CONSERVED"}};
    for (const std::string& path : paths)
        if (!add_rows(path, rows)) return 1;
    std::printf(
        "fairness of the mediator's rules (fair: min/max >= 0.99, Jain >= 0.999, conserved >= "
        "0.98;\n"
        "lag in longest jobs of both VMs over their weights, of any interval: fair <= 1)\n%s",
        text_table(rows, {2, 3, 4, 5, 6, 7}).c_str());
    return 0;
}

}  // namespace
}  // namespace mimic::bench

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: bench_vgpu_fairness FOLDER\n");
        return 2;
    }
    return mimic::bench::run(argv[1]);
}
