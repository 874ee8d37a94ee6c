// SPDX-License-Identifier: Apache-2.0
#include "cli/reference_command.h"

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/command_report.h"
#include "cli/exit_table.h"

namespace mimic::cli {
namespace {

std::string tables_json() {
    auto statuses = nlohmann::ordered_json::array();
    for (const ExitStatus& row : exit_statuses())
        statuses.push_back(
            {{"command", row.command}, {"status", row.status}, {"meaning", row.meaning}});
    auto variables = nlohmann::ordered_json::array();
    for (const EnvironmentVariable& row : environment_variables())
        variables.push_back({{"name", row.name}, {"meaning", row.meaning}});
    const nlohmann::ordered_json document{{"format", "mimic-reference"},
                                          {"version", 1},
                                          {"exit_statuses", std::move(statuses)},
                                          {"environment", std::move(variables)}};
    return document.dump(2);
}

void add_below(CLI::App& app, const std::string& name) {
    if (const std::string text = exit_status_help(name); !text.empty()) app.footer(text);
    for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; }))
        // Groups of options are commands without a name to the parser.
        if (!command->get_name().empty())
            add_below(*command, name + (name.empty() ? "" : " ") + command->get_name());
}

}  // namespace

void add_reference_command(CLI::App& app, Action& action) {
    auto json = std::make_shared<bool>(false);
    auto* reference = app.add_subcommand("reference", "Print docs/reference/exit-codes.md");
    reference->group("");  // hidden
    reference->add_flag("--json", *json, "The tables as JSON");
    reference->callback([json, &action] {
        action = [json] {
            if (*json) return print_document(tables_json()) ? 0 : 1;
            return std::fputs(exit_codes_page().c_str(), stdout) < 0 ? 1 : 0;
        };
    });
}

void add_exit_statuses(CLI::App& app) {
    add_below(app, "");
}

}  // namespace mimic::cli
