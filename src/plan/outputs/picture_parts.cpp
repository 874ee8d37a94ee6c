// SPDX-License-Identifier: Apache-2.0
#include "outputs/picture_parts.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text_table.h"
#include "outputs/xml_text.h"
#include "topology/yaml.h"

namespace mimic::outputs::picture {
namespace {

constexpr unsigned kDeviceHeader = 28;
constexpr unsigned kLine = 24;
constexpr size_t kMostLinesOfVfs = 7;
constexpr unsigned kCharacterWidth = 8;

/// VFs that have a line each; those of others share one.
bool folds_vfs(const topology::DeviceSpec& device) {
    return device.functions.size() - 1 > kMostLinesOfVfs;
}

size_t lines_of(const topology::DeviceSpec& device) {
    return folds_vfs(device) ? 2 : device.functions.size();
}

/// Characters of an identifier that fit into a device box.
size_t identifier_space(unsigned width) {
    return 36 - std::min(kDeviceWidth - std::min(width, kDeviceWidth), 240u) / kCharacterWidth;
}

std::string draw_function(const topology::FunctionSpec& function, unsigned x, unsigned y,
                          unsigned width) {
    const unsigned bottom = y + 16;
    std::string out = rect(x + 6, y, width - 12, kLine - 3, function.is_vf() ? "vf" : "pf");
    out += text_at(x + 14, bottom, "mono", short_bdf(function.bdf));
    out += text_at(x + 74, bottom, "dim",
                   function.is_vf() ? fmt::format("VF{}", *function.vf_index) : "PF");
    const std::string text = function.clone || function.external
                                 ? fmt::format("{:04x}:{:04x}", function.vendor_id,
                                               function.device_id)
                                 : function.identifier.text;
    out += fmt::format("<g><title>{}</title>\n", escape_xml(text));
    out += text_at(x + 104, bottom, "mono", shortened(text, identifier_space(width))) + "</g>\n";
    if (function.clone || function.external) return out;
    return out + text_at(x + width - 14, bottom, "dim end",
                         topology::format_size(function.memory_size()));
}

/// One line for all VFs of a device.
std::string draw_folded_vfs(const topology::DeviceSpec& device, unsigned x, unsigned y,
                            unsigned width) {
    const unsigned bottom = y + 16;
    std::string out = rect(x + 6, y, width - 12, kLine - 3, "vf");
    out += text_at(x + 14, bottom, "mono",
                   fmt::format("{} to {}", short_bdf(device.functions[1].bdf),
                               short_bdf(device.functions.back().bdf)));
    return out +
           text_at(x + width - 14, bottom, "dim end", counted(device.functions.size() - 1, "VF"));
}

}  // namespace

std::string shortened(const std::string& text, size_t characters) {
    return text.size() <= characters ? text : text.substr(0, characters - 1) + "\xe2\x80\xa6";
}

std::string text_at(unsigned x, unsigned y, std::string_view classes, std::string_view content) {
    return fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\">{}</text>\n", x, y, classes,
                       escape_xml(content));
}

std::string rect(unsigned x, unsigned y, unsigned width, unsigned height,
                 std::string_view classes) {
    return fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\" class=\"{}\"/>\n", x, y, width,
        height, classes);
}

std::string short_bdf(const topology::Bdf& bdf) {
    const std::string text = bdf.str();
    return text.substr(text.find(':') + 1);
}

std::string draw_port(std::string_view title, const topology::Bdf& bdf, const topology::Link& link,
                      std::string_view classes, unsigned x, unsigned y) {
    const unsigned middle = y + kPortHeight / 2;
    std::string out = rect(x, y, kPortWidth, kPortHeight, classes);
    out += text_at(x + kPortWidth / 2, y + 20, "mid", shortened(std::string(title), 14));
    out += text_at(x + kPortWidth / 2, y + 38, "mono mid", short_bdf(bdf));
    out += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"link\"/>\n",
                       x + kPortWidth, middle, x + kPortWidth + kLinkWidth, middle);
    return out + text_at(x + kPortWidth + kLinkWidth / 2, middle - 6, "dim mid",
                         fmt::format("gen{} x{}", link.generation, link.width));
}

unsigned device_height(const topology::DeviceSpec& device) {
    const unsigned lines = static_cast<unsigned>(lines_of(device)) * kLine;
    return std::max(kDeviceHeader + lines + 6, kPortHeight);
}

std::string draw_device_box(const topology::DeviceSpec& device, unsigned x, unsigned y,
                            unsigned width) {
    std::string out = rect(x, y, width, device_height(device),
                           device.plugged ? "device" : "device absent");
    out += text_at(x + 14, y + 19, "head", shortened(device.name, identifier_space(width) - 2));
    out += text_at(x + width - 14, y + 19, "dim end",
                   device.plugged ? device.model->facts.name : "empty at boot");
    unsigned line = y + kDeviceHeader;
    for (const topology::FunctionSpec& function : device.functions) {
        if (function.is_vf() && folds_vfs(device)) continue;
        out += draw_function(function, x, line, width);
        line += kLine;
    }
    return folds_vfs(device) ? out + draw_folded_vfs(device, x, line, width) : out;
}

}  // namespace mimic::outputs::picture
