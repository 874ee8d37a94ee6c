// SPDX-License-Identifier: Apache-2.0
// picture_svg(): the PCIe tree by NUMA node. A panel per machine; in it a box per NUMA node, at
// most two beside each other; in that, one row per root port: the port, its link, and the device
// with a line per function, or a fabric.
#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "outputs/outputs.h"
#include "outputs/picture_parts.h"
#include "outputs/xml_text.h"
#include "topology/arch.h"
#include "topology/yaml.h"

namespace mimic::outputs {
namespace {

using namespace picture;

// Pixels. All arbitrary, chosen by eye.
constexpr unsigned kMargin = 24;
constexpr unsigned kGap = 20;
constexpr unsigned kPanelHeader = 52;
constexpr unsigned kBoxHeader = 56;
constexpr unsigned kEmptyBody = 34;
constexpr size_t kBoxesPerRow = 2;

constexpr std::string_view kStyle = R"(<style>
  text { font: 13px system-ui, 'DejaVu Sans', sans-serif; fill: #1f2933; }
  .title { font-size: 18px; font-weight: 600; }
  .head { font-size: 14px; font-weight: 600; }
  .dim { fill: #5b6875; font-size: 12px; }
  .mono { font-family: ui-monospace, 'DejaVu Sans Mono', monospace; font-size: 12px; }
  .end { text-anchor: end; }
  .mid { text-anchor: middle; }
  .back { fill: #ffffff; }
  .panel { fill: #f5f7f9; stroke: #c6ced6; }
  .node { fill: #ffffff; stroke: #9aa8b5; }
  .port { fill: #eef1f4; stroke: #8795a3; }
  .device { fill: #ffffff; stroke: #2f6db5; stroke-width: 1.5; }
  .pf { fill: #dbe8f8; }
  .vf { fill: #f1ecfa; }
  .link { stroke: #2f6db5; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e9ee; }
    .dim { fill: #a3b0bd; }
    .back { fill: #12171c; }
    .panel { fill: #1a2027; stroke: #3a4653; }
    .node { fill: #20272f; stroke: #556373; }
    .port { fill: #2a333d; stroke: #6b7a8a; }
    .device { fill: #20272f; stroke: #6ea8ea; }
    .pf { fill: #223a58; }
    .vf { fill: #34294b; }
    .link { stroke: #6ea8ea; }
  }
</style>
)";

/// A root bus with its endpoints and its fabric, or a NUMA node without any.
struct Box {
    std::string title;
    std::string detail;
    std::vector<const topology::DeviceSpec*> devices;
    const topology::FabricSpec* fabric = nullptr;
};

unsigned box_height(const topology::Machine& machine, const Box& box) {
    unsigned height = kBoxHeader + kPad;
    for (const topology::DeviceSpec* device : box.devices)
        height += device_height(*device) + kRowGap;
    if (box.fabric) height += fabric_height(machine, *box.fabric) + kRowGap;
    const bool empty = box.devices.empty() && !box.fabric;
    return empty ? height + kEmptyBody - kPad : height - kRowGap;
}

std::string cpu_range(const topology::NumaNode& node) {
    if (node.cpus == 0) return "no CPU";
    if (node.cpus == 1) return fmt::format("CPU {}", node.first_cpu);
    return fmt::format("CPUs {}-{}", node.first_cpu, node.first_cpu + node.cpus - 1);
}

std::vector<Box> make_boxes(const topology::Machine& machine) {
    std::vector<Box> boxes;
    for (unsigned i = 0; i < machine.nodes.size(); ++i) {
        Box box;
        const topology::NumaNode& node = machine.nodes[i];
        box.title = machine.has_numa ? fmt::format("NUMA node {}", i) : "Root complex";
        box.detail = fmt::format("{}, {} of memory", cpu_range(node),
                                 topology::format_size(node.memory));
        boxes.push_back(std::move(box));
    }
    if (machine.has_numa) {
        const auto is_loose = [](const auto& one) { return !one.numa_node; };
        if (std::any_of(machine.devices.begin(), machine.devices.end(), is_loose) ||
            std::any_of(machine.fabrics.begin(), machine.fabrics.end(), is_loose)) {
            boxes.push_back({.title = "No NUMA node", .detail = "numa_node is -1", .devices = {}});
        }
    }
    const auto box_of = [&](std::optional<unsigned> node,
                            const topology::DeviceSpec::RootPort& port) -> Box& {
        Box& box = boxes[node ? *node : boxes.size() - 1];
        if (box.devices.empty() && !box.fabric) {
            const topology::HostBus& bus = machine.host_buses[port.host_bus];
            box.detail += fmt::format("; {}, bus {:02x}", bus.id, bus.number);
        }
        return box;
    };
    for (const topology::DeviceSpec& device : machine.devices) {
        if (!device.on_fabric) box_of(device.numa_node, device.port).devices.push_back(&device);
    }
    for (const topology::FabricSpec& fabric : machine.fabrics) {
        box_of(fabric.numa_node, fabric.port).fabric = &fabric;
    }
    return boxes;
}

std::string draw_endpoint(const topology::DeviceSpec& device, unsigned x, unsigned y) {
    return draw_port(device.port.id, device.port.bdf, device.link, "port", x, y) +
           draw_device_box(device, x + kPortWidth + kLinkWidth, y, kDeviceWidth);
}

std::string draw_box(const topology::Machine& machine, const Box& box, unsigned x, unsigned y,
                     unsigned height) {
    std::string out = rect(x, y, kBoxWidth, height, "node");
    out += text_at(x + kPad, y + 24, "head", box.title);
    out += text_at(x + kPad, y + 43, "dim", box.detail);
    unsigned row = y + kBoxHeader;
    if (box.devices.empty() && !box.fabric) {
        out += text_at(x + kPad, row + 16, "dim", "no devices");
    }
    for (const topology::DeviceSpec* device : box.devices) {
        out += draw_endpoint(*device, x + kPad, row);
        row += device_height(*device) + kRowGap;
    }
    if (box.fabric) out += draw_fabric(machine, *box.fabric, x + kPad, row);
    return out;
}

/// Draws a machine's panel at `y` and moves `y` below it. `columns` is the width of the picture in
/// boxes.
std::string draw_machine(const topology::Machine& machine, unsigned columns, unsigned& y) {
    const std::vector<Box> boxes = make_boxes(machine);
    std::string body;
    unsigned row = y + kPanelHeader;
    for (size_t first = 0; first < boxes.size(); first += kBoxesPerRow) {
        const size_t end = std::min(first + kBoxesPerRow, boxes.size());
        unsigned height = 0;
        for (size_t i = first; i < end; ++i)
            height = std::max(height, box_height(machine, boxes[i]));
        for (size_t i = first; i < end; ++i) {
            const auto column = static_cast<unsigned>(i - first);
            body += draw_box(machine, boxes[i], kMargin + kGap + column * (kBoxWidth + kGap), row,
                             height);
        }
        row += height + kGap;
    }
    const unsigned width = columns * (kBoxWidth + kGap) + kGap;
    std::string out = rect(kMargin, y, width, row - y, "panel");
    out += text_at(kMargin + kGap, y + 33, "title", shortened(machine.name, 48));
    out += text_at(kMargin + width - kGap, y + 33, "dim end",
                   fmt::format("{}, {} CPUs, {}, {}", topology::facts_of(machine.arch).name,
                               machine.cpus, topology::format_size(machine.memory),
                               machine.kernel.is_own()        ? "its own kernel"
                               : machine.kernel.image.empty() ? "Linux " + machine.kernel.release
                                                              : "cloud image"));
    y = row + kGap;
    return out + body;
}

}  // namespace

std::string picture_svg(const topology::Model& model) {
    unsigned columns = 1;
    for (const topology::Machine& machine : model.machines) {
        if (make_boxes(machine).size() > 1) columns = kBoxesPerRow;
    }
    unsigned y = kMargin;
    std::string body;
    for (const topology::Machine& machine : model.machines)
        body += draw_machine(machine, columns, y);
    const unsigned width = columns * (kBoxWidth + kGap) + kGap + 2 * kMargin;
    const unsigned height = y - kGap + kMargin;
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
        "viewBox=\"0 0 {0} {1}\" role=\"img\">\n<title>PCIe tree of {2}</title>\n",
        width, height, escape_xml(model.file_name));
    out += kStyle;
    if (std::any_of(model.machines.begin(), model.machines.end(),
                    [](const topology::Machine& machine) { return !machine.fabrics.empty(); })) {
        out += fabric_style();
    }
    out += fmt::format("<rect width=\"{}\" height=\"{}\" class=\"back\"/>\n", width, height);
    return out + body + "</svg>\n";
}

}  // namespace mimic::outputs
