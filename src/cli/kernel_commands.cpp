// SPDX-License-Identifier: Apache-2.0
#include "cli/kernel_commands.h"

#include <memory>
#include <string>
#include <vector>

#include "devices/all_models.h"
#include "machine/bus_commands.h"

namespace mimic::cli {
namespace {

constexpr const char* kVgpuDriver = "nvidia";

/// Words of --driver: the drivers of the models, and the one of the module that makes the bus.
std::vector<std::string> driver_words() {
    std::vector<std::string> words;
    for (const model::DeviceModel* model : devices::all_models()) {
        const model::DeviceModel& one = *model;
        if (one.facts.part == model::Part::kDevice && !one.driver.name.empty())
            words.emplace_back(one.driver.name);
    }
    words.emplace_back(kVgpuDriver);
    return words;
}

std::string driver_help() {
    std::string help;
    for (const std::string& word : driver_words()) {
        if (word != kVgpuDriver) help += (help.empty() ? "" : ", ") + word;
    }
    return help + " (default), or nvidia: GPUs with vGPUs in place of the devices";
}

CLI::Validator a_count() {
    return CLI::Range(0u, 4096u) | CLI::IsMember({"all"});
}

void add_tree(CLI::App& app, Action& action) {
    auto options = std::make_shared<machine::TreeOptions>();
    auto vfs = std::make_shared<std::string>("0");
    auto* tree = app.add_subcommand("tree", "Write a machine as a sysfs folder, without a VM");
    tree->add_option("FILE", options->file, "Topology file (YAML); - for standard input")
        ->required();
    tree->add_option("DIR", options->dir, "Folder to write; empty, or not there")->required();
    tree->add_option("--machine", options->machine, "Machine, if the file has several");
    add_vfs_option(*tree, *vfs);
    tree->add_flag("--force", options->force, "Replace what mimic tree wrote there before");
    tree->callback([options, vfs, &action] {
        options->vfs = parse_vfs(*vfs);
        action = [options] { return machine::run_tree(*options); };
    });
}

using machine::KernelOptions;

/// Options that say which buses are meant.
void add_plan_options(CLI::App& command, const std::shared_ptr<KernelOptions>& options) {
    command.add_option("FILE", options->file, "Topology file (YAML); - for standard input")
        ->required();
    command.add_option("--machine", options->machine, "Machine, if the file has several");
    command
        .add_option("--domain", options->plan.first_domain,
                    "First PCI domain; each NUMA node takes one (16)")
        ->check(CLI::Range(0u, kernel_bus::kMaxKernelDomain));
}

void add_up_options(CLI::App& command, const std::shared_ptr<KernelOptions>& options) {
    add_plan_options(command, options);
    command
        .add_option_function<std::string>(
            "--numvfs", [options](const std::string& text) { options->plan.vfs = parse_vfs(text); },
            "Virtual functions to enable of each device: N or all (0)")
        ->check(a_count());
    command
        .add_option_function<std::string>(
            "--driver",
            [options](const std::string& name) {
                options->plan.driver = name == kVgpuDriver ? kernel_bus::KernelDriver::kNvidia
                                                           : kernel_bus::KernelDriver::kModel;
            },
            driver_help())
        ->check(CLI::IsMember(driver_words()));
}

// What the script does, as it says it or as JSON.
void add_script(CLI::App& command, const std::shared_ptr<KernelOptions>& options, const char* name,
                Action& action) {
    command.add_flag("--json", options->json, "What became of the buses as JSON");
    command.callback([options, name, &action] {
        action = [options, name] {
            return options->json ? machine::run_kernel_json(*options, name)
                                 : machine::run_kernel_script(*options, name);
        };
    });
}

void add_kernel(CLI::App& app, Action& action) {
    auto* kernel = app.add_subcommand("kernel", "A machine as PCI buses of this kernel, no VM");
    kernel->require_subcommand(1);
    const auto options = std::make_shared<KernelOptions>();

    auto* up = kernel->add_subcommand("up", "Make the buses (root)");
    add_up_options(*up, options);
    up->add_option("--module", options->module, "fake-sriov-vgpu.ko, if modprobe lacks it");
    up->add_option("--driver-module", options->driver_module, "The models' driver, the same");
    add_script(*up, options, "up", action);
    for (const char* name : {"down", "status"}) {
        auto* command = kernel->add_subcommand(
            name, std::string(name) == "down" ? "Remove the buses (root)" : "Say which are there");
        add_plan_options(*command, options);
        add_script(*command, options, name, action);
    }
    auto* verify = kernel->add_subcommand("verify", "Compare this kernel with what the file says");
    add_plan_options(*verify, options);
    verify->add_option("--probe", options->probe,
                       "What guest/init/probe printed elsewhere; - for standard input");
    verify->add_flag("--json", options->json, "As JSON");
    verify->add_option("--junit", options->junit, "Write a JUnit report to this file, too");
    verify->callback([options, &action] {
        action = [options] { return machine::run_kernel_verify(*options); };
    });
    auto* plan = kernel->add_subcommand("plan", "Print the shell script that up and down run");
    add_up_options(*plan, options);
    plan->callback(
        [options, &action] { action = [options] { return machine::run_kernel_plan(*options); }; });
}

}  // namespace

CLI::Option* add_vfs_option(CLI::App& command, std::string& text) {
    return command
        .add_option("--numvfs", text, "Virtual functions to enable of each device: N or all (0)")
        ->check(a_count());
}

unsigned parse_vfs(const std::string& text) {
    return text == "all" ? machine::kAllVfs : static_cast<unsigned>(std::stoul(text));
}

void add_kernel_commands(CLI::App& app, Action& action) {
    add_tree(app, action);
    add_kernel(app, action);
}

}  // namespace mimic::cli
