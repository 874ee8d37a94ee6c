// SPDX-License-Identifier: Apache-2.0
#include "cli/up_commands.h"
#include "cli/command_words.h"
#include "cli/guest_commands.h"
#include "devices/all_models.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "base/command_report.h"
#include "base/private_files.h"
#include "guest_image/guest_image.h"
#include "guest_image/prepared_image.h"
#include "machine/run_command.h"
#include "machine/snapshot.h"
#include "machine/up.h"

namespace mimic::cli {
namespace {

constexpr std::array<std::string_view, 3> kKernels = {"6.1", "6.12", "newest"};
constexpr const char* kForeignKernel = "6.12-riscv64";
constexpr auto kPreparedKernels = {"6.1", "6.12", "newest", kForeignKernel};

const std::map<std::string, machine::ProgressKind> kProgress = {
    {"auto", machine::ProgressKind::kAuto},
    {"plain", machine::ProgressKind::kLines},
    {"json", machine::ProgressKind::kJson},
    {"none", machine::ProgressKind::kNone}};

struct UpArguments {
    machine::RunOptions run;
    unsigned timeout = 300;
    unsigned number = 0;
    std::vector<std::string> set;
    std::string set_file;
    std::string gdb;  // "yes" or "wait"; empty: not
};

// A release, or what has a slash: ./bzImage.
CLI::Validator kernel_name() {
    return CLI::Validator(
        [](const std::string& name) {
            const bool known = std::find(kKernels.begin(), kKernels.end(), name) != kKernels.end();
            return known || name.find('/') != std::string::npos
                       ? std::string()
                       : fmt::format(
                             "{}; expected 6.1, 6.12, newest, or the path of a kernel with a "
                             "'/' in it (./bzImage)",
                             name);
        },
        "{6.1,6.12,newest}|PATH");
}

// Folders of the host for the guest.
void add_host_options(CLI::App& command, machine::UpOptions& options) {
    command
        .add_option("--modules", options.modules,
                    "A folder of kernel modules besides the file's; may be repeated")
        ->expected(1)
        ->allow_extra_args(false)  // or the parser takes the "--" behind it for the list's end

        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command
        .add_option("--share", options.shares,
                    "HOST:GUEST[:ro]: a folder of the host in the guest; may be repeated")
        ->expected(1)
        ->allow_extra_args(false)  // or the parser takes the "--" behind it for the list's end

        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_flag("--allow-shares", options.allow_shares,
                     "Share folders outside of the file's own that the file names; it is your own");
}

// How far boots are; of up, run and restore.
void add_progress_options(CLI::App& command, machine::UpOptions& options) {
    command
        .add_option_function<std::string>(
            "--progress",
            [&options](const std::string& word) { options.progress = kProgress.at(word); },
            "How far boots are, on standard error: a line that is written again on a terminal, "
            "else lines (auto), plain lines, json events, or none")
        ->check(CLI::IsMember({"auto", "plain", "json", "none"}));
    command.add_flag_callback(
        "-q,--quiet", [&options] { options.progress = machine::ProgressKind::kNone; },
        "As --progress none");
}

// What comes of a start; of up and restore.
void add_start_options(CLI::App& command, UpArguments& arguments) {
    auto& options = arguments.run.up;
    auto* foreground = command.add_flag("--foreground", options.foreground,
                                        "Stay until ^C, then take all down");
    command.add_flag("--logs", options.logs, "With --foreground: print what the guests print")
        ->needs(foreground);
    command
        .add_flag("--until-eof", options.until_eof,
                  "With --foreground: end with standard input, too; for programs that start it")
        ->needs(foreground);
    command.add_flag("--json", options.json, "Say which machines are up as JSON");
    command.add_flag("--gdb{yes}", arguments.gdb,
                     "A debugger may attach (mimic gdb); --gdb=wait: the guest begins when it "
                     "says so");
}

// What up and run have in common.
CLI::Option* add_boot_options(CLI::App& command, UpArguments& arguments) {
    auto& options = arguments.run.up;
    command
        .add_option("FILE", options.file,
                    "Topology file (YAML), - for standard input, or folder of a snapshot")
        ->required();
    add_set_option(command, arguments.set);
    command.add_option("--set-file", arguments.set_file,
                       "A file with lines KEY=VALUE, as for --set");
    auto* name = command.add_option("--machine", options.machine, "Only this machine");
    auto* number = command.add_option("--machine-number", arguments.number,
                                      "Only that machine of the file, from 0");
    number->excludes(name);
    command
        .add_option("--timeout", arguments.timeout, "Seconds that a guest may take to boot (300)")
        ->check(CLI::Range(1u, 86400u));
    command
        .add_option("--kernel", options.kernel,
                    "In place of the file's: 6.1, 6.12, newest, or the path of a kernel of yours")
        ->check(kernel_name());
    add_host_options(command, options);
    command.add_option("--accel", options.accel, "tcg or kvm, in place of the file's")
        ->check(CLI::IsMember({"tcg", "kvm"}));
    command
        .add_option("--qemu-arg", options.qemu_args,
                    "One more argument for QEMU, as it is; may be repeated")
        ->expected(1)
        ->allow_extra_args(false)  // or the parser takes the "--" behind it for the list's end

        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    add_progress_options(command, options);
    command.add_flag("--allow-commands", options.allow_commands,
                     "Start the servers that the file names by 'command:'; it is your own");
    return number;
}

void read_boot_options(UpArguments& arguments, bool has_number) {
    auto& options = arguments.run.up;
    options.timeout = std::chrono::seconds(arguments.timeout);
    if (has_number) options.machine_number = arguments.number;
    options.parameters = read_set_option(arguments.set);
    if (arguments.set_file.empty()) return;
    const auto text = read_small_file(arguments.set_file);
    if (!text) throw CLI::ValidationError("--set-file", text.error().message());
    if (const auto read = topology::add_parameter_lines(options.parameters, *text); !read)
        throw CLI::ValidationError("--set-file",
                                   arguments.set_file + ": " + read.error().message());
}

/// A guest that waits may take any time to boot.
void read_gdb(UpArguments& arguments) {
    auto& options = arguments.run.up;
    if (arguments.gdb.empty()) return;
    if (arguments.gdb != "yes" && arguments.gdb != "wait")
        throw CLI::ValidationError("--gdb", "expected --gdb or --gdb=wait");
    options.gdb = arguments.gdb == "wait" ? machine::Gdb::kWait : machine::Gdb::kYes;
    if (options.gdb == machine::Gdb::kWait) options.timeout = std::chrono::hours(24 * 365);
}

void add_gdb(CLI::App& app, Action& action) {
    auto name = std::make_shared<std::string>();
    auto options = std::make_shared<machine::GdbOptions>();
    auto* command = app.add_subcommand("gdb", "Debug a guest's kernel (mimic up --gdb)");
    command->add_option("NODE", *name, "Machine")->required();
    command->add_option("ARGUMENTS", options->arguments, "More for gdb, after --")
        ->transform(unshielded);
    command->add_option("--symbols", options->symbols, "The kernel's vmlinux with debug symbols");
    command->add_option("--program", options->program,
                        "The debugger (gdb; gdb-multiarch for riscv64)");
    command->callback([name, options, &action] {
        action = [name, options] { return machine::run_gdb(*name, *options); };
    });
}

void add_up(CLI::App& app, Action& action) {
    auto arguments = std::make_shared<UpArguments>();
    auto* command = app.add_subcommand("up", "Boot the machines of a file with their devices");
    auto* number = add_boot_options(*command, *arguments);
    add_start_options(*command, *arguments);
    command->callback([arguments, number, &action] {
        read_boot_options(*arguments, number->count() != 0);
        if (arguments->run.up.until_eof && arguments->run.up.file == "-")
            throw CLI::ValidationError("--until-eof", "standard input cannot be the file, too");
        read_gdb(*arguments);
        action = [arguments] { return machine::run_up(arguments->run.up); };
    });
}

void add_run(CLI::App& app, Action& action) {
    auto arguments = std::make_shared<UpArguments>();
    auto limit = std::make_shared<unsigned>(0);
    auto& run = arguments->run;
    auto* command = app.add_subcommand(
        "run", "Boot a file, run a command in a guest, take it down: run FILE -- CMD");
    auto* number = add_boot_options(*command, *arguments);
    add_command_options(*command, run.exec);
    command->add_option("--in", run.in, "The machine that runs it (the only one)");
    command->add_option("--limit", *limit, "Seconds that the command may take (no limit)")
        ->check(CLI::Range(1u, 31'536'000u));
    command->add_option("--record", run.record,
                        "Write what came of it as JSON to a file; -: print it as a line, in place "
                        "of the command's output");
    command->add_flag("--json", run.json,
                      "Print it as --record - does; --record FILE is written, too");
    auto* verify = command->add_flag("--verify", run.verify,
                                     "First compare the guests with the file; CMD does not run "
                                     "where one differs (status 125)");
    command->add_option("--junit", run.junit, "With --verify: write a JUnit report to this file")
        ->needs(verify);
    command->add_flag("--logs", run.up.logs, "Print what the guests print to standard error");
    command->callback([arguments, limit, number, &action] {
        read_boot_options(*arguments, number->count() != 0);
        arguments->run.timeout = std::chrono::seconds(*limit);
        auto& exec = arguments->run.exec;  // "-": standard input is the file
        if (arguments->run.up.file == "-" && exec.input == machine::Input::kIfPiped)
            exec.input = machine::Input::kNone;
        arguments->run.up.log_fd = STDERR_FILENO;
        action = [arguments] { return machine::run_run(arguments->run); };
    });
}

void add_snapshot(CLI::App& app, Action& action) {
    auto options = std::make_shared<machine::SnapshotOptions>();
    auto timeout = std::make_shared<unsigned>(600);
    auto* command = app.add_subcommand(
        "snapshot", "Save a booted machine to a folder, from which it starts in seconds");
    command->add_option("NAME", options->machine, "Machine")->required();
    command->add_option("DIR", options->folder, "Folder that is made")->required();
    command->add_flag("--force", options->force, "Replace an earlier snapshot in DIR");
    command->add_flag("--json", options->json, "Print what was made as JSON");
    command->add_option("--timeout", *timeout, "Seconds that writing the guest may take (600)")
        ->check(CLI::Range(1u, 86400u));
    command->callback([options, timeout, &action] {
        options->timeout = std::chrono::seconds(*timeout);
        action = [options] { return machine::run_snapshot(*options); };
    });
}

int restore(const machine::UpOptions& options) {
    std::error_code error;
    if (std::filesystem::is_directory(options.file, error)) return machine::run_up(options);
    report_error(
        fmt::format("{} is no folder of a snapshot{}; one is made by: mimic snapshot NAME "
                    "DIR",
                    options.file, error ? ": " + error.message() : ""));
    return 1;
}

void add_restore(CLI::App& app, Action& action) {
    auto arguments = std::make_shared<UpArguments>();
    auto* options = &arguments->run.up;
    auto* command = app.add_subcommand(
        "restore",
        "Start a machine from its snapshot, as up DIR does; run DIR -- CMD, for one "
        "command");
    command->add_option("DIR", options->file, "Folder that mimic snapshot made")->required();
    command->add_option("--timeout", arguments->timeout, "Seconds that it may take (300)")
        ->check(CLI::Range(1u, 86400u));
    command->add_flag("--allow-commands", options->allow_commands,
                      "Start the servers that its file names by 'command:', and QEMU with the "
                      "arguments that it had; it is your own");
    command->add_flag("--allow-shares", options->allow_shares,
                      "Share the folders of the host that it had; it is your own");
    add_progress_options(*command, *options);
    add_start_options(*command, *arguments);
    command->callback([arguments, &action] {
        read_boot_options(*arguments, false);
        read_gdb(*arguments);
        action = [arguments] { return restore(arguments->run.up); };
    });
}

int prepare(const std::vector<std::string>& kernels, const std::string& folder) {
    // Of the umask's mode: what is below is for all who start guests here.
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) {
        report_error(fmt::format("cannot make {}: {}", folder, error.message()));
        return 1;
    }
    guest_image::StderrProgress progress;
    for (const std::string& series : kernels) {
        const bool foreign = series == kForeignKernel;
        const auto arch = foreign ? topology::Arch::kRiscv64 : topology::Arch::kX86_64;
        topology::Kernel kernel;
        kernel.release = series.substr(0, series.find('-'));
        const auto image = guest_image::build_guest_image(kernel, arch, devices::all_models(),
                                                          progress);
        const Status stored = image ? guest_image::store_prepared_image(*image, series, folder)
                                    : Status(tl::unexpected(image.error()));
        if (stored) continue;
        report_error(stored.error().message());
        return 1;
    }
    return 0;
}

void add_prepare(CLI::App& app, Action& action) {
    auto folder = std::make_shared<std::string>();
    auto kernels = std::make_shared<std::vector<std::string>>(std::vector<std::string>{"6.1"});
    auto* command = app.add_subcommand(
        "prepare", "Make what guests boot, for a place without a network: MIMIC_GUEST_IMAGES=DIR");
    command
        ->add_option("DIR", *folder,
                     "Folder for vmlinux-RELEASE and initrd-RELEASE, made if it is not there")
        ->required();
    add_prepared_kernels(*command, *kernels, "Kernel release; may be repeated (6.1)");
    command->callback([folder, kernels, &action] {
        action = [folder, kernels] { return prepare(*kernels, *folder); };
    });
}

}  // namespace

void add_set_option(CLI::App& command, std::vector<std::string>& pairs) {
    command.add_option("--set", pairs, "KEY=VALUE: what ${KEY} is in the file; may be repeated")
        ->expected(1)
        ->allow_extra_args(false)  // or the parser takes the "--" behind it for the list's end

        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

CLI::Option* add_prepared_kernels(CLI::App& command, std::vector<std::string>& kernels,
                                  const std::string& what) {
    return command.add_option("--kernel", kernels, what)
        ->expected(1)
        ->allow_extra_args(false)  // or the parser takes the "--" behind it for the list's end

        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::IsMember(kPreparedKernels));
}

topology::Parameters read_set_option(const std::vector<std::string>& pairs) {
    topology::Parameters parameters;
    for (const std::string& pair : pairs)
        if (const auto added = topology::add_parameter(parameters, pair); !added)
            throw CLI::ValidationError("--set", added.error().message());
    return parameters;
}

void add_up_commands(CLI::App& app, Action& action) {
    add_up(app, action);
    add_gdb(app, action);
    add_run(app, action);
    add_snapshot(app, action);
    add_restore(app, action);
    add_prepare(app, action);
}

}  // namespace mimic::cli
