// SPDX-License-Identifier: Apache-2.0
// Asks the control API, as every instrument does.
#include "commands/ps.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/command_report.h"
#include "base/text_table.h"
#include "commands/terminal_text.h"
#include "gateway/api_client.h"
#include "machine/ended.h"
#include "service/peer_json.h"

namespace mimic::commands {
namespace {

using Json = nlohmann::ordered_json;

// What a supervisor that was killed leaves behind.
constexpr const char* kDead = "dead";

std::string text_of(const Json& json, const char* key) {
    return terminal_text(service::string_member(json, key));
}

Result<std::vector<Json>> machines() {
    MIMIC_ASSIGN_OR_RETURN(const auto client, gateway::ApiClient::open());
    MIMIC_ASSIGN_OR_RETURN(const auto answer, client.get("/v1/machines"));
    const auto* const list = service::find_member(answer, "machines");
    if (list == nullptr || !list->is_array())
        return fail(std::errc::protocol_error, "the API's answer is no list of machines");
    return std::vector<Json>(list->begin(), list->end());
}

// Process numbers of one kind.
std::vector<uint64_t> pids_of(const Json& machine, std::string_view kind) {
    std::vector<uint64_t> pids;
    const auto* const processes = service::find_member(machine, "processes");
    if (processes == nullptr || !processes->is_array()) return pids;
    for (const Json& process : *processes)
        if (service::string_member(process, "kind") == kind)
            pids.push_back(service::uint_member(process, "pid").value_or(0));
    return pids;
}

uint64_t pid_of(const Json& machine, std::string_view kind) {
    const auto pids = pids_of(machine, kind);
    return pids.empty() ? 0 : pids.front();
}

// The members that machines of all phases have.
Json row_of(const Json& machine) {
    return {{"name", service::string_member(machine, "name")},
            {"phase", service::string_member(machine, "phase")},
            {"accel", service::string_member(machine, "accel")},
            {"kernel", service::string_member(machine, "kernel")},
            {"functions", service::uint_member(machine, "functions").value_or(0)},
            {"ssh_port", service::uint_member(machine, "ssh_port").value_or(0)},
            {"started", service::string_member(machine, "started")},
            {"ended", ""},
            {"reason", service::string_member(machine, "reason")},
            {"asked", false},
            {"file", service::string_member(machine, "file")},
            {"run_dir", service::string_member(machine, "run_dir")},
            {"supervisor_pid", pid_of(machine, "supervisor")},
            {"qemu_pid", pid_of(machine, "qemu")},
            {"device_host_pids", pids_of(machine, "device-host")}};
}

Json row_of(const machine::EndedMachine& ended) {
    Json row = row_of(Json{{"name", ended.name},
                           {"phase", "ended"},
                           {"accel", ended.accel},
                           {"kernel", ended.kernel},
                           {"functions", ended.functions},
                           {"started", ended.started},
                           {"reason", ended.reason},
                           {"file", ended.file}});
    row["ended"] = ended.ended;
    row["asked"] = ended.asked;
    return row;
}

bool print_json(const std::vector<Json>& all, const std::vector<machine::EndedMachine>& ended) {
    Json list = Json::array();
    for (const Json& machine : all) list.push_back(row_of(machine));
    for (const auto& one : ended) list.push_back(row_of(one));
    return print_document(
        Json{{"format", "mimic-ps"}, {"version", 1}, {"machines", std::move(list)}}.dump(
            2, ' ', false, Json::error_handler_t::replace));
}

std::string kernel_of(const Json& machine) {
    const bool image = service::uint_member(machine, "ssh_port").value_or(0) != 0;
    return image ? "image" : text_of(machine, "kernel");
}

void print_table(const std::vector<Json>& all) {
    std::vector<std::vector<std::string>> rows = {
        {"NAME", "STATE", "ACCEL", "KERNEL", "FUNCTIONS", "STARTED", "FILE"}};
    for (const Json& machine : all)
        rows.push_back({text_of(machine, "name"), text_of(machine, "phase"),
                        text_of(machine, "accel"), kernel_of(machine),
                        std::to_string(service::uint_member(machine, "functions").value_or(0)),
                        text_of(machine, "started"), text_of(machine, "file")});
    std::fputs(text_table(rows, {4}).c_str(), stdout);
}

// With the reasons in place of the files, which would make lines too long.
void print_table(const std::vector<Json>& all, const std::vector<machine::EndedMachine>& ended) {
    std::vector<std::vector<std::string>> rows = {
        {"NAME", "STATE", "ACCEL", "FUNCTIONS", "STARTED", "ENDED", "REASON"}};
    for (const Json& machine : all)
        rows.push_back({text_of(machine, "name"), text_of(machine, "phase"),
                        text_of(machine, "accel"),
                        std::to_string(service::uint_member(machine, "functions").value_or(0)),
                        text_of(machine, "started"), "", text_of(machine, "reason")});
    for (const auto& one : ended)
        rows.push_back({one.name, "ended", terminal_text(one.accel), std::to_string(one.functions),
                        terminal_text(one.started), one.ended, terminal_text(one.reason)});
    std::fputs(text_table(rows, {3}).c_str(), stdout);
}

Result<std::vector<machine::EndedMachine>> ended_ones() {
    MIMIC_ASSIGN_OR_RETURN(const auto root, machine::RunRoot::open());
    return machine::ended_machines(root);
}

}  // namespace

int run_ps_ready() {
    const auto all = machines();
    std::string problem = all ? "" : terminal_lines(all.error().message());
    if (all && all->empty()) problem = "no machine is here";
    if (all) {
        for (const Json& machine : *all) {
            const std::string phase = service::string_member(machine, "phase");
            // A device that mimic inject broke is what its user wanted.
            if (phase != "running" && phase != "degraded")
                problem += fmt::format("{}{}: {}", problem.empty() ? "" : ", ",
                                       text_of(machine, "name"), terminal_text(phase));
        }
    }
    if (problem.empty()) return 0;
    std::fputs(fmt::format("mimic: not ready: {}\n", problem).c_str(), stderr);
    return 1;
}

int run_ps(PsFormat format, bool with_ended) {
    const auto all = machines();
    const auto ended = with_ended ? ended_ones()
                                  : Result<std::vector<machine::EndedMachine>>(
                                        std::vector<machine::EndedMachine>());
    if (!all || !ended) {
        report_error((all ? ended.error() : all.error()).message());
        return 1;
    }
    switch (format) {
        case PsFormat::kJson:
            if (!print_json(*all, *ended)) return 1;
            break;
        case PsFormat::kTable:
            if (with_ended)
                print_table(*all, *ended);
            else
                print_table(*all);
            break;
        case PsFormat::kNames:
            for (const Json& machine : *all)
                if (service::string_member(machine, "phase") != kDead)
                    std::puts(text_of(machine, "name").c_str());
            for (const auto& one : *ended) std::puts(one.name.c_str());
    }
    for (const Json& machine : *all)
        if (service::string_member(machine, "phase") == kDead)
            std::fputs(fmt::format("mimic: the supervisor of {0} was killed; clean up with: mimic "
                                   "down {0}\n",
                                   text_of(machine, "name"))
                           .c_str(),
                       stderr);
    return 0;
}

}  // namespace mimic::commands
