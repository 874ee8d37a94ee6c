// SPDX-License-Identifier: Apache-2.0
// Writes the topology file. What is written is read back before it is handed out.
#include "dump/clone.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "dump/hierarchy.h"
#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"
#include "topology/topology.h"
#include "topology/yaml.h"

namespace mimic::dump {
namespace {

using pci::image_u16;
using pci::image_u32;

constexpr size_t kMaxCommentLosses = 2000;

/// What a port's registers say, in words of a topology file.
struct PortFacts {
    topology::Link link;
    unsigned slot = 0;
    bool hotplug = false;
    bool acs = true;
    bool ari = true;
};

/// Link Capabilities as a topology file can say them; other values become the nearest.
topology::Link link_of(const DumpFunction& function) {
    topology::Link link;
    const pci::ImageWalk walk = pci::walk_image(function.config);
    const auto* const pcie = walk.find(pci::regs::CAP_ID_PCIE, false);
    if (pcie == nullptr) return link;
    const uint32_t capabilities = image_u32(function.config, pcie->offset + pci::regs::LNKCAP);
    const unsigned width = capabilities >> 4 & 0x3f;
    if (width == 0) return link;  // no link: integrated into the root complex
    link.generation = std::clamp(capabilities & 0xf, 1u, 6u);
    constexpr unsigned kWidths[] = {32, 16, 12, 8, 4, 2, 1};
    link.width = *std::find_if(std::begin(kWidths), std::end(kWidths) - 1,
                               [width](unsigned one) { return one <= width; });
    return link;
}

PortFacts facts_of(const DumpFunction& port) {
    using namespace pci::regs;
    PortFacts facts;
    facts.link = link_of(port);
    const pci::ImageWalk walk = pci::walk_image(port.config);
    facts.acs = walk.find(EXT_CAP_ID_ACS, true) != nullptr;
    const auto* const pcie = walk.find(CAP_ID_PCIE, false);
    if (pcie == nullptr) return facts;
    const auto at = [&](uint32_t offset) { return image_u32(port.config, pcie->offset + offset); };
    facts.ari = (at(DEVCAP2) & DEVCAP2_ARI_FORWARDING) != 0;
    if ((at(0) >> 16 & PCIE_CAPABILITIES_SLOT) == 0) return facts;
    facts.slot = at(SLTCAP) >> SLTCAP_SLOT_NUMBER_SHIFT;
    facts.hotplug = (at(SLTCAP) & SLTCAP_HOT_PLUG) != 0;
    return facts;
}

class Writer {
public:
    Writer(const Hierarchy& hierarchy, const CloneOptions& options)
        : hierarchy_(hierarchy), options_(options) {}

    Cloned run() {
        out_.losses = hierarchy_.losses;
        write_switches();
        write_devices();
        out_.yaml = head() + body_;
        return std::move(out_);
    }

private:
    template <typename... Args>
    void line(size_t indent, fmt::format_string<Args...> format, Args&&... args) {
        body_ += std::string(indent, ' ') + fmt::format(format, std::forward<Args>(args)...) + "\n";
    }

    void lose(const DumpFunction& of, const std::vector<std::string>& what) {
        for (const std::string& one : what) out_.losses.push_back(of.address.str() + ": " + one);
    }

    std::string head() const {
        std::string text = fmt::format(
            "# Made by mimic clone from {}. docs/clone.md says what a clone is.\n",
            options_.source);
        text +=
            "# Not cloned: what the devices do. Their BARs hold what is written to them; no "
            "register behaves.\n";
        size_t count = 0;
        for (const std::string& loss : out_.losses) {
            if (++count > kMaxCommentLosses) break;
            text += "# Not cloned: " + loss + "\n";
        }
        return text + fmt::format("version: 1\nmachine:\n  name: {}\n", options_.machine);
    }

    void write_image(size_t indent, std::string_view key, const std::vector<uint8_t>& image) {
        line(indent, "{}: |", key);
        for (size_t at = 0; at < image.size(); at += 16) {
            const auto first = image.begin() + static_cast<std::ptrdiff_t>(at);
            const bool is_zero = std::all_of(first, first + 16, [](uint8_t b) { return b == 0; });
            if (is_zero && at + 16 < image.size()) continue;
            std::string bytes;
            for (size_t i = at; i < at + 16; ++i) bytes += fmt::format(" {:02x}", image[i]);
            line(indent + 2, "{:02x}:{}", at, bytes);
        }
    }

    void write_bars(size_t indent, std::string_view key,
                    const std::array<pci::Bar, pci::kBarCount>& bars) {
        const bool any = std::any_of(bars.begin(), bars.end(),
                                     [](const pci::Bar& bar) { return bar.size != 0; });
        if (!any) return;
        line(indent, "{}:", key);
        for (size_t i = 0; i < bars.size(); ++i) {
            const pci::Bar& bar = bars[i];
            if (bar.size == 0) continue;
            const char* const type = bar.type == pci::BarType::kIo         ? "io"
                                     : bar.type == pci::BarType::kMemory64 ? "memory64"
                                                                           : "memory32";
            line(indent + 2, "- {{ index: {}, type: {}{}, size: {} }}", i, type,
                 bar.prefetchable ? ", prefetchable: true" : "", topology::format_size(bar.size));
        }
    }

