// SPDX-License-Identifier: Apache-2.0
#include "outputs/plan_table.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/terminal_text.h"
#include "base/text_table.h"
#include "topology/arch.h"
#include "topology/yaml.h"

namespace mimic::outputs {
namespace {

using TableRows = std::vector<std::vector<std::string>>;

constexpr size_t kMostVfRows = 7;  // as many as one slot holds besides the PF
constexpr std::string_view kNone = "-";
constexpr std::string_view kUnknown = "?";  // known to a server that is not ours

enum Column : size_t { kMachine, kBdf, kName, kModel, kIds, kNode, kLink, kSlot, kVfs, kBars };

/// Those that a narrow terminal does without, the least important first. That of the machine says
/// nothing where there is one.
constexpr std::array kDispensable = {kSlot, kLink, kModel, kIds, kBars, kNode, kVfs};

std::string node_text(std::optional<unsigned> node) {
    return node ? std::to_string(*node) : std::string(kNone);
}

std::string link_text(const topology::Link& link) {
    return fmt::format("gen{} x{}", link.generation, link.width);
}

std::string ids_text(const topology::FunctionSpec& function) {
    const auto text = [](bool is_known, unsigned id) {
        return is_known ? fmt::format("{:04x}", id) : std::string(kUnknown);
    };
    const auto& external = function.external;
    return text(!external || external->vendor_id, function.vendor_id) + ":" +
           text(!external || external->device_id, function.device_id);
}

std::string bars_text(const topology::FunctionSpec& function) {
    if (function.external && !function.external->has_bars) return std::string(kUnknown);
    std::string out;
    for (const topology::BarSpec& bar : function.bars) {
        out += fmt::format("{}{}:{}{}", out.empty() ? "" : " ", bar.index,
                           topology::format_size(bar.size), bar.is_io ? "(io)" : "");
    }
    return out.empty() ? std::string(kNone) : out;
}

std::string vfs_text(const topology::DeviceSpec& device, const topology::FunctionSpec& function) {
    if (function.is_vf()) return std::string(kNone);
    if (function.clone && function.clone->total_vfs > 0)
        return fmt::format("{} native", function.clone->total_vfs);
    if (function.total_vfs == 0) return std::string(kNone);
    return fmt::format("{} {}", function.total_vfs, device.native_sriov ? "native" : "static");
}

std::string slot_text(const topology::DeviceSpec& device) {
    const unsigned slot = device.on_fabric ? device.slot : device.port.slot;
    return std::to_string(slot) + (device.plugged ? "" : " (empty)");
}

std::vector<std::string> function_row(const topology::Machine& machine,
                                      const topology::DeviceSpec& device,
                                      const topology::FunctionSpec& function) {
    return {machine.name,
            function.bdf.str(),
            function.name,
            std::string(device.model->facts.name),
            ids_text(function),
            node_text(device.numa_node),
            link_text(device.link),
            slot_text(device),
            vfs_text(device, function),
            bars_text(function)};
}

/// All VFs of a device in one line; their names and addresses follow from the first and the last.
std::vector<std::string> folded_row(const topology::Machine& machine,
                                    const topology::DeviceSpec& device) {
    const topology::FunctionSpec& last = device.functions.back();
    auto row = function_row(machine, device, device.functions[1]);
    const std::string end = last.bdf.str();
    row[kBdf] += ".." + end.substr(end.find(':') + 1);
    row[kName] += fmt::format("..{}", *last.vf_index);
    row[kBars] += " each";
    return row;
}

void add_device(const topology::Machine& machine, const topology::DeviceSpec& device,
                TableRows& rows) {
    const bool is_folded = device.functions.size() - 1 > kMostVfRows &&
                           device.functions.back().is_vf();
    for (const topology::FunctionSpec& function : device.functions) {
        if (is_folded && function.is_vf()) continue;
        rows.push_back(function_row(machine, device, function));
    }
    if (is_folded) rows.push_back(folded_row(machine, device));
}

void add_fabric(const topology::Machine& machine, const topology::FabricSpec& fabric,
                TableRows& rows) {
    const model::ModelFacts& facts = fabric.model->facts;
    const std::string bars = fmt::format("0:{} 2:{} 4:{}",
                                         topology::format_size(fabric.config_bar_size),
                                         topology::format_size(fabric.memory32_bar_size),
                                         topology::format_size(fabric.memory64_bar_size));
    rows.push_back({machine.name, fabric.bdf.str(), fabric.name, std::string(facts.name),
                    fmt::format("{:04x}:{:04x}", facts.vendor(), facts.device()),
                    node_text(fabric.numa_node), std::string(kNone),
                    std::to_string(fabric.port.slot), std::string(kNone), bars});
}

TableRows function_rows(const topology::Model& model) {
    TableRows rows = {
        {"MACHINE", "BDF", "NAME", "MODEL", "IDS", "NODE", "LINK", "SLOT", "VFS", "BARS"}};
    for (const topology::Machine& machine : model.machines) {
        for (const topology::FabricSpec& fabric : machine.fabrics)
            add_fabric(machine, fabric, rows);
        for (const topology::DeviceSpec& device : machine.devices)
            add_device(machine, device, rows);
    }
    return rows;
}

std::string boots_text(const topology::Machine& machine) {
    if (!machine.kernel.image.empty()) return "image " + terminal_text(machine.kernel.image);
    return "kernel " + terminal_text(machine.kernel.name());
}

std::string accel_text(const topology::Machine& machine) {
    switch (machine.accel) {
        case topology::Accel::kKvm:
            return "kvm";
        case topology::Accel::kTcg:
            return "tcg";
        default:
            return "auto";
    }
}

std::string machine_table(const topology::Model& model) {
    TableRows rows = {{"MACHINE", "ARCH", "CPUS", "MEMORY", "NODES", "ACCEL", "BOOTS"}};
    for (const topology::Machine& machine : model.machines) {
        rows.push_back({machine.name, std::string(topology::facts_of(machine.arch).name),
                        std::to_string(machine.cpus), topology::format_size(machine.memory),
                        machine.has_numa ? std::to_string(machine.nodes.size()) : "-",
                        accel_text(machine), boots_text(machine)});
    }
    return text_table(rows, {2, 3, 4});
}

size_t width_of(const std::string& table) {
    size_t widest = 0;
    for (size_t at = 0; at < table.size();) {
        const size_t end = std::min(table.find('\n', at), table.size());
        widest = std::max(widest, end - at);
        at = end + 1;
    }
    return widest;
}

/// `rows` without the columns of `left_out`.
TableRows without(const TableRows& rows, const std::vector<size_t>& left_out) {
    TableRows out;
    for (const auto& row : rows) {
        out.emplace_back();
        for (size_t i = 0; i < row.size(); ++i)
            if (std::find(left_out.begin(), left_out.end(), i) == left_out.end())
                out.back().push_back(row[i]);
    }
    return out;
}

/// `rows` with the last column's words in as many lines as it takes to be at most `width` wide.
TableRows with_wrapped_end(const TableRows& rows, size_t width) {
    TableRows out;
    for (const auto& row : rows) {
        std::string rest = row.back();
        for (bool is_first = true; is_first || !rest.empty(); is_first = false) {
            size_t end = rest.size();
            if (end > width) {
                end = rest.rfind(' ', width);
                if (end == std::string::npos) end = std::min(rest.find(' '), rest.size());
            }
            auto line = is_first ? row : std::vector<std::string>(row.size());
            line.back() = rest.substr(0, end);
            out.push_back(std::move(line));
            rest.erase(0, end + 1);
        }
    }
    return out;
}

/// The table if it can be at most `columns` wide, else nothing.
std::optional<std::string> fitted(const TableRows& rows, const std::vector<size_t>& left_out,
                                  size_t columns) {
    const TableRows kept = without(rows, left_out);
    std::string table = text_table(kept);
    const size_t width = width_of(table);
    if (width <= columns) return table;
    if (std::find(left_out.begin(), left_out.end(), size_t{kBars}) != left_out.end())
        return std::nullopt;
    size_t bars = 0;
    for (const auto& row : rows) bars = std::max(bars, row.back().size());
    const size_t others = width - std::min(bars, width);
    if (others >= columns) return std::nullopt;
    table = text_table(with_wrapped_end(kept, columns - others));
    return width_of(table) <= columns ? std::optional(table) : std::nullopt;
}

std::string narrow_table(const TableRows& rows, size_t machines, size_t columns) {
    std::vector<size_t> left_out;
    if (auto table = fitted(rows, left_out, columns)) return *table;
    if (machines == 1) left_out.push_back(kMachine);
    std::vector<std::string> named;
    for (const size_t column : kDispensable) {
        if (fitted(rows, left_out, columns)) break;
        left_out.push_back(column);
        named.push_back(rows.front()[column]);
    }
    std::string out = fitted(rows, left_out, columns).value_or(text_table(without(rows, left_out)));
    if (!named.empty())
        out += fmt::format("(a wider terminal shows {}, too)\n", fmt::join(named, ", "));
    return out;
}

}  // namespace

std::string plan_table(const topology::Model& model, size_t columns) {
    std::string out = machine_table(model);
    const TableRows rows = function_rows(model);
    if (rows.size() == 1) return out + "\nno devices\n";
    out += "\n";
    if (columns == 0) return out + text_table(rows);
    return out + narrow_table(rows, model.machines.size(), columns);
}

}  // namespace mimic::outputs
