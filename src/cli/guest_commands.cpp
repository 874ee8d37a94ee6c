// SPDX-License-Identifier: Apache-2.0
#include "cli/guest_commands.h"
#include "devices/all_models.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "machine/down.h"
#include "machine/guest_commands.h"
#include "machine/run_dir.h"
#include "topology/topology.h"

namespace mimic::cli {
namespace {

int complain(const Error& error, int status) {
    std::fputs(fmt::format("mimic: error: {}\n", error.message()).c_str(), stderr);
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
        std::fputs("mimic: error: neither side is in a guest (NODE:PATH); cp(1) copies here\n",
                   stderr);
        return 2;
    }
    return machine::run_cp(from->run_dir, from->path, to->run_dir, to->path);
}

int verify_one(const std::string& name, bool json) {
    const auto dir = machine::running_machine_dir(name);
    if (!dir) return complain(dir.error(), 2);
    // The copy: the file may have been edited since.
    const auto model = topology::load(*dir + "/topology.yaml", devices::all_models());
    if (!model) return complain(model.error(), 2);
    return machine::run_verify(*model, name, *dir, json);
}

int verify(std::vector<std::string> names, bool json) {
    if (names.empty()) {
        const auto root = machine::RunRoot::open();
        if (!root) return complain(root.error(), 2);
        for (const auto& name : root->names())
            if (root->is_alive(name)) names.push_back(name);
        if (names.empty()) {
            std::fputs("mimic: error: no machine runs. Start one: mimic up FILE\n", stderr);
            return 2;
        }
    }
    int status = 0;
    for (const auto& name : names) status = std::max(status, verify_one(name, json));
    return status;
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

    auto names = std::make_shared<std::vector<std::string>>();
    auto json = std::make_shared<bool>(false);
    auto* verify_command = app.add_subcommand("verify", "Compare guests with what their files say");
    verify_command->add_option("NAME", *names, "Machines (all that run)");
    verify_command->add_flag("--json", *json, "One JSON document a machine");
    verify_command->callback(
        [names, json, &action] { action = [names, json] { return verify(*names, *json); }; });
}

}  // namespace mimic::cli
