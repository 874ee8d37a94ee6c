// SPDX-License-Identifier: Apache-2.0
// render(): what `mimic plan` prints.
#include <array>

#include <fmt/format.h>

#include "topology/scalars.h"
#include "topology/topology.h"

namespace mimic::topology {
namespace {

constexpr std::array<std::string_view, 4> kFormats = {"qemu", "libvirt", "tree", "svg"};

/// `word` as a POSIX shell reads it back.
std::string shell_quoted(const std::string& word) {
    constexpr std::string_view kPlain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./,:+@%";
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
    std::string out = "'";
    for (const char c : word) {
        if (c == '\'') {
            out += "'\\''";
        } else {
            out += c;
        }
    }
    return out + "'";
}

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
                join_or(kFormats));
}

Result<std::string> render(const Model& model, Format format, const std::string& run_root) {
    if (format == Format::kTree) return tree_json(model);
    if (format == Format::kSvg) return picture_svg(model);
    const bool several = model.machines.size() > 1;
    std::string out;
    for (const Machine& machine : model.machines) {
        const RunContext context = default_context(machine, run_root + "/" + machine.name);
        if (format == Format::kQemu) {
            MIMIC_ASSIGN_OR_RETURN(const auto args, qemu_args(machine, context));
            if (several) out += fmt::format("{}# {}\n", out.empty() ? "" : "\n", machine.name);
            out += command_line(context, args);
        } else {
            MIMIC_ASSIGN_OR_RETURN(const std::string xml, libvirt_xml(machine, context));
            out += xml;
        }
    }
    if (several && format == Format::kLibvirt) out = "<domains>\n" + out + "</domains>\n";
    return out;
}

}  // namespace mimic::topology
