// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/command_words.h"
#include "cluster/cluster_plan.h"
#include "machine/machine_api.h"
#include "machine/run_dir.h"
#include "pci/faults/fault.h"
#include "service/peer_json.h"

namespace mimic::cli {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr size_t kMaxNames = 4096;   // arbitrary; nobody reads on
constexpr size_t kMaxSummary = 100;  // columns of a description

enum class Kind {
    kNothing,
    kMachine,
    kEnded,
    kCluster,
    kDevice,
    kFault,
    kFaultOption,
    kFile,
    kDir,
    kPlace,
    kCommand
};

struct ArgumentKind {
    std::string_view name;
    Kind kind;
};

// By the name of the argument in the help. "NAME" of cluster down is a cluster, of logs also a
// machine that ended; see kind_of().
constexpr std::array kArguments = {
    ArgumentKind{"MACHINE", Kind::kMachine},
    ArgumentKind{"NODE", Kind::kMachine},
    ArgumentKind{"NAME", Kind::kMachine},
    ArgumentKind{"WHERE", Kind::kNothing},
    ArgumentKind{"DEVICE", Kind::kDevice},
    ArgumentKind{"FAULT", Kind::kFault},
    ArgumentKind{"OPTION", Kind::kFaultOption},
    ArgumentKind{"FILE", Kind::kFile},
    ArgumentKind{"TRACE", Kind::kFile},
    ArgumentKind{"LOAD", Kind::kFile},
    ArgumentKind{"DIR", Kind::kDir},
    ArgumentKind{"SOURCE", Kind::kPlace},
    ArgumentKind{"TARGET", Kind::kPlace},
    ArgumentKind{"COMMAND", Kind::kCommand},
    ArgumentKind{"CMD", Kind::kNothing},
    ArgumentKind{"ARGUMENTS", Kind::kNothing},
    ArgumentKind{"JOB", Kind::kNothing},
    ArgumentKind{"INTERVAL", Kind::kNothing},
    ArgumentKind{"VM", Kind::kNothing},
    ArgumentKind{"WEIGHT", Kind::kNothing},
    ArgumentKind{"LIMIT", Kind::kNothing},
};

/// What has been typed, taken apart.
struct Line {
    const CLI::App* command = nullptr;
    std::string path;        // "cluster down"
    Words arguments;         // positional ones before the word that is written
    Words given;             // all words before it, behind the command's
    std::string current;     // that word
    bool is_guests = false;  // behind "--": the guest's words
};

/// Lines that are gathered.
class Answer {
public:
    explicit Answer(std::string begin) : begin_(std::move(begin)) {}

    void add(std::string word, std::string_view what = "") {
        if (!word.starts_with(begin_) || lines_.size() >= kMaxNames) return;
        // What a file says may hold anything; a line is a line, and a terminal shows it.
        const auto is_control = [](char c) {
            return static_cast<unsigned char>(c) < ' ' || c == 127;
        };
        if (std::any_of(word.begin(), word.end(), is_control)) return;
        if (!what.empty()) {
            word += '\t';
            for (const char c : what.substr(0, kMaxSummary))
                word += c == '\n' || c == '\t' ? ' ' : c;
        }
        lines_.push_back(std::move(word));
    }
    void order(const char* what) { lines_.emplace_back(what); }
    Words take() { return std::move(lines_); }

private:
    std::string begin_;
    Words lines_;
};

std::vector<const CLI::App*> commands_below(const CLI::App& app) {
    std::vector<const CLI::App*> found;
    for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; }))
        if (!each->get_name().empty() && !each->get_group().empty()) found.push_back(each);
    return found;
}

/// Options of a command and of its groups.
std::vector<const CLI::Option*> all_options(const CLI::App& app) {
    const auto own = app.get_options();
    std::vector<const CLI::Option*> found(own.begin(), own.end());
    for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (!group->get_name().empty()) continue;
        for (const CLI::Option* each : group->get_options()) found.push_back(each);
    }
    return found;
}

