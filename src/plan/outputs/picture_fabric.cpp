// SPDX-License-Identifier: Apache-2.0
// A fabric in the picture: a frame with the VMD endpoint on top and a row for each port below it,
// indented as the tree is. An upstream port is a part of its switch's box.
#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/text_table.h"
#include "outputs/picture_parts.h"

namespace mimic::outputs::picture {
namespace {

constexpr unsigned kHeader = 40;
constexpr unsigned kInset = 10;
constexpr unsigned kIndent = 22;
constexpr unsigned kMostIndents = 5;  // deeper rows stay there, so that a device box is never thin
constexpr unsigned kFrameWidth = kBoxWidth - 2 * kPad;

/// A root or downstream port with what is below its link.
struct Row {
    const topology::PortSpec* port = nullptr;
    const topology::PortSpec* upstream = nullptr;  // of the switch below, or
    const topology::DeviceSpec* device = nullptr;
    unsigned depth = 0;  // switches above
    size_t below = 0;    // ports of the switch
};

std::vector<Row> rows_of(const topology::Machine& machine, const topology::FabricSpec& fabric) {
    std::vector<Row> rows;
    std::vector<size_t> row_of(fabric.ports.size());  // by port; an upstream port has its row's
    for (size_t i = 0; i < fabric.ports.size(); ++i) {
        const topology::PortSpec& port = fabric.ports[i];
        if (port.kind == topology::PortSpec::Kind::kSwitchUpstream) {
            row_of[i] = row_of[*port.parent];
            rows[row_of[i]].upstream = &port;
            continue;
        }
        Row row{.port = &port};
        if (port.device) row.device = &machine.devices[*port.device];
        if (port.parent) {
            Row& above = rows[row_of[*port.parent]];
            row.depth = above.depth + 1;
            ++above.below;
        }
        row_of[i] = rows.size();
        rows.push_back(row);
    }
    return rows;
}

unsigned row_height(const Row& row) {
    return row.device ? device_height(*row.device) : kPortHeight;
}

unsigned indent_of(const Row& row) {
    return std::min(row.depth, kMostIndents) * kIndent;
}

std::string title_of(const topology::PortSpec& port) {
    if (port.slot != 0) return fmt::format("slot {}", port.slot);
    return port.kind == topology::PortSpec::Kind::kRootPort ? "root port" : "downstream";
}

std::string draw_switch(const Row& row, unsigned x, unsigned y, unsigned width) {
    const std::string& name = row.upstream->name;  // "sw0.up"
    std::string out = rect(x, y, width, kPortHeight, "switch");
    out += text_at(x + 14, y + 20, "head", shortened(name.substr(0, name.rfind('.')), 24));
    out += text_at(x + width - 14, y + 20, "dim end", "switch");
    out += text_at(x + 14, y + 40, "mono", short_bdf(row.upstream->bdf));
    return out + text_at(x + width - 14, y + 40, "dim end",
                         fmt::format("{}, bus {:02x}", counted(row.below, "port"),
                                     row.upstream->secondary_bus));
}

std::string draw_row(const Row& row, unsigned x, unsigned y, unsigned width) {
    std::string out = draw_port(title_of(*row.port), row.port->bdf, row.port->link,
                                row.port->hotplug ? "port hot" : "port", x, y);
    if (row.port->hotplug) {
        out += text_at(x + kPortWidth + kLinkWidth / 2, y + kPortHeight / 2 + 15, "dim mid",
                       "hot-plug");
    }
    const unsigned right = x + kPortWidth + kLinkWidth;
    const unsigned rest = width - kPortWidth - kLinkWidth;
    if (row.device) return out + draw_device_box(*row.device, right, y, rest);
    return row.upstream ? out + draw_switch(row, right, y, rest) : out;
}

/// Where the line to the next port of a switch begins: the bottom of the switch, or the port
/// before.
struct Tail {
    unsigned x = 0;
    unsigned y = 0;
    bool is_switch = false;
};

std::string draw_branch(const Tail& from, unsigned left, unsigned middle) {
    const unsigned bus = left - kIndent / 2;
    // A switch stands to the right of its root port: its line goes back through the gap below.
    const std::string back = from.is_switch ? fmt::format("V {} H {} ", from.y + kRowGap / 2, bus)
                                            : "";
    return fmt::format("<path d=\"M {} {} {}V {} H {}\" class=\"bus\"/>\n",
                       from.is_switch ? from.x : bus, from.y, back, middle, left);
}

}  // namespace

unsigned fabric_height(const topology::Machine& machine, const topology::FabricSpec& fabric) {
    unsigned height = kPortHeight + kRowGap + kHeader + kInset;
    const std::vector<Row> rows = rows_of(machine, fabric);
    for (const Row& row : rows) height += row_height(row) + kRowGap;
    return rows.empty() ? height : height - kRowGap;
}

std::string draw_fabric(const topology::Machine& machine, const topology::FabricSpec& fabric,
                        unsigned x, unsigned y) {
    std::string out = draw_port(fabric.port.id, fabric.port.bdf, {}, "port", x, y);
    const unsigned vmd = x + kPortWidth + kLinkWidth;
    out += rect(vmd, y, kDeviceWidth, kPortHeight, "vmd");
    out += text_at(vmd + 14, y + 20, "head", fabric.name);
    out += text_at(vmd + kDeviceWidth - 14, y + 20, "dim end", "Intel VMD endpoint");
    out += text_at(vmd + 14, y + 40, "mono", short_bdf(fabric.bdf));

    const unsigned top = y + kPortHeight + kRowGap;
    out += rect(x, top, kFrameWidth, fabric_height(machine, fabric) - kPortHeight - kRowGap,
                "fabric");
    out += fmt::format("<line x1=\"{0}\" y1=\"{1}\" x2=\"{0}\" y2=\"{2}\" class=\"link\"/>\n",
                       vmd + kDeviceWidth / 2, y + kPortHeight, top);
    out += text_at(x + kInset, top + 24, "head", fmt::format("Domain {:04x}", fabric.domain));
    out += text_at(x + kFrameWidth - kInset, top + 24, "dim end",
                   fmt::format("bus 0 to {:02x}", fabric.buses - 1));
    unsigned row_y = top + kHeader;
    std::vector<Tail> tails(1);  // by depth
    for (const Row& row : rows_of(machine, fabric)) {
        const unsigned indent = indent_of(row);
        const unsigned left = x + kInset + indent;
        const unsigned middle = row_y + kPortHeight / 2;
        tails.resize(row.depth + 1);
        if (row.depth > 0) out += draw_branch(tails[row.depth], left, middle);
        tails[row.depth] = {.x = left - kIndent / 2, .y = middle};
        tails.push_back({.x = left + kPortWidth + kLinkWidth + kIndent,
                         .y = row_y + kPortHeight,
                         .is_switch = true});
        out += draw_row(row, left, row_y, kFrameWidth - 2 * kInset - indent);
        row_y += row_height(row) + kRowGap;
    }
    return out;
}

std::string_view fabric_style() {
    return R"(<style>
  .vmd { fill: #fdf3dc; stroke: #b5862f; stroke-width: 1.5; }
  .fabric { fill: none; stroke: #b5862f; stroke-dasharray: 2 3; }
  .switch { fill: #e6f2ea; stroke: #3f8a5b; stroke-width: 1.5; }
  .bus { fill: none; stroke: #3f8a5b; stroke-width: 1.5; }
  .hot { stroke: #b5472f; stroke-width: 1.5; }
  .absent { stroke-dasharray: 5 4; }
  @media (prefers-color-scheme: dark) {
    .vmd { fill: #40351c; stroke: #d8b266; }
    .fabric { stroke: #d8b266; }
    .switch { fill: #203a2a; stroke: #7cc398; }
    .bus { stroke: #7cc398; }
    .hot { stroke: #e58a74; }
  }
</style>
)";
}

}  // namespace mimic::outputs::picture
