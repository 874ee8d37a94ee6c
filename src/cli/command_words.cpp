// SPDX-License-Identifier: Apache-2.0
#include "cli/command_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/command_report.h"
#include "base/nearest.h"

namespace mimic::cli {
namespace {

constexpr size_t kShownWord = 64;  // arbitrary: of a word that is none of ours
constexpr char kShield = 1;        // in front of words that the parser is to leave alone

// Names of the commands below `app`, but for those that are hidden.
std::vector<std::string> commands_of(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
        // Groups of options are commands without a name to the parser.
        if (!command->get_group().empty() && !command->get_name().empty())
            names.push_back(command->get_name());
    return names;
}

const CLI::App* subcommand(const CLI::App& app, const std::string& name) {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
        if (command->get_name() == name) return command;
    return nullptr;
}

const CLI::Option* option_of(const CLI::App& app, const std::string& word) {
    return app.get_option_no_throw(word.substr(0, word.find('=')));
}

std::vector<std::string> option_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        for (const auto& name : option->get_lnames()) names.push_back("--" + name);
        for (const auto& name : option->get_snames()) names.push_back("-" + name);
    }
    for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (!group->get_name().empty()) continue;
        const auto more = option_names(*group);
        names.insert(names.end(), more.begin(), more.end());
    }
    return names;
}

std::string nearest_of(const std::string& word, const std::vector<std::string>& names) {
    const auto near = nearest_names(word, names, 1);
    return near.empty() ? "" : fmt::format("; did you mean {}?", near.front());
}

// The command that was parsed as far as it goes, and what it is called.
const CLI::App* parsed_command(const CLI::App& app, std::string& name) {
    const CLI::App* at = &app;
    name = app.get_name();
    for (auto below = at->get_subcommands(); !below.empty(); below = at->get_subcommands()) {
        at = below.back();
        name += " " + at->get_name();
    }
    return at;
}

void complain(const std::string& problem, const std::string& command) {
    report_error(problem);
    std::fputs(fmt::format("See: {} --help\n", command).c_str(), stderr);
}

}  // namespace

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
    std::string out;
    // A flag expects no value; its type has a size nevertheless.
    if (option->get_type_size() != 0 && option->get_expected_max() != 0) {
        const std::string type = option->get_type_name();
        const size_t choices = type.find(":{");
        if (choices != std::string::npos)
            out += " " + type.substr(choices + 1);
        else if (type.starts_with("UINT") || type.starts_with("INT") || type.starts_with("FLOAT"))
            out += " N";
        else if (option->nonpositional())
            out += " VALUE";
        if (option->get_expected_max() == CLI::detail::expected_max_vector_size) out += " ...";
        if (option->get_required() && option->nonpositional()) out += " (required)";
        if (!option->get_required() && !option->nonpositional()) out += " (optional)";
    }
    if (!option->get_envname().empty()) out += " (or " + option->get_envname() + "=)";
    return out;
}

std::string help_text(const CLI::App& of, const std::string& name) {
    return of.get_formatter()->make_help(&of, name, CLI::AppFormatMode::Normal);
}

const CLI::App* find_command(const CLI::App& app, const std::vector<std::string>& words,
                             std::string& problem) {
    const CLI::App* at = &app;
    std::string name;
    for (const auto& word : words) {
        const CLI::App* const next = subcommand(*at, word);
        if (next == nullptr) {
            const auto names = commands_of(*at);
            const std::string shown = word.substr(0, kShownWord);
            problem = names.empty() ? fmt::format("{}has no commands of its own, such as \"{}\"",
                                                  name.empty() ? "mimic " : name, shown)
                                    : fmt::format("no command \"{}{}\"{}", name, shown,
                                                  nearest_of(shown, names));
            return nullptr;
        }
        at = next;
        name += word + " ";
    }
    return at;
}

std::optional<int> check_words(const CLI::App& app, const std::vector<std::string>& words) {
    const CLI::App* at = &app;
    std::string name = app.get_name();
    std::vector<std::string> path;
    for (const auto& word : words) {
        if (commands_of(*at).empty()) return std::nullopt;  // the rest is the parser's
        if (word.starts_with('-')) {
            if (option_of(*at, word) != nullptr) return std::nullopt;
            complain(fmt::format("{} has no option {}{}", name, word.substr(0, kShownWord),
                                 nearest_of(word.substr(0, kShownWord), option_names(*at))),
                     name);
            return 2;
        }
        path.push_back(word);
        std::string problem;
        if (find_command(app, path, problem) == nullptr) {
            complain(problem, name);
            return 2;
        }
        at = subcommand(*at, word);
        name += " " + word;
    }
    if (commands_of(*at).empty()) return std::nullopt;
    std::fputs(help_text(*at, name).c_str(), stdout);
    return 2;
}

std::vector<size_t> positional_words(const CLI::App& command,
                                     const std::vector<std::string>& words) {
    std::vector<size_t> places;
    for (size_t at = 1; at < words.size() && words[at] != "--"; ++at) {
        if (words[at].size() < 2 || !words[at].starts_with('-')) {
            places.push_back(at);
            continue;
        }
        const CLI::Option* const option = option_of(command, words[at]);
        const bool takes_next = option != nullptr && option->get_type_size() != 0 &&
                                option->get_expected_min() > 0 &&
                                words[at].find('=') == std::string::npos;
        if (takes_next) ++at;
    }
    return places;
}

std::vector<std::string> guard_guest_command(const CLI::App& app, std::vector<std::string> words) {
    if (words.empty() || words[0] != "exec") return words;
    const CLI::App* const exec = subcommand(app, "exec");
    if (exec == nullptr) return words;
    const auto places = positional_words(*exec, words);
    if (places.empty()) return words;
    const size_t command = places.front() + 1;  // behind NODE
    if (command < words.size() && words[command] != "--")
        words.insert(words.begin() + static_cast<std::ptrdiff_t>(command), "--");
    return words;
}

std::vector<std::string> shield_brackets(std::vector<std::string> words) {
    if (words.empty() || (words[0] != "exec" && words[0] != "run" && words[0] != "gdb"))
        return words;
    for (auto at = std::find(words.begin(), words.end(), "--"); at != words.end(); ++at)
        if (at->starts_with('[') || at->starts_with(kShield)) at->insert(at->begin(), kShield);
    return words;
}

std::string unshielded(std::string word) {
    if (word.starts_with(kShield)) word.erase(word.begin());
    return word;
}

void print_parse_error(const CLI::App& app, const CLI::ParseError& error) {
    std::string name;
    const CLI::App* const command = parsed_command(app, name);
    if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr)
        return complain(fmt::format("{}: {}", name, error.what()), name);
    const auto extras = app.remaining(true);
    const std::string word = extras.empty() ? "" : extras.front().substr(0, kShownWord);
    complain(word.starts_with('-') ? fmt::format("{} has no option {}{}", name, word,
                                                 nearest_of(word, option_names(*command)))
                                   : fmt::format("{}: \"{}\" is one word too many", name, word),
             name);
}

}  // namespace mimic::cli