/// Names of the folders in `folder`. None where it cannot be read.
Words folders_in(const std::string& folder) {
    Words names;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename().string();
        if (machine::is_machine_name(name) && names.size() < kMaxNames) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

void add_machines(Answer& answer, const char* end = "") {
    for (const auto& name : folders_in(machine::run_root_path()))
        answer.add(name + end, end[0] == '\0' ? "machine" : "files of this guest");
}

void add_ended(Answer& answer) {
    const Words here = folders_in(machine::run_root_path());
    const auto state = machine::state_root_path();
    if (!state) return;
    for (const auto& name : folders_in(*state))
        if (!std::binary_search(here.begin(), here.end(), name)) answer.add(name, "ended");
}

/// Functions of the machine that the line names.
void add_devices(Answer& answer, const Line& line) {
    if (line.arguments.empty() || !machine::is_machine_name(line.arguments.front())) return;
    const auto plan = machine::plan_json(machine::run_root_path() + "/" + line.arguments.front());
    const auto* const devices = service::find_member(plan, "devices");
    if (devices == nullptr || !devices->is_array()) return;
    const std::set<std::string> named(line.arguments.begin() + 1, line.arguments.end());
    for (const auto& device : *devices) {
        const auto* const functions = service::find_member(device, "functions");
        if (functions == nullptr || !functions->is_array()) continue;
        for (const auto& function : *functions) {
            const std::string name = service::string_member(function, "name");
            if (!name.empty() && !named.contains(name))
                answer.add(name, service::string_member(device, "model"));
        }
    }
}

void add_fault_options(Answer& answer, const Line& line) {
    const std::string fault = line.arguments.size() > 2 ? line.arguments[2] : "";
    for (const auto& each : pci::fault_names()) {
        if (each.name != fault) continue;
        if ((each.options & pci::kFaultSeverity) != 0) {
            answer.add("severity=fatal", "not recoverable by the device's driver alone");
            answer.add("severity=nonfatal", "the link is still reliable");
        }
        for (const auto& [bit, key, what] :
             {std::tuple{pci::kFaultCount, "count=", "how often"},
              std::tuple{pci::kFaultDelay, "delay=", "how long, such as 20ms"},
              std::tuple{pci::kFaultVector, "vector=", "of which interrupt"}}) {
            if ((each.options & bit) == 0) continue;
            answer.add(key, what);
        }
        answer.order(":nospace");
    }
}

Kind kind_of(const Line& line, const std::string& argument) {
    if (argument == "NAME" && line.path.starts_with("cluster")) return Kind::kCluster;
    if (argument == "NAME" && (line.path == "logs" || line.path == "rm")) return Kind::kEnded;
    for (const auto& each : kArguments)
        if (each.name == argument) return each.kind;
    return Kind::kNothing;
}

void add_argument(Answer& answer, const CLI::App& app, const Line& line, const std::string& name) {
    switch (kind_of(line, name)) {
        case Kind::kNothing:
            return;
        case Kind::kEnded:
            add_machines(answer);
            return add_ended(answer);
        case Kind::kMachine:
            return add_machines(answer);
        case Kind::kCluster:
            for (const auto& cluster : cluster::cluster_names()) answer.add(cluster, "cluster");
            return;
        case Kind::kDevice:
            return add_devices(answer, line);
        case Kind::kFault:
            for (const auto& fault : pci::fault_names())
                answer.add(std::string(fault.name), fault.what);
            return;
        case Kind::kFaultOption:
            return add_fault_options(answer, line);
        case Kind::kFile:
            return answer.order(":file");
        case Kind::kDir:
            return answer.order(":folder");
        case Kind::kPlace:
            add_machines(answer, ":");
            answer.order(":nospace");
            return answer.order(":file");
        case Kind::kCommand: {
            std::string problem;
            if (const CLI::App* const of = find_command(app, line.arguments, problem))
                for (const CLI::App* each : commands_below(*of))
                    answer.add(each->get_name(), each->get_description());
        }
    }
}

/// "a", "b" of an option that takes one of {a,b}.
Words choices_of(const CLI::Option& option) {
    const std::string type = option.get_type_name();
    const size_t open = type.find(":{");
    const size_t close = type.find('}', open == std::string::npos ? 0 : open);
    if (open == std::string::npos || close == std::string::npos) return {};
    Words choices;
    std::string word;
    for (const char c : type.substr(open + 2, close - open - 2) + ",") {
        if (c != ',') {
            word += c;
            continue;
        }
        if (!word.empty()) choices.push_back(std::exchange(word, ""));
    }
    return choices;
}

/// The value of an option; `before` is what stands in front of it in the same word.
void add_value(Answer& answer, const CLI::Option& option, const std::string& before) {
    const Words choices = choices_of(option);
    for (const auto& choice : choices) answer.add(before + choice);
    const std::string type = option.get_type_name();
    const bool is_number = type.starts_with("UINT") || type.starts_with("INT") ||
                           type.starts_with("FLOAT");
    // Most that is neither a number nor one of a few words is a file's name.
    const bool is_path_too = type.ends_with("}|PATH");
    if (is_path_too || (choices.empty() && !is_number)) answer.order(":file");
}

bool takes_value(const CLI::Option& option) {
    return option.get_type_size() != 0 && option.get_expected_min() > 0;
}

const CLI::Option* option_named(const CLI::App& command, const std::string& name) {
    for (const CLI::Option* each : all_options(command))
        if (each->nonpositional() && each->check_name(name)) return each;
    return nullptr;
}

void add_options(Answer& answer, const CLI::App& command, const Words& given) {
    for (const CLI::Option* each : all_options(command)) {
        if (!each->nonpositional() || each->get_group().empty()) continue;
        const auto is_given = [&](const std::string& name) {
            return std::find(given.begin(), given.end(), name) != given.end();
        };
        const bool once = each->get_expected_max() <= 1;
        for (const auto& name : each->get_lnames()) {
            const std::string word = "--" + name;
            if (!once || !is_given(word)) answer.add(word, each->get_description());
        }
        if (each->get_lnames().empty())
            for (const auto& name : each->get_snames())
                answer.add("-" + name, each->get_description());
    }
}

Line take_apart(const CLI::App& app, Words words) {
    Line line;
    line.command = &app;
    line.current = words.empty() ? "" : words.back();
    if (!words.empty()) words.pop_back();
    size_t at = 0;
    for (; at < words.size(); ++at) {
        const CLI::Option* const option = option_named(*line.command, words[at]);
        if (option != nullptr && takes_value(*option)) {
            if (at + 1 == words.size()) break;  // its value is what is written
            ++at;                               // mimic --context NAME ps
            continue;
        }
        const CLI::App* next = nullptr;
        for (const CLI::App* each : commands_below(*line.command))
            if (each->get_name() == words[at]) next = each;
        if (next == nullptr) {
            if (words[at].starts_with("-")) continue;
            break;
        }
        line.command = next;
        line.path += (line.path.empty() ? "" : " ") + words[at];
        if (commands_below(*next).empty()) {
            ++at;
            break;
        }
    }
    line.given.assign(words.begin() + static_cast<std::ptrdiff_t>(std::min(at, words.size())),
                      words.end());
    for (size_t i = 0; i < line.given.size(); ++i) {
        const std::string& word = line.given[i];
        if (word == "--") line.is_guests = true;
        if (!word.starts_with("-") || word == "-") {
            line.arguments.push_back(word);
            continue;
        }
        const CLI::Option* const option = option_named(*line.command, word);
        if (option != nullptr && takes_value(*option)) ++i;
    }
    return line;
}

}  // namespace

