// SPDX-License-Identifier: Apache-2.0
#include "commands/inject.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/terminal_text.h"
#include "base/text_table.h"
#include "control/fault_json.h"
#include "gateway/api_client.h"
#include "service/peer_json.h"

namespace mimic::commands {
namespace {

using Json = nlohmann::ordered_json;

// The newest fault of an answer; null if it has none.
Json newest(const Json& answer) {
    Json best;
    int64_t best_id = -1;
    if (!answer.is_object() || !answer.contains("faults")) return best;
    for (const auto& fault : answer["faults"]) {
        if (!fault.is_object() || !fault.contains("id") || !fault["id"].is_number_integer())
            continue;
        if (fault["id"].get<int64_t>() <= best_id) continue;
        best_id = fault["id"].get<int64_t>();
        best = fault;
    }
    return best;
}

void print(const InjectOptions& options, const std::string& state, const std::string& note) {
    std::string line = fmt::format("{}: {} {}", options.device, options.fault,
                                   terminal_text(state));
    if (options.at)
        line += fmt::format(", strikes in {} us", *options.at / std::chrono::microseconds(1));
    if (options.after_accesses)
        line += fmt::format(", strikes after {} accesses", *options.after_accesses);
    if (!note.empty()) line += " (" + terminal_text(note) + ")";
    std::puts(line.c_str());
}

Status inject(const InjectOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const auto client, gateway::ApiClient::open());
    // In the order of the words: who misspelt the machine hears of that first.
    MIMIC_ASSIGN_OR_RETURN(const auto machine, gateway::ApiClient::machine_path(options.machine));
    MIMIC_TRY(client.get(machine));
    MIMIC_ASSIGN_OR_RETURN(auto fault, pci::parse_fault(options.fault, options.options));
    fault.at = options.at;
    fault.after_accesses = options.after_accesses;
    fault.seed = options.seed;
    MIMIC_ASSIGN_OR_RETURN(const auto path,
                           gateway::ApiClient::device_path(options.machine, options.device));
    const auto answer = client.post(
        path + "/faults", Json::parse(control::fault_body(options.fault, options.options, fault)));
    if (answer) {
        const auto made = newest(*answer);
        print(options, service::string_member(made, "state"), service::string_member(made, "note"));
        return {};
    }
    const Error& error = answer.error();
    if (fault.kind == pci::FaultKind::kHostCrash && error.code() == std::errc::connection_reset) {
        print(options, "done", "");
        return {};
    }
    // What the API says of the request does not name the device.
    if (error.code() == std::errc::invalid_argument)
        return fail(error.code(), "{}: {}", options.device, error.message());
    return tl::unexpected(error);
}

std::string options_of(const pci::FaultName& entry) {
    std::vector<std::string> parts;
    if ((entry.options & pci::kFaultSeverity) != 0) parts.emplace_back("severity=fatal|nonfatal");
    if ((entry.options & pci::kFaultCount) != 0)
        parts.push_back(fmt::format("count={}", entry.count));
    if ((entry.options & pci::kFaultDelay) != 0)
        parts.push_back(fmt::format("delay={}ms", entry.delay / std::chrono::milliseconds(1)));
    if ((entry.options & pci::kFaultVector) != 0) parts.emplace_back("vector=N");
    return parts.empty() ? "" : fmt::format(" [{}]", fmt::join(parts, " "));
}

}  // namespace

int run_inject(const InjectOptions& options) {
    const auto done = inject(options);
    if (done) return 0;
    std::fputs(fmt::format("mimic: error: {}\n", terminal_lines(done.error().message())).c_str(),
               stderr);
    return 1;
}

int list_faults() {
    std::vector<std::vector<std::string>> rows;
    for (const auto& entry : pci::fault_names())
        rows.push_back({std::string(entry.name), std::string(entry.what) + options_of(entry)});
    return std::fputs(text_table(rows).c_str(), stdout) < 0 ? 1 : 0;
}

}  // namespace mimic::commands
