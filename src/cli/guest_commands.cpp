// SPDX-License-Identifier: Apache-2.0
#include "cli/guest_commands.h"
#include "devices/all_models.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "base/command_report.h"
#include "base/private_files.h"
#include "cli/command_words.h"
#include "cli/json_errors.h"
#include "machine/copy_command.h"
#include "machine/down.h"
#include "machine/exec_command.h"
#include "machine/guest_commands.h"
#include "machine/run_dir.h"
#include "topology/topology.h"

namespace mimic::cli {
namespace {

int complain(const Error& error, int status) {
    report_error(error.message());
    return status;
}

int exec(const std::string& node, const machine::ExecOptions& options) {
    const auto dir = machine::running_machine_dir(node);
    if (!dir) return complain(dir.error(), machine::kExecFailed);
    return machine::run_exec(*dir, options);
}

/// One side of `mimic cp`: a path here, or "NODE:PATH".
Result<machine::CopyPlace> parse_place(const std::string& text) {
    const size_t colon = text.find(':');
    // "./a:b" and "/x:y" are files here.
    if (colon == std::string::npos || text.find('/') < colon) return machine::CopyPlace{"", text};
    MIMIC_ASSIGN_OR_RETURN(auto dir, machine::running_machine_dir(text.substr(0, colon)));
    if (colon + 1 == text.size())
        return fail(std::errc::invalid_argument, "{} needs a path in the guest, such as {}/tmp/",
                    text, text);
    return machine::CopyPlace{std::move(dir), text.substr(colon + 1)};
}

int cp(const std::string& source, const std::string& target, bool recursive) {
    const auto from = parse_place(source);
    if (!from) return complain(from.error(), 1);
    const auto to = parse_place(target);
    if (!to) return complain(to.error(), 1);
    if (from->run_dir.empty() && to->run_dir.empty()) {
        report_error("neither side is in a guest (NODE:PATH); cp(1) copies here");
        return 2;
    }
    return machine::run_cp(*from, *to, recursive);
}

struct VerifyArguments {
    std::vector<std::string> names;
    bool json = false;
    std::string junit;  // file for a report; empty: none
};

int verify_one(const std::string& name, bool json, verify::JunitMachine& report) {
    report.name = name;
    const auto dir = machine::running_machine_dir(name);
    // The copy: the file may have been edited since.
    const auto model = dir ? topology::load(*dir + "/topology.yaml", devices::all_models())
                           : Result<topology::Model>(tl::unexpected(dir.error()));
    if (model) return machine::run_verify(*model, name, *dir, json, report);
    report.error = model.error().message();
    return complain(model.error(), 2);
}

Result<std::vector<std::string>> running_machines() {
    MIMIC_ASSIGN_OR_RETURN(const auto root, machine::RunRoot::open());
    std::vector<std::string> names;
    for (const auto& name : root.names())
        if (root.is_alive(name)) names.push_back(name);
    if (names.empty())
        return fail(std::errc::no_such_file_or_directory,
                    "no machine runs. Start one: mimic up FILE");
    return names;
}

int verify(const VerifyArguments& arguments) {
    const std::time_t started = std::time(nullptr);
    std::vector<std::string> names = arguments.names;
    if (names.empty()) {
        auto running = running_machines();
        if (!running) return complain(running.error(), 2);
        names = std::move(*running);
    }
    int status = 0;
    std::vector<verify::JunitMachine> reports;
    for (const auto& name : names) {
        verify::JunitMachine& report = reports.emplace_back();
        const int one = verify_one(name, arguments.json, report);
        status = std::max(status, one);
        // Each machine has its document, whatever came of it.
        if (arguments.json && !report.error.empty())
            print_document(error_document("verify", one, {report.error}, name));
    }
    if (arguments.junit.empty()) return status;
    const Status written = write_public_file(arguments.junit, verify::junit_xml(reports, started));
    return written ? status : complain(written.error(), 2);
}

void add_exec(CLI::App& app, Action& action) {
    auto node = std::make_shared<std::string>();
    auto options = std::make_shared<machine::ExecOptions>();
    auto* command = app.add_subcommand("exec", "Run a command in a guest: exec NODE -- CMD");
    command->add_option("NODE", *node, "Machine")->required();
    add_command_options(*command, *options);
    command->callback(
        [node, options, &action] { action = [node, options] { return exec(*node, *options); }; });
}

}  // namespace

void add_command_options(CLI::App& command, machine::ExecOptions& options) {
    using machine::Input;
    command.add_option("CMD", options.argv, "Command and arguments, after --")
        ->required()
        ->transform(unshielded);
    command.add_flag_callback(
        "-i,--interactive", [&options] { options.input = Input::kAlways; },
        "Standard input, also from a terminal; what is piped comes in any case");
    command.add_flag("-t,--tty", options.terminal,
                     "A terminal in the guest, as for a shell; yours is raw meanwhile");
    command
        .add_flag_callback(
            "-n,--no-stdin", [&options] { options.input = Input::kNone; },
            "No standard input; for a loop that reads a list")
        ->excludes("-i");
    command
        .add_option("-e,--env", options.environment,
                    "NAME=VALUE for the command's environment; again for more")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false)
        ->check(CLI::Validator(
            [](const std::string& word) {
                const size_t sign = word.find('=');
                return sign != std::string::npos && sign != 0 ? "" : "expected NAME=VALUE";
            },
            "NAME=VALUE"));
    command.add_option("-w,--cwd", options.folder, "Folder in the guest to run it in");
}

void add_guest_commands(CLI::App& app, Action& action) {
    add_exec(app, action);

    auto source = std::make_shared<std::string>();
    auto target = std::make_shared<std::string>();
    auto recursive = std::make_shared<bool>(false);
    auto* cp_command = app.add_subcommand("cp", "Copy files from or to a guest (NODE:PATH)");
    cp_command->add_option("SOURCE", *source, "PATH, - or NODE:PATH")->required();
    cp_command->add_option("TARGET", *target, "PATH, - or NODE:PATH")->required();
    cp_command->add_flag("-r,--recursive", *recursive, "A folder with all that is in it");
    cp_command->callback([source, target, recursive, &action] {
        action = [source, target, recursive] { return cp(*source, *target, *recursive); };
    });

    auto arguments = std::make_shared<VerifyArguments>();
    auto* verify_command = app.add_subcommand("verify", "Compare guests with what their files say");
    verify_command->add_option("NAME", arguments->names, "Machines (all that run)");
    verify_command->add_flag("--json", arguments->json, "One JSON document a machine");
    verify_command->add_option("--junit", arguments->junit,
                               "Write a JUnit report to this file, too");
    verify_command->callback(
        [arguments, &action] { action = [arguments] { return verify(*arguments); }; });
}

}  // namespace mimic::cli
