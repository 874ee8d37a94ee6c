// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"
#include "devices/all_models.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/command_report.h"
#include "cli/clone_command.h"
#include "cli/cluster_commands.h"
#include "cli/command_words.h"
#include "cli/control_commands.h"
#include "cli/guest_commands.h"
#include "cli/instrument_commands.h"
#include "cli/kernel_commands.h"
#include "cli/mediator_commands.h"
#include "cli/new_command.h"
#include "cli/plan_command.h"
#include "cli/reference_command.h"
#include "cli/remote_commands.h"
#include "cli/trace_commands.h"
#include "cli/up_commands.h"
#include "cli/version.h"
#include "commands/ps.h"
#include "device_host/device_host.h"
#include "machine/console.h"
#include "machine/doctor.h"
#include "machine/doctor_install.h"
#include "machine/down.h"
#include "machine/ended.h"
#include "machine/run_dir.h"
#include "machine/supervisor.h"

namespace mimic::cli {
namespace {

int fail_with(const Error& error) {
    report_error(error.message());
    return 1;
}

void add_down_and_rm(CLI::App& app, Action& action) {
    auto names = std::make_shared<std::vector<std::string>>();
    auto* down = app.add_subcommand("down", "Stop machines (all without a name) and clean up");
    auto* down_names = down->add_option("NAME", *names, "Machines");
    down->add_flag_callback(
            "--all", [] {}, "All machines, as without a name")
        ->excludes(down_names);
    auto options = std::make_shared<machine::DownOptions>();
    down->add_flag("--ignore-missing", options->ignore_missing,
                   "A machine that was never here is no error");
    down->add_flag("--json", options->json, "What came of each as JSON");
    down->callback([names, options, &action] {
        action = [names, options] { return machine::run_down(*names, *options); };
    });

    auto ended = std::make_shared<std::vector<std::string>>();
    auto* rm = app.add_subcommand("rm", "Remove the logs of machines that ended");
    auto* rm_names = rm->add_option("NAME", *ended, "Machines; ps --all lists them");
    auto* rm_all = rm->add_flag_callback(
                         "--all", [] {}, "All that ended")
                       ->excludes(rm_names);
    auto ignore_missing = std::make_shared<bool>(false);
    rm->add_flag("--ignore-missing", *ignore_missing, "One that never ended is no error");
    auto json = std::make_shared<bool>(false);
    rm->add_flag("--json", *json, "What came of each as JSON");
    rm->callback([ended, ignore_missing, json, rm_all, &action] {
        const bool all = rm_all->count() != 0;
        if (ended->empty() && !all) throw CLI::RequiredError("NAME or --all");
        action = [ended, all, ignore_missing, json] {
            return machine::run_rm(*ended, all, *ignore_missing, *json);
        };
    });
}

void add_ps(CLI::App& app, Action& action) {
    auto format = std::make_shared<commands::PsFormat>(commands::PsFormat::kTable);
    auto* ps = app.add_subcommand("ps", "List machines");
    auto* json = ps->add_flag_callback(
        "--json", [format] { *format = commands::PsFormat::kJson; }, "As JSON");
    auto* only_names = ps->add_flag_callback(
                             "--names", [format] { *format = commands::PsFormat::kNames; },
                             "Only the names, of those that run")
                           ->excludes(json);
    auto* ready = ps->add_flag_callback(
                        "--ready", [] {},
                        "Print nothing; exit status 1 unless there are machines and all run")
                      ->excludes(json)
                      ->excludes(only_names);
    auto with_ended = std::make_shared<bool>(false);
    ps->add_flag("--all", *with_ended, "Also machines that ended, and why")->excludes(ready);
    ps->callback([format, ready, with_ended, &action] {
        action = [format, with_ended, is_asked = ready->count() != 0] {
            return is_asked ? commands::run_ps_ready() : commands::run_ps(*format, *with_ended);
        };
    });
}

void add_logs(CLI::App& app, Action& action) {
    auto name = std::make_shared<std::string>();
    auto options = std::make_shared<machine::LogsOptions>();
    auto* logs = app.add_subcommand("logs", "Print a log of a machine, also of one that ended");
    logs->add_option("NAME", *name, "Machine")->required();
    auto* kinds = logs->add_option_group("log", "Which log");
    kinds->add_flag_callback(
        "--console", [options] { options->log = machine::Log::kConsole; },
        "What the guest printed (default)");
    kinds->add_flag_callback(
        "--qemu", [options] { options->log = machine::Log::kQemu; }, "QEMU's messages");
    kinds->add_flag_callback(
        "--devices", [options] { options->log = machine::Log::kDevices; },
        "Messages of the device hosts");
    kinds->add_flag_callback(
        "--supervisor", [options] { options->log = machine::Log::kSupervisor; },
        "Messages of the supervisor");
    kinds->require_option(0, 1);
    auto* follow = logs->add_flag("-f,--follow", options->follow, "Go on until the machine ends");
    auto* raw = logs->add_flag(
        "--raw", options->raw,
        "Every byte, also what a terminal obeys; only for guests that you trust");
    logs->add_flag("--json", options->json, "Its lines as JSON")->excludes(follow)->excludes(raw);
    logs->callback([name, options, &action] {
        action = [name, options] { return machine::run_logs(*name, *options); };
    });
}

void add_serve(CLI::App& app, Action& action) {
    auto options = std::make_shared<device_host::ServeOptions>();
    auto* serve = app.add_subcommand("serve", "Serve a machine's devices on sockets, without it");
    serve->add_option("FILE", options->file, "Topology file (YAML)")->required();
    serve->add_option("--machine", options->machine, "Machine, if the file has several");
    serve->add_option("--device", options->devices, "Only this device; may be repeated")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    serve->add_option("--folder", options->folder,
                      "Where relative paths in FILE begin (its own folder)");
    serve->add_flag("--allow-commands", options->allow_commands,
                    "Start programs that devices of FILE name");
    serve->add_option("--run-dir", options->run_dir, "Folder of the sockets <function>.sock (.)");
    serve->add_option("--threads", options->threads, "Event loops (0: by CPUs and devices)")
        ->check(CLI::Range(0u, 256u));
    serve
        ->add_option("--spin-us", options->spin_us,
                     "Look for the next request this long before sleeping; 0: never (50)")
        ->envname("MIMIC_SPIN_US")
        ->check(CLI::Range(0u, 10'000u));
    serve
        ->add_option("--message-timeout", options->message_timeout_s,
                     "Drop a client that leaves a message half sent for so many seconds (60)")
        ->check(CLI::Range(1u, 86'400u));
    serve->add_option("--control", options->control, "Socket of the control API (none)");
    serve
        ->add_option("--trace-buffer", options->trace_bytes,
                     "Last events that each event loop keeps, in bytes; 0: none (1M)")
        ->envname("MIMIC_TRACE_BUFFER")
        ->transform(CLI::AsSizeValue(false))
        ->check(CLI::Range(uint64_t{0}, uint64_t{256} << 20));
    serve->add_option("--dump-dir", options->dump_dir,
                      "Folder for the last events when a fault strikes (none)");
    serve->add_option("--ready-fd", options->ready_fd, "Descriptor that gets the line \"ready N\"");
    serve->callback(
        [options, &action] { action = [options] { return device_host::run_serve(*options); }; });

    auto dir = std::make_shared<std::string>();
    auto* supervise = app.add_subcommand("supervise", "Started by mimic up");
    supervise->group("");  // hidden
    supervise->add_option("DIR", *dir)->required();
    supervise->callback(
        [dir, &action] { action = [dir] { return machine::run_supervisor(*dir); }; });
}

void add_console_and_doctor(CLI::App& app, Action& action) {
    auto name = std::make_shared<std::string>();
    auto* console = app.add_subcommand("console", "Attach to a machine's serial port");
    console->add_option("NAME", *name, "Machine (may be left out if one runs)");
    console->callback([name, &action] {
        action = [name] {
            if (!name->empty()) return machine::run_console(*name);
            const auto only = machine::only_running_machine();
            return only ? machine::run_console(*only) : fail_with(only.error());
        };
    });
    auto json = std::make_shared<bool>(false);
    auto kernels = std::make_shared<std::vector<std::string>>(std::vector<std::string>{"6.1"});
    auto* doctor = app.add_subcommand("doctor", "Say what is missing here and what mends it");
    doctor->add_flag("--json", *json, "As JSON");
    auto is_install = std::make_shared<bool>(false);
    auto* install = doctor->add_flag(
        "--install", *is_install,
        "First fetch what is missing into the cache, without root: a QEMU, a kernel");
    add_prepared_kernels(*doctor, *kernels, "With --install: kernel release; may be repeated (6.1)")
        ->needs(install);
    doctor->callback([json, kernels, is_install, &action] {
        action = [json, kernels, is_install] {
            const int installed = *is_install
                                      ? machine::run_doctor_install(devices::all_models(), *kernels)
                                      : 0;
            return std::max(installed, machine::run_doctor(*json));
        };
    });
}

void add_help_and_version(CLI::App& app, Action& action) {
    const std::string version = fmt::format("mimic {}", kVersion);
    app.set_version_flag("-V,--version", version, "Print the version");
    app.add_subcommand("version", "Print the version")->callback([version, &action] {
        action = [version] { return std::puts(version.c_str()) < 0 ? 1 : 0; };
    });
    auto topic = std::make_shared<std::vector<std::string>>();
    auto* help = app.add_subcommand("help", "Explain a command");
    help->add_option("COMMAND", *topic, "Such as up, or kernel up (all)");
    help->callback([topic, &app, &action] {
        action = [topic, &app] {
            std::string problem;
            const CLI::App* const of = find_command(app, *topic, problem);
            if (of == nullptr) {
                report_error(problem + "\nSee: mimic help");
                return 2;
            }
            std::string name = "mimic";
            for (const auto& word : *topic) name += " " + word;
            return std::fputs(help_text(*of, name).c_str(), stdout) < 0 ? 1 : 0;
        };
    });
}

}  // namespace

void add_commands(CLI::App& app, Action& action) {
    app.require_subcommand(1);
    add_up_commands(app, action);
    add_down_and_rm(app, action);
    add_ps(app, action);
    add_logs(app, action);
    add_guest_commands(app, action);
    add_console_and_doctor(app, action);
    add_control_commands(app, action);
    add_trace_commands(app, action);
    add_instrument_commands(app, action);
    add_new_command(app, action);
    add_plan_command(app, action);
    add_clone_command(app, action);
    add_kernel_commands(app, action);
    add_cluster_commands(app, action);
    add_mediator_commands(app, action);
    add_serve(app, action);
    add_remote_commands(app, action);
    add_help_and_version(app, action);
    add_reference_command(app, action);
    add_exit_statuses(app);
}

}  // namespace mimic::cli