std::vector<std::string> complete(const CLI::App& app, std::vector<std::string> words) {
    const Line line = take_apart(app, std::move(words));
    const CLI::App& command = *line.command;
    Answer answer(line.current);
    if (line.is_guests) return {};
    if (!line.given.empty()) {
        const CLI::Option* const last = option_named(command, line.given.back());
        if (last != nullptr && takes_value(*last)) {
            // Of mimic itself they are names in a cluster, which is not asked here; and a program.
            if (&command != &app || last->check_name("--kubectl")) add_value(answer, *last, "");
            return answer.take();
        }
    }
    if (line.current.starts_with("--") && line.current.find('=') != std::string::npos) {
        const std::string name = line.current.substr(0, line.current.find('='));
        const CLI::Option* const option = option_named(command, name);
        if (option != nullptr && takes_value(*option)) add_value(answer, *option, name + "=");
        return answer.take();
    }
    if (line.current.starts_with("-")) {
        add_options(answer, command, line.given);
        return answer.take();
    }
    for (const CLI::App* each : commands_below(command))
        if (line.arguments.empty()) answer.add(each->get_name(), each->get_description());
    size_t number = line.arguments.size();
    for (const CLI::Option* each : command.get_options()) {
        if (each->nonpositional()) continue;
        const bool many = each->get_expected_max() == CLI::detail::expected_max_vector_size;
        if (number != 0 && !many) {
            --number;
            continue;
        }
        add_argument(answer, app, line, each->get_name(true));
        break;
    }
    return answer.take();
}

int print_completions(const CLI::App& app, std::vector<std::string> words) {
    for (const auto& line : complete(app, std::move(words))) std::puts(line.c_str());
    return 0;
}

}  // namespace mimic::cli