    void write_link(size_t indent, const topology::Link& link) {
        line(indent, "link: {{ speed: gen{}, width: {} }}", link.generation, link.width);
    }

    void write_switches() {
        if (hierarchy_.switches.empty()) return;
        line(2, "switches:");
        for (const ClonedSwitch& one : hierarchy_.switches) {
            line(4, "# {} {}", one.upstream->address.str(), one.upstream->title);
            line(4, "- name: {}", one.name);
            if (one.below) line(6, "parent: {}", *one.below);
            write_link(6, link_of(*one.upstream));
            if (one.has_config) write_image(6, "config", one.upstream->config);
            lose(*one.upstream, port_losses(*one.upstream));
            ++out_.ports;
            if (one.port == nullptr) continue;
            line(6, "# the port above it: {} {}", one.port->address.str(), one.port->title);
            write_image(6, "port_config", one.port->config);
            lose(*one.port, port_losses(*one.port));
            ++out_.ports;
        }
    }

    void write_devices() {
        line(2, "devices:");
        for (const ClonedDevice& device : hierarchy_.devices) {
            const ClonedFunction& first = device.functions.front();
            line(4, "# {} {}", first.source->address.str(), first.source->title);
            line(4, "- name: {}", device.name);
            line(6, "model: clone");
            line(6, "attach: {}", device.on_fabric ? "fabric" : "root-port");
            if (device.below) line(6, "switch: {}", *device.below);
            write_port(device);
            write_function(6, first, device.on_fabric);
            if (device.functions.size() == 1) continue;
            line(6, "functions:");
            for (size_t i = 1; i < device.functions.size(); ++i) {
                const ClonedFunction& one = device.functions[i];
                line(8, "# {} {}", one.source->address.str(), one.source->title);
                line(8, "- number: {}", one.number);
                write_function(10, one, device.on_fabric);
            }
        }
    }

    void write_port(const ClonedDevice& device) {
        if (device.port == nullptr) {
            return write_link(6, link_of(*device.functions.front().source));
        }
        const PortFacts facts = facts_of(*device.port);
        write_link(6, facts.link);
        if (facts.slot != 0 && slots_.insert(facts.slot).second) {
            line(6, "slot: {}", facts.slot);
        } else if (facts.slot != 0) {
            lose(*device.port, {fmt::format("slot {}: another port has that number", facts.slot)});
        }
        if (facts.hotplug) line(6, "hotplug: true");
        if (!facts.acs) line(6, "acs: false");
        if (!facts.ari) line(6, "ari: false");
        line(6, "# the port above it: {} {}", device.port->address.str(), device.port->title);
        write_image(6, "port_config", device.port->config);
        lose(*device.port, port_losses(*device.port));
        ++out_.ports;
    }

    void write_function(size_t indent, const ClonedFunction& one, bool on_fabric) {
        write_bars(indent, "bars", one.bars);
        if (one.rom_bytes != 0) line(indent, "rom: {}", topology::format_size(one.rom_bytes));
        write_image(indent, "config", one.config);
        if (one.total_vfs != 0) {
            write_bars(indent, "vf_bars", one.vf_bars);
            if (one.vf != nullptr) write_image(indent, "vf_config", one.vf->config);
        }
        lose(*one.source, function_losses(one, on_fabric));
        ++out_.functions;
    }

    const Hierarchy& hierarchy_;
    const CloneOptions& options_;
    Cloned out_;
    std::string body_;
    std::set<unsigned> slots_;
};

}  // namespace

tl::expected<Cloned, std::vector<Problem>> make_clone(const Dump& dump,
                                                      const CloneOptions& options) {
    const auto hierarchy = make_hierarchy(dump, options);
    if (!hierarchy) return tl::unexpected(hierarchy.error());
    Cloned cloned = Writer(*hierarchy, options).run();
    for (const std::string& note : dump.notes) cloned.losses.push_back(note);
    const auto model = topology::parse(cloned.yaml, "the clone", options.models);
    if (model) return cloned;
    std::vector<Problem> problems;
    for (const auto& one : model.error().problems()) {
        problems.push_back({0, fmt::format("the machine cannot be made: {}", one.message)});
    }
    return tl::unexpected(std::move(problems));
}

std::string problem_text(const std::vector<Problem>& problems, const std::string& file) {
    std::string text;
    for (const Problem& one : problems) {
        text += one.line == 0 ? fmt::format("{}: {}\n", file, one.message)
                              : fmt::format("{}:{}: {}\n", file, one.line, one.message);
    }
    return text;
}

}  // namespace mimic::dump
