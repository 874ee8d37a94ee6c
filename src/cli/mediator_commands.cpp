// SPDX-License-Identifier: Apache-2.0
#include "cli/mediator_commands.h"

#include <memory>
#include <string>
#include <vector>

#include "commands/mediator.h"
#include "mediator/config/parse.h"
#include "mediator/schedule/simulate/report.h"

namespace mimic::cli {
namespace {

using commands::MediatorOptions;

struct Arguments {
    MediatorOptions options;
    uint32_t vm = 0;
    uint32_t weight = 0;
    std::vector<std::string> limits;
    std::string reason;
    uint64_t release = 0;
    bool off = false;
    bool wait = false;
};
using Shared = std::shared_ptr<Arguments>;

// A command that asks one mediator.
CLI::App* add(CLI::App& app, const char* name, const char* what, const Shared& arguments,
              Action& action, std::function<int(const Arguments&)> run) {
    auto* const command = app.add_subcommand(name, what);
    auto* const by_name = command->add_option("--name", arguments->options.name,
                                              "Of the mediator (the only one that runs)");
    command->add_option("--socket", arguments->options.socket, "Its control socket, instead")
        ->excludes(by_name);
    command->callback([arguments, &action, run = std::move(run)] {
        action = [arguments, run] { return run(*arguments); };
    });
    return command;
}

CLI::App* add_json(CLI::App* command, const Shared& arguments) {
    command->add_flag("--json", arguments->options.json, "As JSON, as the control API gives it");
    return command;
}

void add_vm(CLI::App* command, const Shared& arguments) {
    command->add_option("VM", arguments->vm, "Its number")->required();
}

void add_views(CLI::App& mediator, Action& action) {
    const auto view = [&](const char* name, const char* what, int (*run)(const MediatorOptions&)) {
        const auto arguments = std::make_shared<Arguments>();
        add_json(add(mediator, name, what, arguments, action,
                     [run](const Arguments& given) { return run(given.options); }),
                 arguments);
    };
    view("status", "What it is and does", &commands::run_mediator_status);
    view("vms", "Its VMs: shares, queues, latencies", &commands::run_mediator_vms);
    view("pools", "Its pools and their backends", &commands::run_mediator_pools);
    view("reload", "Let it read its file again; no request is lost",
         &commands::run_mediator_reload);
    const auto arguments = std::make_shared<Arguments>();
    add(mediator, "metrics", "Its samples for Prometheus", arguments, action,
        [](const Arguments& given) { return commands::run_mediator_metrics(given.options); });
}

void add_vm_changes(CLI::App& mediator, Action& action) {
    auto arguments = std::make_shared<Arguments>();
    auto* command = add(mediator, "set-weight", "Change a VM's share, until the next reload",
                        arguments, action, [](const Arguments& given) {
                            return commands::run_mediator_set_weight(given.options, given.vm,
                                                                     given.weight);
                        });
    add_vm(command, arguments);
    command->add_option("WEIGHT", arguments->weight, "1 to 10000")
        ->required()
        ->check(CLI::Range(1U, mediator::kMaxWeight));
    add_json(command, arguments);

    arguments = std::make_shared<Arguments>();
    command = add(mediator, "set-limit", "Change what a VM may have, until the next reload",
                  arguments, action, [](const Arguments& given) {
                      return commands::run_mediator_set_limit(given.options, given.vm,
                                                              given.limits);
                  });
    add_vm(command, arguments);
    command
        ->add_option("LIMIT", arguments->limits,
                     "rate=N, burst=N, queue_depth=N, memory_bytes=64M, parallel=N, "
                     "job_timeout=1.5s")
        ->required();
    add_json(command, arguments);

    arguments = std::make_shared<Arguments>();
    command = add(mediator, "quarantine", "Keep a VM out", arguments, action,
                  [](const Arguments& given) {
                      return commands::run_mediator_quarantine(given.options, given.vm,
                                                               given.reason, given.release);
                  });
    add_vm(command, arguments);
    command->add_option("--reason", arguments->reason, "For the audit log (by hand)");
    command->add_option("--release", arguments->release, "Seconds, then it is let in (never)")
        ->check(CLI::Range(uint64_t{0}, uint64_t{604'800}));
    add_json(command, arguments);

    arguments = std::make_shared<Arguments>();
    command = add(mediator, "release", "Let a VM in again", arguments, action,
                  [](const Arguments& given) {
                      return commands::run_mediator_release(given.options, given.vm);
                  });
    add_vm(command, arguments);
    add_json(command, arguments);
}

void add_drain(CLI::App& mediator, Action& action) {
    const auto arguments = std::make_shared<Arguments>();
    auto* const command = add(mediator, "drain", "Take no new requests, end what is in flight",
                              arguments, action, [](const Arguments& given) {
                                  return commands::run_mediator_drain(given.options, !given.off,
                                                                      given.wait);
                              });
    auto* const off = command->add_flag("--off", arguments->off, "Back to work");
    command->add_flag("--wait", arguments->wait, "Until nothing is in flight")->excludes(off);
    add_json(command, arguments);
}

void add_simulate(CLI::App& mediator, Action& action) {
    const auto given = std::make_shared<mediator::schedule::SimulateCommand>();
    auto* const command = mediator.add_subcommand(
        "simulate", "Play a load against the rules and show who gets what");
    command->add_option("LOAD", given->load, "File of JSON lines; - for standard input")
        ->required();
    command->add_option("--rule", given->rules, "Only this rule; may be repeated (all)")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command->add_flag("--json", given->json, "As JSON, with a series over time");
    command->callback([given, &action] {
        action = [given] { return mediator::schedule::run_simulate(*given); };
    });
}

}  // namespace

void add_mediator_commands(CLI::App& app, Action& action) {
    auto* const mediator = app.add_subcommand("mediator",
                                              "See and steer a mimic-mediator, which shares vGPUs");
    mediator->require_subcommand(1);
    add_views(*mediator, action);
    add_vm_changes(*mediator, action);
    add_drain(*mediator, action);
    add_simulate(*mediator, action);
}

}  // namespace mimic::cli
