// SPDX-License-Identifier: Apache-2.0
// Reads what only devices with `model: clone` have: images of configuration space, BARs, further
// functions. Also the images of ports and switches. docs/topology.md, "Clone".
#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "pci/config/config_image.h"
#include "topology/reader.h"

namespace mimic::topology {
namespace {

constexpr uint64_t kMinRom = 2048;
constexpr uint64_t kMaxRom = 16ull << 20;
constexpr uint64_t kMaxCloneBar = 1ull << 40;  // arbitrary; placement has tighter limits
constexpr unsigned kBars = 6;
constexpr std::string_view kImageExpected =
    "lines as lspci -xxxx prints them, the last for 30:, f0: or ff0:";

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/// "1f0: 00 .. ff" into `image`, behind what is there. False: it is none.
bool read_image_line(std::string_view line, std::vector<uint8_t>& image) {
    size_t offset = 0;
    size_t at = 0;
    while (at < line.size() && digit(line[at]) >= 0 && at < 3) {
        offset = offset * 16 + static_cast<size_t>(digit(line[at++]));
    }
    if (at < 2 || at >= line.size() || line[at] != ':' || offset % 16 != 0 ||
        offset < image.size()) {
        return false;
    }
    if (line.size() != at + 1 + 16 * 3) return false;
    image.resize(offset, 0);
    for (++at; at < line.size(); at += 3) {
        if (line[at] != ' ' || digit(line[at + 1]) < 0 || digit(line[at + 2]) < 0) return false;
        image.push_back(static_cast<uint8_t>(digit(line[at + 1]) * 16 + digit(line[at + 2])));
    }
    return true;
}

/// The image that `key` holds; empty without the key, or after a problem.
std::vector<uint8_t> read_image(const Fields& fields, std::string_view key) {
    const auto text = fields.text(key, kImageExpected);
    if (!text) return {};
    std::vector<uint8_t> image;
    size_t number = 0;
    for (std::string_view rest = *text; !rest.empty();) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        ++number;
        if (line.empty()) continue;
        if (image.size() < 4096 && read_image_line(line, image)) continue;
        fields.problem(fields.where(key),
                       fmt::format("line {} of '{}'; expected {}, in ascending order, lines of "
                                   "zeros left out",
                                   number, key, kImageExpected));
        return {};
    }
    if (image.size() != 64 && image.size() != 256 && image.size() != 4096) {
        fields.problem(fields.where(key),
                       fmt::format("'{}' ends after {} bytes; expected 64, 256 or 4096: {}", key,
                                   image.size(), kImageExpected));
        return {};
    }
    return image;
}

bool is_bridge(const std::vector<uint8_t>& image) {
    return pci::image_header(image).header == pci::HeaderType::kBridge;
}

/// One item of `bars:` or `vf_bars:`.
void read_bar(const YamlPtr& item, const Scope& scope, bool vf, std::vector<BarSpec>& bars,
              ReadState& state) {
    const Fields fields(item, "BAR", kBarKeys, scope, state.diagnostics);
    fields.require("index", "0 to 5");
    fields.require("type", join_or(kBarTypes));
    fields.require("size", "a power of two");
    BarSpec bar;
    bar.index = static_cast<unsigned>(fields.number("index", {0, kBars - 1}).value_or(0));
    const size_t type = fields.choice("type", kBarTypes).value_or(0);
    bar.is_64bit = type == 1;
    bar.is_io = type == 2;
    bar.prefetchable = fields.truth("prefetchable").value_or(false);
    const Range range = bar.is_io ? Range{4, 256}
                                  : Range{16, bar.is_64bit ? kMaxCloneBar : 1ull << 31};
    bar.size = fields.size("size", range).value_or(0);
    if (bar.size == 0) return;
    const auto overlaps = [&](const BarSpec& other) {
        return bar.index < other.index + (other.is_64bit ? 2u : 1u) &&
               other.index < bar.index + (bar.is_64bit ? 2u : 1u);
    };
    if (!std::has_single_bit(bar.size)) {
        fields.problem(fields.where("size"), fmt::format("size of a BAR is {}; expected a power of "
                                                         "two",
                                                         fields.find("size")->describe()));
    } else if (bar.is_io && (bar.prefetchable || vf)) {
        fields.problem(fields.where("type"), vf ? "an I/O BAR of VFs; expected memory"
                                                : "a prefetchable I/O BAR; expected memory");
    } else if ((bar.is_64bit && bar.index == kBars - 1) ||
               std::any_of(bars.begin(), bars.end(), overlaps)) {
        fields.problem(fields.where("index"),
                       fmt::format("BAR{} overlaps another, or is the last and has 64 bits; "
                                   "expected one BAR in a register",
                                   bar.index));
    } else {
        bars.push_back(bar);
    }
}

/// config, bars, rom, vf_bars, vf_config of a device or of a further function.
void read_function(const Fields& fields, const Scope& scope, DeviceSpec& device,
                   FunctionSpec& function, ReadState& state) {
    fields.require("config", kImageExpected);
    CloneSpec clone;
    clone.config = read_image(fields, "config");
    clone.vf_config = read_image(fields, "vf_config");
    function.bars = read_bar_list(fields, scope, "bars", state);
    clone.vf_bars = read_bar_list(fields, scope, "vf_bars", state);
    clone.rom_size = fields.size("rom", {kMinRom, kMaxRom}).value_or(0);
    if (!std::has_single_bit(clone.rom_size) && clone.rom_size != 0) {
        fields.problem(fields.where("rom"), "size of a ROM; expected a power of two");
    }
    if (clone.config.empty()) return;
    const pci::FunctionOptions header = pci::image_header(clone.config);
    function.vendor_id = header.vendor_id;
    function.device_id = header.device_id;
    function.class_code = header.class_code;
    if (header.vendor_id == 0 || header.vendor_id == 0xffff ||
        header.header != pci::HeaderType::kEndpoint) {
        fields.problem(
            fields.where("config"),
            fmt::format("'config' is that of {}; expected an endpoint's",
                        header.header == pci::HeaderType::kEndpoint ? "no device" : "a bridge"));
    }
    const uint32_t kind = function.class_code >> 8;
    if (device.on_fabric && (kind == 0x0000 || kind == 0x0600)) {
        fields.problem(fields.where("config"),
                       fmt::format("class {:#08x} on a fabric, where Linux gives such a device no "
                                   "addresses; expected attach: root-port",
                                   function.class_code));
    }
    if (const auto sriov = pci::image_sriov(clone.config, function.number == 0)) {
        clone.total_vfs = sriov->options.total_vfs;
        clone.first_vf_offset = sriov->options.first_offset;
        clone.vf_stride = sriov->options.stride;
        // A capability that supports no page size is broken to Linux.
        if (clone.vf_bars.empty() || sriov->options.supported_pages == 0) clone.total_vfs = 0;
    } else if (!clone.vf_bars.empty()) {
        fields.problem(fields.where("vf_bars"),
                       "'vf_bars' of a function without SR-IOV in its 'config'; expected none");
    }
    function.clone = std::move(clone);
}

void read_functions(const Fields& device_fields, const Scope& scope, DeviceSpec& device,
                    ReadState& state) {
    const YamlNode* list = device_fields.list("functions", "a list of functions 1 to 7");
    if (!list) return;
    for (const YamlPtr& item : list->items) {
        const Fields fields(item, "function", kFunctionKeys, scope, state.diagnostics);
        fields.require("number", "1 to 7");
        FunctionSpec function;
        function.model = device.model;
        const auto number = fields.number("number", {1, 7});
        if (!number) continue;
        function.number = static_cast<uint8_t>(*number);
        function.name = fmt::format("{}-f{}", device.name, *number);
        if (function.number <= device.functions.back().number) {
            fields.problem(fields.where("number"),
                           fmt::format("function {} behind function {}; expected ascending numbers",
                                       function.number, device.functions.back().number));
            continue;
        }
        read_function(fields, scope, device, function, state);
        device.functions.push_back(std::move(function));
    }
}

}  // namespace

