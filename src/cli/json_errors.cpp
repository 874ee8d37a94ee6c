// SPDX-License-Identifier: Apache-2.0
#include "cli/json_errors.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/command_report.h"
#include "cli/command_words.h"

namespace mimic::cli {
namespace {

// "kernel up": the words in front that are commands.
std::string command_of(const CLI::App& app, const std::vector<std::string>& words) {
    std::vector<std::string> path;
    std::string name;
    std::string ignored;
    for (const auto& word : words) {
        path.push_back(word);
        if (find_command(app, path, ignored) == nullptr) break;
        name += (name.empty() ? "" : " ") + word;
    }
    return name;
}

}  // namespace

bool asks_for_json(const std::vector<std::string>& words) {
    const auto end = std::find(words.begin(), words.end(), "--");
    return std::find(words.begin(), end, "--json") != end;
}

std::string error_document(const std::string& command, int status,
                           const std::vector<std::string>& errors, const std::string& machine) {
    std::string text;
    for (const auto& error : errors) text += (text.empty() ? "" : "\n") + error;
    nlohmann::ordered_json document{{"format", "mimic-error"}, {"version", 1},
                                    {"command", command},      {"status", status},
                                    {"error", text},           {"errors", errors}};
    if (!machine.empty()) document["machine"] = machine;
    return document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

int end_command(const CLI::App& app, const std::vector<std::string>& words, int status) {
    if (status == 0 || has_printed_document() || !asks_for_json(words)) return status;
    print_document(error_document(command_of(app, words), status, reported_errors()));
    return status;
}

}  // namespace mimic::cli
