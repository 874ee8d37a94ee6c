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
#include "cli/json_errors.h"
#include "machine/down.h"
#include "machine/guest_commands.h"
#include "machine/run_dir.h"
#include "topology/topology.h"

namespace mimic::cli {
namespace {

int complain(const Error& error, int status) {
    report_error(error.message());
    return status;
}

int exec(const std::string& node, const std::vector<std::string>& argv, bool pass_input) {
    const auto dir = machine::running_machine_dir(node);
    if (!dir) return complain(dir.error(), machine::kExecFailed);
    return machine::run_exec(*dir, argv, pass_input);
}

/// One side of `mimic cp`: a path here, or "NODE:PATH".
struct Place {
    std::string run_dir;  // empty: here
    std::string path;
};

Result<Place> parse_place(const std::string& text) {
    const size_t colon = text.find(':');
    // "./a:b" and "/x:y" are files here.
    if (colon == std::string::npos || text.find('/') < colon) return Place{"", text};
    MIMIC_ASSIGN_OR_RETURN(auto dir, machine::running_machine_dir(text.substr(0, colon)));
    return Place{std::move(dir), text.substr(colon + 1)};
}

int cp(const std::string& source, const std::string& target) {
    const auto from = parse_place(source);
    if (!from) return complain(from.error(), 1);
    const auto to = parse_place(target);
    if (!to) return complain(to.error(), 1);
    if (from->run_dir.empty() && to->run_dir.empty()) {
        report_error("neither side is in a guest (NODE:PATH); cp(1) copies here");
        return 2;
    }
    return machine::run_cp(from->run_dir, from->path, to->run_dir, to->path);
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
    const Status written = write_file_atomically(arguments.junit,
                                                 verify::junit_xml(reports, started));
    return written ? status : complain(written.error(), 2);
}

}  // namespace

void add_guest_commands(CLI::App& app, Action& action) {
    auto node = std::make_shared<std::string>();
    auto argv = std::make_shared<std::vector<std::string>>();
    auto* exec_command = app.add_subcommand("exec", "Run a command in a guest: exec NODE -- CMD");
    exec_command->add_option("NODE", *node, "Machine")->required();
    exec_command->add_option("CMD", *argv, "Command and arguments, after --")->required();
    auto no_input = std::make_shared<bool>(false);
    exec_command->add_flag("-n,--no-stdin", *no_input,
                           "No standard input; for a loop that reads a list. A terminal never is");
    exec_command->callback([node, argv, no_input, &action] {
        action = [node, argv, no_input] { return exec(*node, *argv, !*no_input); };
    });

    auto source = std::make_shared<std::string>();
    auto target = std::make_shared<std::string>();
    auto* cp_command = app.add_subcommand("cp", "Copy a file from or to a guest (NODE:PATH)");
    cp_command->add_option("SOURCE", *source, "PATH, - or NODE:PATH")->required();
    cp_command->add_option("TARGET", *target, "PATH, - or NODE:PATH")->required();
    cp_command->callback(
        [source, target, &action] { action = [source, target] { return cp(*source, *target); }; });

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
