// SPDX-License-Identifier: Apache-2.0
#include "commands/inject.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/command_report.h"
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

bool print_doc(const Json& document) {
    return print_document(document.dump(2, ' ', false, Json::error_handler_t::replace));
}

Status print_made(const InjectOptions& options, const Json& made) {
    if (options.json) {
        const Json document{{"format", "mimic-inject"},
                            {"version", 1},
                            {"machine", options.machine},
                            {"device", options.device},
                            {"fault", made}};
        if (!print_doc(document)) return fail(std::errc::io_error, "cannot say what was injected");
        return {};
    }
    std::string line = fmt::format("{}: {} {}", options.device, options.fault,
                                   terminal_text(service::string_member(made, "state")));
    if (options.at)
        line += fmt::format(", strikes in {} us", *options.at / std::chrono::microseconds(1));
    if (options.after_accesses)
        line += fmt::format(", strikes after {} accesses", *options.after_accesses);
    if (const auto note = service::string_member(made, "note"); !note.empty())
        line += " (" + terminal_text(note) + ")";
    std::puts(line.c_str());
    return {};
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
    if (answer) return print_made(options, newest(*answer));
    const Error& error = answer.error();
    if (fault.kind == pci::FaultKind::kHostCrash && error.code() == std::errc::connection_reset)
        return print_made(options, {{"fault", options.fault}, {"state", "done"}});
    // What the API says of the request does not name the device.
    if (error.code() == std::errc::invalid_argument)
        return fail(error.code(), "{}: {}", options.device, error.message());
    return tl::unexpected(client.with_devices(options.machine, options.device, error));
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

// What stands at one device: faults that have yet to strike, or last.
struct Standing {
    std::string device;
    std::vector<Json> faults;
};

Result<Standing> standing_at(const gateway::ApiClient& client, const std::string& machine,
                             const std::string& device) {
    MIMIC_ASSIGN_OR_RETURN(const auto path, gateway::ApiClient::device_path(machine, device));
    MIMIC_ASSIGN_OR_RETURN(const auto answer, client.get(path + "/faults"));
    Standing standing{device, {}};
    const auto* const faults = service::find_member(answer, "faults");
    if (faults == nullptr || !faults->is_array())
        return fail(std::errc::protocol_error, "{}: the API's answer has no faults", device);
    for (const auto& fault : *faults) {
        const std::string state = service::string_member(fault, "state");
        if (state == "armed" || state == "active") standing.faults.push_back(fault);
    }
    return standing;
}

// Whether the list of devices says that one has any; then it is worth a question.
bool has_standing(const Json& device) {
    const auto* const counts = service::find_member(device, "faults");
    return counts != nullptr && (service::uint_member(*counts, "armed").value_or(0) != 0 ||
                                 service::uint_member(*counts, "active").value_or(0) != 0);
}

Result<std::vector<Standing>> all_standing(const InjectOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const auto client, gateway::ApiClient::open());
    MIMIC_ASSIGN_OR_RETURN(const auto path, gateway::ApiClient::machine_path(options.machine));
    MIMIC_TRY(client.get(path));  // who misspelt the machine hears of that first
    std::vector<Standing> all;
    if (!options.device.empty()) {
        MIMIC_ASSIGN_OR_RETURN(auto one, standing_at(client, options.machine, options.device));
        all.push_back(std::move(one));
        return all;
    }
    MIMIC_ASSIGN_OR_RETURN(const auto answer, client.get(path + "/devices"));
    const auto* const devices = service::find_member(answer, "devices");
    if (devices == nullptr || !devices->is_array())
        return fail(std::errc::protocol_error, "the API's answer is no list of devices");
    for (const Json& device : *devices) {
        const std::string name = service::string_member(device, "name");
        if (!has_standing(device)) continue;
        MIMIC_ASSIGN_OR_RETURN(auto one, standing_at(client, options.machine, name));
        all.push_back(std::move(one));
    }
    return all;
}

std::string options_of_standing(const Json& fault) {
    std::string text;
    for (const char* key : {"count", "severity", "vector", "delay_us", "at_us", "accesses_left"}) {
        const auto* const value = service::find_member(fault, key);
        if (value == nullptr || *value == Json(0)) continue;
        const std::string shown = value->is_string()
                                      ? value->get<std::string>()
                                      : value->dump(-1, ' ', true, Json::error_handler_t::replace);
        text += fmt::format("{}{}={}", text.empty() ? "" : " ", key, terminal_text(shown, 40));
    }
    return text;
}

void print_standing(const std::vector<Standing>& all) {
    std::vector<std::vector<std::string>> rows = {
        {"DEVICE", "FAULT", "STATE", "STRIKES", "OPTIONS"}};
    for (const Standing& one : all)
        for (const Json& fault : one.faults)
            rows.push_back({terminal_text(one.device),
                            terminal_text(service::string_member(fault, "fault")),
                            terminal_text(service::string_member(fault, "state")),
                            std::to_string(service::uint_member(fault, "strikes").value_or(0)),
                            options_of_standing(fault)});
    if (rows.size() == 1)
        std::puts("no fault waits or lasts");
    else
        std::fputs(text_table(rows, {3}).c_str(), stdout);
}

std::vector<std::string> option_words(const pci::FaultName& entry) {
    std::vector<std::string> words;
    if ((entry.options & pci::kFaultSeverity) != 0) words.emplace_back("severity");
    if ((entry.options & pci::kFaultCount) != 0) words.emplace_back("count");
    if ((entry.options & pci::kFaultDelay) != 0) words.emplace_back("delay");
    if ((entry.options & pci::kFaultVector) != 0) words.emplace_back("vector");
    return words;
}

}  // namespace

int run_inject(const InjectOptions& options) {
    const auto done = inject(options);
    if (done) return 0;
    report_error(done.error().message());
    return 1;
}

int run_active_faults(const InjectOptions& options) {
    const auto all = all_standing(options);
    if (!all) {
        report_error(all.error().message());
        return 1;
    }
    if (!options.json) {
        print_standing(*all);
        return 0;
    }
    Json devices = Json::array();
    for (const Standing& one : *all)
        devices.push_back({{"device", one.device}, {"faults", one.faults}});
    return print_doc({{"format", "mimic-active-faults"},
                      {"version", 1},
                      {"machine", options.machine},
                      {"devices", std::move(devices)}})
               ? 0
               : 1;
}

int list_faults(bool json) {
    if (json) {
        Json list = Json::array();
        for (const auto& entry : pci::fault_names())
            list.push_back({{"fault", entry.name},
                            {"text", entry.what},
                            {"options", option_words(entry)},
                            {"count", entry.count},
                            {"delay_us", entry.delay / std::chrono::microseconds(1)}});
        return print_doc({{"format", "mimic-faults"}, {"version", 1}, {"faults", std::move(list)}})
                   ? 0
                   : 1;
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& entry : pci::fault_names())
        rows.push_back({std::string(entry.name), std::string(entry.what) + options_of(entry)});
    return std::fputs(text_table(rows).c_str(), stdout) < 0 ? 1 : 0;
}

}  // namespace mimic::commands
