// SPDX-License-Identifier: Apache-2.0
#include "cli/new_command.h"
#include "devices/all_models.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/command_report.h"
#include "base/private_files.h"
#include "base/terminal_text.h"
#include "base/text_table.h"
#include "base/unique_fd.h"
#include "starter/questions.h"
#include "starter/starter.h"
#include "yaml/scalars.h"

namespace mimic::cli {
namespace {

using Json = nlohmann::ordered_json;
using starter::Answers;

constexpr const char* kUsualFile = "mimic.yaml";

struct NewArguments {
    std::string file;
    std::string shape;
    /// What the options say, in the order of the command line's definition.
    std::vector<std::function<void(Answers&)>> changes;
    bool list = false;
    bool force = false;
    bool json = false;
};

int new_error(const Error& error) {
    report_error(error.message());
    return 1;
}

int print_new(const std::string& text) {
    const bool ok = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
                    std::fflush(stdout) == 0;
    if (!ok) report_lost_output();
    return ok ? 0 : 1;
}

int list_shapes(bool as_json) {
    Json list = Json::array();
    std::vector<std::vector<std::string>> rows = {{"SHAPE", "WHAT"}};
    for (const starter::Shape& shape : starter::shapes()) {
        list.push_back({{"name", shape.name}, {"what", shape.doc}});
        rows.push_back({std::string(shape.name), std::string(shape.doc)});
    }
    const Json all{{"format", "mimic-shapes"}, {"version", 1}, {"shapes", list}};
    if (as_json) return print_document(all.dump(2)) ? 0 : 1;
    return print_new(text_table(rows));
}

/// A conversation on standard error and input: standard output may be the file.
starter::Conversation at_terminal() {
    return {.ask = [](const std::string& question) -> std::optional<std::string> {
                std::fputs(question.c_str(), stderr);
                std::string line;
                if (std::getline(std::cin, line)) return line;
                std::fputs("\n", stderr);
                return std::nullopt;
            },
            .say = [](const std::string& line) { std::fputs((line + "\n").c_str(), stderr); }};
}

/// Asks where nothing was said and somebody sits there.
Result<Answers> gather_answers(NewArguments& arguments) {
    const bool says_nothing = arguments.shape.empty() && arguments.changes.empty();
    if (says_nothing && ::isatty(STDIN_FILENO) != 0) {
        const auto conversation = at_terminal();
        MIMIC_ASSIGN_OR_RETURN(Answers answers, starter::ask_answers(conversation));
        if (arguments.file.empty()) {
            MIMIC_ASSIGN_OR_RETURN(arguments.file,
                                   starter::ask_text(conversation, "File", kUsualFile));
        }
        return answers;
    }
    Answers answers = starter::shapes().front().answers;
    if (!arguments.shape.empty()) answers = starter::find_shape(arguments.shape)->answers;
    for (const auto& change : arguments.changes) change(answers);
    return answers;
}

Status write_new(const std::string& path, const std::string& text, bool force) {
    if (force) return write_public_file(path, text);
    const UniqueFd fd(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (!fd && errno == EEXIST)
        return fail(std::errc::file_exists, "{} is there already; to write over it: --force", path);
    if (!fd) return fail_errno("cannot make {}", path);
    Status written = write_all(fd.get(), text);
    if (!written) {
        ::unlink(path.c_str());
        return tl::unexpected(std::move(written).error().with_context(path));
    }
    return {};
}

struct Counts {
    size_t machines = 0;
    size_t devices = 0;
    size_t functions = 0;
};

Counts count(const topology::Model& model) {
    Counts out{.machines = model.machines.size()};
    for (const auto& machine : model.machines) {
        out.devices += machine.devices.size();
        for (const auto& device : machine.devices) out.functions += device.functions.size();
    }
    return out;
}

int tell_new(const NewArguments& arguments, const topology::Model& model) {
    const Counts counts = count(model);
    if (arguments.json) {
        Json names = Json::array();
        for (const auto& machine : model.machines) names.push_back(machine.name);
        const Json json{{"format", "mimic-new"},     {"version", 1},
                        {"file", arguments.file},    {"machines", names},
                        {"devices", counts.devices}, {"functions", counts.functions}};
        return print_document(json.dump(2, ' ', false, Json::error_handler_t::replace)) ? 0 : 1;
    }
    const std::string file = terminal_text(arguments.file);
    return print_new(fmt::format("{0}: {1}, {2}, {3}\nnext: mimic plan {0}; mimic up {0}\n", file,
                                 counted(counts.machines, "machine"),
                                 counted(counts.devices, "device"),
                                 counted(counts.functions, "function")));
}

int run_new(NewArguments& arguments) {
    if (arguments.list) return list_shapes(arguments.json);
    const auto answers = gather_answers(arguments);
    if (!answers) return new_error(answers.error());
    const auto made = starter::make_starter(*answers, devices::all_models());
    if (!made) return new_error(made.error());
    if (arguments.file == "-") return print_new(made->text);
    if (arguments.file.empty()) arguments.file = kUsualFile;
    const auto written = write_new(arguments.file, made->text, arguments.force);
    return written ? tell_new(arguments, made->model) : new_error(written.error());
}

/// An option with a number, that changes `member` of the answers.
template <typename T>
void add_number(CLI::App& command, NewArguments& arguments, const std::string& name,
                T Answers::*member, unsigned least, unsigned most, const std::string& doc) {
    command
        .add_option_function<unsigned>(
            name,
            [&arguments, member](unsigned value) {
                arguments.changes.emplace_back(
                    [member, value](Answers& answers) { answers.*member = value; });
            },
            doc)
        ->check(CLI::Range(least, most));
}

void add_sizes(CLI::App& command, NewArguments& arguments) {
    add_number(command, arguments, "--machines", &Answers::machines, 1, topology::kMaxMachines,
               "How many machines");
    add_number(command, arguments, "--numa-nodes", &Answers::numa_nodes, 0, topology::kMaxNumaNodes,
               "NUMA nodes of a machine; 0: it is told of none");
    add_number(command, arguments, "--devices-per-node", &Answers::devices_per_node, 0,
               starter::kMostPerNode, "Devices on each NUMA node");
    add_number(command, arguments, "--switches-per-node", &Answers::switches_per_node, 0,
               starter::kMostPerNode, "PCIe switches on each NUMA node, above its devices");
    add_number(command, arguments, "--vfs", &Answers::vfs, 0, 64, "VFs of each device");
    add_number(command, arguments, "--cpus", &Answers::cpus, 1, topology::kMaxCpus,
               "CPUs of a machine, all nodes together");
    command.add_option_function<std::string>(
        "--memory",
        [&arguments](const std::string& word) {
            const auto bytes = yaml::parse_size(word);
            if (!bytes)
                throw CLI::ValidationError(
                    "--memory", fmt::format("\"{}\": expected a size, such as 512M or 4G", word));
            arguments.changes.emplace_back([bytes = *bytes](Answers& a) { a.memory = bytes; });
        },
        "Memory of a machine, all nodes together, such as 4G");
}

void add_words(CLI::App& command, NewArguments& arguments) {
    const auto add = [&](const std::string& name, const std::string& doc, auto change) {
        return command.add_option_function<std::string>(
            name,
            [&arguments, change](const std::string& word) {
                arguments.changes.emplace_back([change, word](Answers& a) { change(a, word); });
            },
            doc);
    };
    add("--name", "Name of the machine; of several, the word before their numbers",
        [](Answers& a, const std::string& word) { a.name = word; });
    add("--model", "Model of the devices",
        [](Answers& a, const std::string& word) { a.model = word; });
    add("--sriov", "static: VFs are functions of a slot; native: of an SR-IOV capability",
        [](Answers& a, const std::string& word) { a.native = word == "native"; })
        ->check(CLI::IsMember({"static", "native"}));
}

}  // namespace

void add_new_command(CLI::App& app, Action& action) {
    auto arguments = std::make_shared<NewArguments>();
    auto* command = app.add_subcommand(
        "new", "Write a first topology file: of a shape, of numbers, or by a few questions");
    command->add_option("FILE", arguments->file, "The file (mimic.yaml); - for standard output");
    std::vector<std::string> names;
    for (const starter::Shape& shape : starter::shapes()) names.emplace_back(shape.name);
    auto* shape = command->add_option("--shape", arguments->shape,
                                      "What to begin with; the other options change it (single)");
    shape->check(CLI::IsMember(names));
    add_sizes(*command, *arguments);
    add_words(*command, *arguments);
    command->add_flag("--list", arguments->list, "List the shapes and write nothing");
    command->add_flag("--force", arguments->force, "Write over a file that is there");
    command->add_flag("--json", arguments->json, "Say what was written, or the list, as JSON");
    command->callback([arguments, &action] {
        if (arguments->json && arguments->file == "-")
            throw CLI::ValidationError("--json", "standard output is the file");
        action = [arguments] { return run_new(*arguments); };
    });
}

}  // namespace mimic::cli
