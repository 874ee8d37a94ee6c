// SPDX-License-Identifier: Apache-2.0
#include "cli/plan_command.h"
#include "devices/all_dra.h"
#include "devices/all_models.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/command_report.h"
#include "base/private_files.h"
#include "base/terminal_text.h"
#include "cli/kernel_commands.h"
#include "cli/up_commands.h"
#include "guest_image/progress.h"
#include "kernel_bus/slice_views.h"
#include "machine/prepare_plan.h"
#include "machine/qemu_locate.h"
#include "machine/run_dir.h"
#include "outputs/outputs.h"
#include "outputs/plan_table.h"
#include "outputs/shell_text.h"
#include "topology/topology.h"

namespace mimic::cli {
namespace {

using Json = nlohmann::ordered_json;

// Of --format: not one of outputs', for it is made of the layout of the buses.
constexpr const char* kSlices = "slices";

struct PlanArguments {
    std::string file;
    std::vector<std::string> set;
    topology::Parameters parameters;
    std::string machine;
    std::string format = "table";
    std::string out;
    std::string vfs = "0";
    std::string prepare;      // folder; empty: nothing is made
    bool has_format = false;  // somebody asked for it
    bool json = false;
    bool allow_shares = false;

    bool is_to_file() const { return !out.empty() && out != "-"; }
};

int plan_error(const Error& error) {
    report_error(error.message());
    return 1;
}

/// Columns of the terminal that standard output is; 0: it is none.
size_t terminal_columns() {
    winsize size{};
    if (::isatty(STDOUT_FILENO) == 0 || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

Result<std::string> plan_text(const PlanArguments& arguments, const topology::Model& model) {
    if (arguments.format == kSlices) {
        std::vector<std::string> left_out;
        auto text = kernel_bus::slices_text(model, devices::all_dra(), parse_vfs(arguments.vfs),
                                            &left_out);
        for (const std::string& line : left_out)
            std::fputs(("mimic: note: " + line + "\n").c_str(), stderr);
        return text;
    }
    MIMIC_ASSIGN_OR_RETURN(const outputs::Format format, outputs::parse_format(arguments.format));
    if (format == outputs::Format::kTable)
        return outputs::plan_table(model, arguments.is_to_file() ? 0 : terminal_columns());
    // The one that mimic up would take: not every QEMU in a PATH has vfio-user-pci.
    outputs::QemuPrograms qemu;
    if (format == outputs::Format::kQemu || format == outputs::Format::kLibvirt) {
        for (const topology::Machine& machine : model.machines) {
            if (qemu.contains(machine.arch)) continue;
            if (const auto found = machine::find_qemu(machine.arch))
                qemu[machine.arch] = found->program;
        }
    }
    return outputs::render(model, format, machine::run_root_path(), qemu);
}

int print_plan(const PlanArguments& arguments, const std::string& text) {
    if (!arguments.is_to_file()) {
        if (arguments.json)
            return print_document(text.substr(0, text.find_last_not_of('\n') + 1)) ? 0 : 1;
        const bool ok = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
                        std::fflush(stdout) == 0;
        if (!ok) report_lost_output();
        return ok ? 0 : 1;
    }
    const auto written = write_public_file(arguments.out, text);
    return written ? 0 : plan_error(written.error());
}

std::string prepared_json(const std::vector<machine::PreparedMachine>& all) {
    Json list = Json::array();
    for (const auto& one : all)
        list.push_back({{"name", one.name},
                        {"folder", one.folder},
                        {"topology", one.topology},
                        {"domain", one.domain},
                        {"script", one.script},
                        {"boots", one.boots},
                        {"serve", one.serve}});
    const Json json{{"format", "mimic-prepared"}, {"version", 1}, {"machines", list}};
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string prepared_text(const std::vector<machine::PreparedMachine>& all) {
    std::string out;
    for (const auto& one : all) {
        out += fmt::format("{}: {}\n", one.name, one.folder);
        if (!one.serve.empty())
            out += fmt::format("  serve its devices first:  {}\n", one.context.serve_command);
        out += fmt::format(
            "  libvirt:                  virsh -c qemu:///session define {}\n"
            "                            virsh -c qemu:///session start --console {}\n"
            "  or QEMU alone:            {}\n",
            outputs::shell_quoted(one.domain), one.name, outputs::shell_quoted(one.script));
    }
    return out;
}

/// What --format says, of the machine that was prepared and not of one that `mimic up` might start.
Result<std::string> prepared_format(const PlanArguments& arguments, const topology::Model& model,
                                    const std::vector<machine::PreparedMachine>& all) {
    const bool is_libvirt = arguments.format == "libvirt";
    if (!is_libvirt && arguments.format != "qemu") return plan_text(arguments, model);
    if (all.size() > 1)
        return fail(std::errc::invalid_argument,
                    "{} machines were prepared; to print one of them: --machine {}", all.size(),
                    all.front().name);
    const topology::Machine& machine = model.machines.front();
    return is_libvirt ? outputs::libvirt_xml(machine, all.front().context)
                      : outputs::qemu_command(machine, all.front().context);
}

int run_prepare(const PlanArguments& arguments) {
    machine::UpOptions options;
    options.file = arguments.file;
    options.parameters = arguments.parameters;
    options.machine = arguments.machine;
    options.allow_commands = true;  // nothing is started here
    options.allow_shares = arguments.allow_shares;
    const auto source = machine::load_up_source(options);
    if (!source) {
        report_text(source.error().message());
        return 1;
    }
    guest_image::StderrProgress progress;
    const auto all = machine::prepare_machines(*source, options, arguments.prepare, progress);
    if (!all) return plan_error(all.error());
    for (const auto& one : *all)
        for (const std::string& note : one.notes)
            std::fputs(("mimic: note: " + terminal_text(note, 1000) + "\n").c_str(), stderr);
    if (!arguments.has_format)
        return print_plan(arguments, arguments.json ? prepared_json(*all) : prepared_text(*all));
    const auto text = prepared_format(arguments, source->model, *all);
    return text ? print_plan(arguments, *text) : plan_error(text.error());
}

/// Whether -o names a folder: one that is there, or is to be made, as "out/", or as a plain "out"
/// where one file cannot hold all.
bool is_to_folder(const PlanArguments& arguments, const topology::Model& model) {
    const bool is_libvirt = arguments.format == "libvirt";
    if (!arguments.is_to_file() || (!is_libvirt && arguments.format != "qemu")) return false;
    std::error_code error;
    const std::filesystem::path out(arguments.out);
    if (arguments.out.ends_with('/') || std::filesystem::is_directory(out, error)) return true;
    return is_libvirt && model.machines.size() > 1 && !out.has_extension();
}

/// A file a machine, into the folder that -o names.
int print_each(const PlanArguments& arguments, const topology::Model& model) {
    std::error_code error;
    std::filesystem::create_directories(arguments.out, error);
    if (error)
        return plan_error(Error(std::errc::io_error, fmt::format("cannot make the folder {}: {}",
                                                                 arguments.out, error.message())));
    for (const topology::Machine& machine : model.machines) {
        topology::Model one = model;
        PlanArguments own = arguments;
        own.out = std::filesystem::path(arguments.out) /
                  fmt::format("{}.{}", machine.name, arguments.format == "libvirt" ? "xml" : "sh");
        if (const auto kept = topology::keep_machine(one, machine.name); !kept)
            return plan_error(kept.error());
        const auto text = plan_text(own, one);
        if (!text) return plan_error(text.error());
        if (const int status = print_plan(own, *text); status != 0) return status;
    }
    return 0;
}

int run_plan(const PlanArguments& arguments) {
    auto model = topology::load(arguments.file, devices::all_models(), arguments.parameters);
    if (!model) {
        report_text(topology::load_report(model.error()));
        return 1;
    }
    for (const std::string& note : model->notes)
        std::fputs(("mimic: note: " + note + "\n").c_str(), stderr);
    if (!arguments.machine.empty()) {
        if (const auto kept = topology::keep_machine(*model, arguments.machine); !kept)
            return plan_error(kept.error());
    }
    if (is_to_folder(arguments, *model)) return print_each(arguments, *model);
    const auto text = plan_text(arguments, *model);
    return text ? print_plan(arguments, *text) : plan_error(text.error());
}

}  // namespace

void add_plan_command(CLI::App& app, Action& action) {
    auto arguments = std::make_shared<PlanArguments>();
    auto* plan = app.add_subcommand("plan", "Print what a file means, without starting anything");
    plan->add_option("FILE", arguments->file, "Topology file (YAML); - for standard input")
        ->required();
    add_set_option(*plan, arguments->set);
    plan->add_option("--machine", arguments->machine,
                     "Only this machine; needed for libvirt if the file has several");
    auto* format = plan->add_option("--format", arguments->format,
                                    "table (default), tree (JSON), qemu, libvirt, slices (of "
                                    "Kubernetes) or svg");
    format->check(CLI::IsMember({"table", "tree", "qemu", "libvirt", kSlices, "svg"}));
    plan->add_flag("--json", arguments->json,
                   "The same as --format tree; with --prepare: say what was made as JSON")
        ->excludes(format);
    auto* vfs = add_vfs_option(*plan, arguments->vfs);
    plan->add_option("-o,--output", arguments->out,
                     "File in place of standard output; for qemu and libvirt also FOLDER/, which "
                     "gets a file a machine");
    plan->add_option("--prepare", arguments->prepare,
                     "Make all that libvirt or QEMU alone needs to start the machines, each in a "
                     "folder below this one");
    plan->add_flag("--allow-shares", arguments->allow_shares,
                   "With --prepare: share folders outside of the file's own that the file names");
    plan->callback([arguments, format, vfs, &action] {
        if (vfs->count() != 0 && arguments->format != kSlices)
            throw CLI::ValidationError("--numvfs",
                                       "it is for --format slices; other formats have "
                                       "all functions of the file");
        arguments->parameters = read_set_option(arguments->set);
        arguments->has_format = format->count() != 0;
        if (arguments->json && arguments->prepare.empty()) arguments->format = "tree";
        action = [arguments] {
            return arguments->prepare.empty() ? run_plan(*arguments) : run_prepare(*arguments);
        };
    });
}

}  // namespace mimic::cli
