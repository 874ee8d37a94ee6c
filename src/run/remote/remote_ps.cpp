// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/command_report.h"
#include "base/terminal_text.h"
#include "base/text_table.h"
#include "machine/run_dir.h"
#include "remote/places.h"
#include "remote/remote_commands.h"
#include "service/peer_json.h"

namespace mimic::remote {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxListed = 64;  // machines of a topology file

/// The list that `mimic ps --json` printed in a pod; empty if it is none.
std::vector<Json> machines_in(const std::string& text) {
    // The parser of peers' texts takes objects.
    const Json json = service::parse_peer_json("{\"said\":" + text + "}");
    const Json* const said = service::find_member(json, "said");
    if (said == nullptr) return {};
    // Before version 1 of the format it was the list alone; a pod's image may be that old.
    const Json* const list = said->is_array() ? said : service::find_member(*said, "machines");
    std::vector<Json> machines;
    if (list == nullptr || !list->is_array()) return machines;
    for (const Json& one : *list)
        if (machines.size() < kMaxListed &&
            machine::is_machine_name(service::string_member(one, "name")))
            machines.push_back(one);
    return machines;
}

std::string cell(const Json& machine, const char* key) {
    return terminal_text(service::string_member(machine, key), 60);
}

void print_table(const std::vector<Answer>& answers) {
    std::vector<std::vector<std::string>> rows = {
        {"POD", "NAME", "STATE", "ACCEL", "KERNEL", "FUNCTIONS", "STARTED", "NODE"}};
    for (const Answer& answer : answers) {
        const std::string node = terminal_text(answer.pod.node, 60);
        const auto machines = answer.text ? machines_in(*answer.text) : std::vector<Json>();
        for (const Json& machine : machines)
            rows.push_back({answer.pod.name, cell(machine, "name"), cell(machine, "phase"),
                            cell(machine, "accel"), cell(machine, "kernel"),
                            std::to_string(service::uint_member(machine, "functions").value_or(0)),
                            cell(machine, "started"), node});
        if (machines.empty())
            rows.push_back({answer.pod.name, "-", terminal_text(answer.pod.phase, 30), "-", "-",
                            "-", "-", node});
    }
    std::fputs(text_table(rows, {5}).c_str(), stdout);
}

bool print_json(const std::vector<Answer>& answers) {
    Json list = Json::array();
    for (const Answer& answer : answers) {
        if (!answer.text) continue;
        for (Json& machine : machines_in(*answer.text)) {
            machine["pod"] = answer.pod.name;
            machine["node"] = answer.pod.node;
            list.push_back(std::move(machine));
        }
    }
    return print_document(
        Json{{"format", "mimic-ps"}, {"version", 1}, {"machines", std::move(list)}}.dump(
            2, ' ', false, Json::error_handler_t::replace));
}

void print_names(const std::vector<Answer>& answers) {
    for (const Answer& answer : answers) {
        if (!answer.text) continue;
        for (const Json& machine : machines_in(*answer.text))
            fmt::print("{}/{}\n", answer.pod.name, service::string_member(machine, "name"));
    }
}

}  // namespace

int run_remote_ps(const Kubectl& kubectl, PsFormat format) {
    const auto answers = ask_all(kubectl, {"ps", "--json"});
    if (!answers) {
        report_error(answers.error().message());
        return 1;
    }
    switch (format) {
        case PsFormat::kTable:
            print_table(*answers);
            break;
        case PsFormat::kJson:
            if (!print_json(*answers)) return 1;
            break;
        case PsFormat::kNames:
            print_names(*answers);
            break;
    }
    int status = 0;
    for (const Answer& answer : *answers) {
        if (answer.text || answer.pod.phase != "Running") continue;
        status = 1;
        fmt::print(stderr, "mimic: pod {}: {}\n", answer.pod.name,
                   terminal_lines(answer.text.error().message()));
    }
    return status;
}

}  // namespace mimic::remote
