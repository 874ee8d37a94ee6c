// SPDX-License-Identifier: Apache-2.0
#include "cli/control_commands.h"

#include <memory>
#include <string>
#include <vector>

#include "commands/inject.h"

namespace mimic::cli {
namespace {

// What the parser has collected; strings become values once it is done.
struct InjectArguments {
    commands::InjectOptions options;
    std::vector<std::string> pairs;
    std::string at;
    std::string after;
    std::string seed;
    bool list = false;
    bool active = false;
};

template <typename T>
T value_or_usage(Result<T> value, const char* option) {
    if (!value) throw CLI::ValidationError(option, value.error().message());
    return std::move(*value);
}

void read_arguments(InjectArguments& arguments) {
    auto& options = arguments.options;
    for (const auto& pair : arguments.pairs) {
        const size_t equals = pair.find('=');
        if (equals == std::string::npos || equals == 0)
            throw CLI::ValidationError("OPTION", "\"" + pair + "\" is not KEY=VALUE");
        if (!options.options.emplace(pair.substr(0, equals), pair.substr(equals + 1)).second)
            throw CLI::ValidationError("OPTION", "\"" + pair + "\" was given already");
    }
    if (!arguments.at.empty())
        options.at = value_or_usage(pci::parse_duration(arguments.at, pci::kMaxFaultAt), "--at");
    if (!arguments.after.empty())
        options.after_accesses = value_or_usage(
            pci::parse_count("count", arguments.after, pci::kMaxFaultAccesses), "--after");
    if (!arguments.seed.empty())
        options.seed = value_or_usage(pci::parse_count("seed", arguments.seed, UINT64_MAX),
                                      "--seed");
}

void add_inject(CLI::App& app, Action& action) {
    auto arguments = std::make_shared<InjectArguments>();
    auto& options = arguments->options;
    auto* inject = app.add_subcommand("inject", "Let something go wrong with a device, by name");
    inject->add_option("MACHINE", options.machine, "A running machine");
    inject->add_option("DEVICE", options.device, "A function of it");
    auto* fault = inject->add_option("FAULT", options.fault, "What goes wrong; see --list");
    inject->add_option("OPTION", arguments->pairs, "KEY=VALUE, such as count=3 or delay=20ms");
    auto* at = inject->add_option("--at", arguments->at, "In so long, such as 250us or 1.5s");
    inject->add_option("--after", arguments->after, "After so many accesses of the device")
        ->excludes(at);
    inject->add_option("--seed", arguments->seed, "Of random bytes and vectors (1)");
    auto* list = inject->add_flag("--list", arguments->list, "Print all faults");
    inject
        ->add_flag("--active", arguments->active,
                   "Print the faults of MACHINE, or only of DEVICE, that wait or last")
        ->excludes(list)
        ->excludes(fault);
    inject->add_flag("--json", options.json, "As JSON");
    inject->callback([arguments, fault, &action] {
        const auto& given = arguments->options;
        if (arguments->list) {
            action = [arguments] { return commands::list_faults(arguments->options.json); };
            return;
        }
        if (arguments->active) {
            if (given.machine.empty()) throw CLI::RequiredError("MACHINE");
            action = [arguments] { return commands::run_active_faults(arguments->options); };
            return;
        }
        if (fault->count() == 0)
            throw CLI::RequiredError(given.machine.empty()  ? "MACHINE"
                                     : given.device.empty() ? "DEVICE"
                                                            : "FAULT");
        read_arguments(*arguments);
        action = [arguments] { return commands::run_inject(arguments->options); };
    });
}

}  // namespace

void add_control_commands(CLI::App& app, Action& action) {
    add_inject(app, action);
}

}  // namespace mimic::cli
