// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/simulate/report.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "base/terminal_text.h"
#include "base/text_table.h"
#include "mediator/config/keys.h"
#include "mediator/schedule/jain_index.h"
#include "mediator/schedule/simulate/fairness.h"

namespace mimic::mediator::schedule {
namespace {

using ReportJson = nlohmann::ordered_json;

std::string_view name_of(RuleName rule) {
    return kRules[static_cast<size_t>(rule)];
}

// What a VM gets when nobody else is there.
Result<double> service_alone(const Load& load, const LoadVm& vm) {
    Load alone = load;
    alone.vms = {vm};
    std::erase_if(alone.clients, [&vm](const LoadClient& client) { return client.vm != vm.id; });
    std::erase_if(alone.events, [&vm](const LoadEvent& event) { return event.vm != vm.id; });
    MIMIC_ASSIGN_OR_RETURN(const auto result,
                           simulate(alone, {.rule = RuleName::kFifo, .pieces = 0}));
    return static_cast<double>(result.vms.front().service);
}

// Weights over the duration, by time.
std::vector<double> mean_weights(const Load& load) {
    std::vector<double> means;
    for (const LoadVm& vm : load.vms) {
        double sum = 0;
        Time since = 0;
        uint32_t weight = vm.share.weight;
        for (const LoadEvent& event : load.events) {
            if (event.vm != vm.id || !event.share || event.at >= load.duration) continue;
            sum += static_cast<double>(event.at - since) * weight;
            since = event.at;
            weight = event.share->weight;
        }
        sum += static_cast<double>(load.duration - since) * weight;
        means.push_back(sum / static_cast<double>(load.duration));
    }
    return means;
}

Fairness judge(const SimulationResult& result, const std::vector<double>& weights,
               const std::vector<double>& demands) {
    Fairness fairness;
    double total = 0;
    for (const SimulatedVm& vm : result.vms) total += static_cast<double>(vm.service);
    const auto due = max_min_shares(weights, demands, total);
    std::vector<double> ratios;
    for (size_t i = 0; i < result.vms.size(); ++i) {
        const auto service = static_cast<double>(result.vms[i].service);
        fairness.shares.push_back(total > 0 ? service / total : 0);
        fairness.due.push_back(total > 0 ? due[i] / total : 0);
        if (due[i] > 0) ratios.push_back(service / due[i]);
    }
    fairness.jain = jain_index(ratios);
    fairness.min_max = min_max_ratio(ratios);
    return fairness;
}

std::string milliseconds(Time time) {
    return fmt::format("{:.3f}", static_cast<double>(time) / 1e6);
}

std::string percent(double part) {
    return fmt::format("{:.2f}", part * 100);
}

ReportJson vm_json(const SimulatedVm& vm, double share, double due) {
    ReportJson series = ReportJson::array();
    for (const SimulatedPiece& piece : vm.pieces)
        series.push_back({piece.service, piece.p50, piece.p99});
    return {{"vm", vm.id},
            {"weight", vm.weight},
            {"share", share},
            {"due", due},
            {"service_ns", vm.service},
            {"submitted", vm.submitted},
            {"done", vm.done},
            {"latency_p50_ns", vm.p50},
            {"latency_p99_ns", vm.p99},
            {"longest_gap_ns", vm.longest_gap},
            {"series", std::move(series)}};
}

}  // namespace

Result<SimulationReport> simulate_rules(const Load& load, const std::vector<RuleName>& rules) {
    std::vector<double> demands;
    for (const LoadVm& vm : load.vms) {
        MIMIC_ASSIGN_OR_RETURN(const double alone, service_alone(load, vm));
        demands.push_back(alone);
    }
    const auto weights = mean_weights(load);
    SimulationReport report;
    for (const RuleName rule : rules) {
        MIMIC_ASSIGN_OR_RETURN(auto result, simulate(load, {.rule = rule}));
        Fairness fairness = judge(result, weights, demands);
        report.rules.push_back({std::move(result), std::move(fairness)});
    }
    return report;
}

std::string simulation_table(const Load& load, const SimulationReport& report) {
    std::vector<std::vector<std::string>> rows = {
        {"RULE", "VM", "WEIGHT", "DUE %", "SHARE %", "JOBS", "P50 ms", "P99 ms", "GAP ms"}};
    std::vector<std::vector<std::string>> rules = {
        {"RULE", "MIN/MAX", "JAIN", "BUSY %", "CONSERVED %", "SWITCHES"}};
    for (const auto& [result, fairness] : report.rules) {
        for (size_t i = 0; i < result.vms.size(); ++i) {
            const SimulatedVm& vm = result.vms[i];
            rows.push_back({std::string(name_of(result.rule)), fmt::to_string(vm.id),
                            fmt::to_string(vm.weight), percent(fairness.due[i]),
                            percent(fairness.shares[i]), fmt::to_string(vm.done),
                            milliseconds(vm.p50), milliseconds(vm.p99),
                            milliseconds(vm.longest_gap)});
        }
        const double all = static_cast<double>(result.duration) * load.backends;
        rules.push_back({std::string(name_of(result.rule)), fmt::format("{:.4f}", fairness.min_max),
                         fmt::format("{:.4f}", fairness.jain),
                         percent(static_cast<double>(result.busy) / all),
                         percent(result.conservation()), fmt::to_string(result.switches)});
    }
    return fmt::format("{}: {} s, {}, {}\n\n{}\n{}",
                       load.name.empty() ? "load" : terminal_text(load.name),
                       static_cast<double>(load.duration) / 1e9, counted(load.backends, "backend"),
                       counted(load.vms.size(), "VM"), text_table(rows, {1, 2, 3, 4, 5, 6, 7, 8}),
                       text_table(rules, {1, 2, 3, 4, 5}));
}

std::string simulation_json(const Load& load, const SimulationReport& report) {
    ReportJson rules = ReportJson::array();
    for (const auto& [result, fairness] : report.rules) {
        ReportJson vms = ReportJson::array();
        for (size_t i = 0; i < result.vms.size(); ++i)
            vms.push_back(vm_json(result.vms[i], fairness.shares[i], fairness.due[i]));
        rules.push_back({{"rule", name_of(result.rule)},
                         {"min_max", fairness.min_max},
                         {"jain", fairness.jain},
                         {"busy_ns", result.busy},
                         {"conservation", result.conservation()},
                         {"switches", result.switches},
                         {"vms", std::move(vms)}});
    }
    const size_t pieces = report.rules.empty() || report.rules[0].result.vms.empty()
                              ? 1
                              : report.rules[0].result.vms[0].pieces.size();
    const ReportJson json = {
        {"mimic_simulation", 1},        {"name", load.name},
        {"duration_ns", load.duration}, {"piece_ns", load.duration / static_cast<Time>(pieces) + 1},
        {"backends", load.backends},    {"rules", std::move(rules)}};
    return json.dump(2, ' ', false, ReportJson::error_handler_t::replace) + "\n";
}

int run_simulate(const SimulateCommand& command) {
    std::vector<RuleName> rules;
    for (const std::string& name : command.rules) {
        const auto* const found = std::find(kRules.begin(), kRules.end(), name);
        if (found == kRules.end()) {
            std::fprintf(stderr, "mimic: there is no rule %s; there are: %s\n",
                         terminal_text(name).c_str(),
                         fmt::format("{}", fmt::join(kRules, " ")).c_str());
            return 2;
        }
        rules.push_back(static_cast<RuleName>(found - kRules.begin()));
    }
    if (rules.empty())
        for (size_t i = 0; i < kRules.size(); ++i) rules.push_back(static_cast<RuleName>(i));
    const auto load = read_load_file(command.load);
    const auto report = load ? simulate_rules(*load, rules) : tl::unexpected<Error>(load.error());
    if (!report) {
        std::fprintf(stderr, "mimic: %s\n", terminal_text(report.error().message(), 1000).c_str());
        return 2;
    }
    const std::string text = command.json ? simulation_json(*load, *report)
                                          : simulation_table(*load, *report);
    std::fputs(text.c_str(), stdout);
    return 0;
}

}  // namespace mimic::mediator::schedule