std::vector<BarSpec> read_bar_list(const Fields& fields, const Scope& scope, std::string_view key,
                                   ReadState& state) {
    std::vector<BarSpec> bars;
    const YamlNode* list = fields.list(key, "a list of BARs");
    if (!list) return bars;
    if (list->items.size() > kBars) {
        fields.problem(fields.where(key),
                       fmt::format("{} BARs; expected at most {}", list->items.size(), kBars));
        return bars;
    }
    for (const YamlPtr& item : list->items) read_bar(item, scope, key == "vf_bars", bars, state);
    return bars;
}

void refuse_keys(const Fields& fields, Words keys, std::string_view why) {
    for (const std::string_view key : keys) {
        if (!fields.find(key)) continue;
        fields.problem(fields.where(key), fmt::format("'{}' {}; expected no such key", key, why));
    }
}

void read_clone(const Fields& fields, const Scope& scope, DeviceSpec& device, ReadState& state) {
    constexpr std::string_view kNotOfClones[] = {"uuid", "class", "sriov", "vfs"};
    constexpr std::string_view kWhy = "of a clone, whose 'config' says what it is";
    refuse_keys(fields, state.keys.properties(), kWhy);
    refuse_keys(fields, kNotOfClones, kWhy);
    FunctionSpec& first = device.functions.front();
    read_function(fields, scope, device, first, state);
    read_functions(fields, scope, device, state);
}

void refuse_image_keys(const Fields& fields) {
    refuse_keys(fields, kImageKeys, "of a device that is no clone");
}

std::vector<uint8_t> read_port_image(const Fields& fields, std::string_view key, PortKind kind) {
    std::vector<uint8_t> image = read_image(fields, key);
    if (image.empty()) return image;
    const pci::ImageWalk walk = pci::walk_image(image);
    const pci::ImageCapability* const pcie = walk.find(0x10, false);
    const unsigned type = pcie ? pci::image_u16(image, pcie->offset + 2) >> 4 & 0xf : 0;
    const bool good = kind == PortKind::kUpstream ? type == 5
                                                  : type == (kind == PortKind::kRoot ? 4 : 6);
    if (is_bridge(image) && good) return image;
    constexpr std::string_view kNames[] = {"a root port", "a switch's upstream port",
                                           "a switch's downstream port"};
    fields.problem(fields.where(key), fmt::format("'{}' is not that of {}, which this port is", key,
                                                  kNames[static_cast<size_t>(kind)]));
    return {};
}

}  // namespace mimic::topology
