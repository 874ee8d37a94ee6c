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

/// What a word in front of "--" is to `app`.
struct OptionWord {
    bool is_option = false;  // it begins as one
    bool is_known = false;
    bool takes_next = false;  // the next word is its value
};

bool takes_value(const CLI::Option& option) {
    return option.get_type_size() != 0 && option.get_expected_min() > 0;
}

OptionWord read_option(const CLI::App& app, const std::string& word) {
    if (word.size() < 2 || word[0] != '-' || word == "--") return {};
    if (const CLI::Option* const option = option_of(app, word))
        return {true, true, takes_value(*option) && word.find('=') == std::string::npos};
    if (word[1] == '-') return {true, false, false};
    for (size_t at = 1; at < word.size(); ++at) {  // "-it", "-eNAME=VALUE"
        const CLI::Option* const option = option_of(app, std::string("-") + word[at]);
        if (option == nullptr) return {true, false, false};
        if (takes_value(*option)) return {true, true, at + 1 == word.size()};
    }
    return {true, true, false};
}

/// The first word of a command line, up to "--", that is no option of `app` but looks like one.
std::string unknown_option(const CLI::App& app, const std::vector<std::string>& words) {
    for (size_t at = 0; at < words.size() && words[at] != "--"; ++at) {
        const OptionWord option = read_option(app, words[at]);
        if (option.is_option && !option.is_known) return words[at];
        if (option.takes_next) ++at;
    }
    return "";
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

std::string no_such_option(const CLI::App& app, const std::string& name, const std::string& word) {
    const std::string option = word.substr(0, std::min(word.find('='), kShownWord));
    return fmt::format("{} has no option {}{}", name, option,
                       nearest_hint(option, option_names(app)));
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
                                                  nearest_hint(shown, names));
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
            complain(no_such_option(*at, name, word), name);
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
        const OptionWord option = read_option(command, words[at]);
        if (!option.is_option) places.push_back(at);
        if (option.takes_next) ++at;
    }
    return places;
}

std::vector<std::string> guard_guest_command(const CLI::App& app, std::vector<std::string> words) {
    if (words.empty() || words[0] != "exec") return words;
    const CLI::App* const exec = subcommand(app, "exec");
    if (exec == nullptr) return words;
    const auto places = positional_words(*exec, words);
    if (places.empty()) return words;
    // Behind NODE, and behind options of ours: no command of a guest begins with '-'.
    size_t command = places.front() + 1;
    for (; command < words.size(); ++command) {
        const OptionWord option = read_option(*exec, words[command]);
        if (!option.is_option) break;
        if (!option.is_known) return words;  // the parser says so
        if (option.takes_next) ++command;
    }
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

void print_parse_error(const CLI::App& app, const CLI::ParseError& error,
                       const std::vector<std::string>& words) {
    std::string name;
    const CLI::App* const command = parsed_command(app, name);
    const bool has_extras = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
    // What follows an option that is none is out of place, or fills the place of what is missing.
    if (has_extras || dynamic_cast<const CLI::RequiredError*>(&error) != nullptr)
        if (const std::string word = unknown_option(*command, words); !word.empty())
            return complain(no_such_option(*command, name, word), name);
    if (!has_extras) return complain(fmt::format("{}: {}", name, error.what()), name);
    const auto extras = app.remaining(true);
    const std::string word = extras.empty() ? "" : extras.front().substr(0, kShownWord);
    complain(fmt::format("{}: \"{}\" is one word too many", name, word), name);
}

int usage_status(const std::vector<std::string>& words) {
    return !words.empty() && (words[0] == "exec" || words[0] == "run") ? 125 : 2;
}

int lost_output_status(const std::vector<std::string>& words) {
    const std::string first = words.empty() ? "" : words[0];
    if (first == "exec" || first == "run") return 125;
    const bool verifies = first == "kernel" && words.size() > 1 && words[1] == "verify";
    return verifies || first == "verify" || first == "replay" ? 2 : 1;
}

}  // namespace mimic::cli
