// SPDX-License-Identifier: Apache-2.0
// render(): what `mimic plan` prints.
#include <array>

#include <fmt/format.h>

#include "base/nearest.h"
#include "outputs/outputs.h"
#include "outputs/plan_table.h"
#include "outputs/shell_text.h"
#include "topology/topology.h"
#include "topology/yaml.h"

namespace mimic::outputs {
namespace {

constexpr std::array<std::string_view, 5> kFormats = {"qemu", "libvirt", "tree", "svg", "table"};

/// What is above commands that name files which are not there.
constexpr std::string_view kNotYet =
    "# A kernel and what else is named here is yet to be made: mimic plan FILE --prepare DIR\n";

/// One option and its value a line, with continuation lines.
std::string command_line(const RunContext& context, const std::vector<std::string>& args) {
    std::string out = shell_quoted(context.qemu);
    for (size_t i = 0; i < args.size(); ++i) {
        const bool is_value = !args[i].starts_with('-') && i > 0 && args[i - 1].starts_with('-');
        out += is_value ? " " : " \\\n    ";
        out += shell_quoted(args[i]);
    }
    return out + "\n";
}

}  // namespace

Result<Format> parse_format(std::string_view name) {
    for (size_t i = 0; i < kFormats.size(); ++i) {
        if (kFormats[i] == name) return static_cast<Format>(i);
    }
    return fail(std::errc::invalid_argument, "unknown format '{}'; expected {}", name,
                topology::join_or(kFormats));
}

Result<std::string> qemu_command(const topology::Machine& machine, const RunContext& context) {
    MIMIC_ASSIGN_OR_RETURN(const auto args, qemu_args(machine, context));
    return command_line(context, args);
}

Result<std::string> render(const topology::Model& model, Format format, const std::string& run_root,
                           const QemuPrograms& qemu) {
    if (format == Format::kTree) return tree_json(model);
    if (format == Format::kSvg) return picture_svg(model);
    if (format == Format::kTable) return plan_table(model);
    const bool several = model.machines.size() > 1;
    if (several && format == Format::kLibvirt) {
        return fail(
            std::errc::invalid_argument,
            "{} has {} machines and a document of libvirt's is one domain: --machine {}, or "
            "-o FOLDER/ for a file of each",
            model.file_name, model.machines.size(), model.machines.front().name);
    }
    std::string out;
    for (const topology::Machine& machine : model.machines) {
        RunContext context = default_context(machine, run_root + "/" + machine.name);
        if (const auto program = qemu.find(machine.arch); program != qemu.end())
            context.qemu = program->second;
        if (format == Format::kQemu) {
            MIMIC_ASSIGN_OR_RETURN(const auto command, qemu_command(machine, context));
            out += out.empty() ? kNotYet : "\n";
            if (several) out += fmt::format("# {}\n", machine.name);
            out += command;
        } else {
            context.kernel.clear();
            context.initrd.clear();
            context.disk_base.clear();  // a path as the file has it
            context.seed_iso.clear();
            context.firmware_code.clear();
            context.shared_folders.clear();
            context.console_log.clear();
            MIMIC_ASSIGN_OR_RETURN(out, libvirt_xml(machine, context));
        }
    }
    return out;
}

}  // namespace mimic::outputs
