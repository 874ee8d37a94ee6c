// SPDX-License-Identifier: Apache-2.0
#include "kernel_bus/sysfs_text.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace mimic::kernel_bus {
namespace {

constexpr size_t kExtendedStart = 0x100;
constexpr size_t kExtendedEnd = 0x1000;
constexpr unsigned kMaskBits = 32;  // of a group

/// First CPU and count.
std::pair<unsigned, unsigned> cpus_of(const topology::Machine& machine,
                                      std::optional<unsigned> node) {
    if (!node) return {0, machine.cpus};
    const topology::NumaNode& found = machine.nodes.at(*node);
    return {found.first_cpu, found.cpus};
}

}  // namespace

uint8_t u8_at(std::string_view config, size_t offset) {
    return offset < config.size() ? static_cast<uint8_t>(config[offset]) : uint8_t{0xff};
}

uint16_t u16_at(std::string_view config, size_t offset) {
    return static_cast<uint16_t>(u8_at(config, offset) | u8_at(config, offset + 1) << 8);
}

uint32_t class_at(std::string_view config) {
    return static_cast<uint32_t>(u8_at(config, 0x09) | u8_at(config, 0x0a) << 8 |
                                 u8_at(config, 0x0b) << 16);
}

size_t extended_capability(std::string_view config, uint16_t id) {
    size_t at = kExtendedStart;
    // A list has at most one capability in four bytes; a loop ends too.
    for (size_t i = 0; i < kExtendedEnd / 4 && at >= kExtendedStart && at + 4 <= config.size();
         ++i) {
        if (u16_at(config, at) == id) return at;
        at = u16_at(config, at + 2) >> 4 & ~size_t{3};
    }
    return 0;
}

std::string modalias(const Identity& id) {
    return fmt::format("pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc{:02X}sc{:02X}i{:02X}", id.vendor,
                       id.device, id.subsystem_vendor, id.subsystem, id.class_code >> 16,
                       id.class_code >> 8 & 0xff, id.class_code & 0xff);
}

std::string uevent_text(const Identity& id, const std::string& bdf, std::string_view driver) {
    return (driver.empty() ? "" : fmt::format("DRIVER={}\n", driver)) +
           fmt::format(
               "PCI_CLASS={:X}\nPCI_ID={:04X}:{:04X}\nPCI_SUBSYS_ID={:04X}:{:04X}\n"
               "PCI_SLOT_NAME={}\nMODALIAS={}\n",
               id.class_code, id.vendor, id.device, id.subsystem_vendor, id.subsystem, bdf,
               modalias(id));
}

std::string_view driver_of(const Node& node) {
    switch (node.kind) {
        case NodeKind::kPort:
            return "pcieport";
        case NodeKind::kVmd:
            return node.fabric->model->driver.name;
        case NodeKind::kPf:
        case NodeKind::kVf:
            break;
    }
    return node.function->driver().name;
}

std::string resource_text(const Node& node) {
    std::string out;
    const size_t lines = node.is_bridge() ? kBridgeResources : kEndpointResources;
    for (size_t i = 0; i < lines; ++i) {
        const Resource& resource = node.resources[i];
        out += fmt::format("0x{:016x} 0x{:016x} 0x{:016x}\n", resource.start, resource.end,
                           resource.flags);
    }
    return out;
}

std::string link_speed(const topology::Link& link) {
    const std::string number(link.gigatransfers());
    return number + (number.find('.') == std::string::npos ? ".0" : "") + " GT/s PCIe";
}

int numa_number(std::optional<unsigned> node) {
    return node ? static_cast<int>(*node) : -1;
}

std::string number_list(unsigned first, unsigned count) {
    if (count == 0) return "";
    if (count == 1) return fmt::format("{}", first);
    return fmt::format("{}-{}", first, first + count - 1);
}

std::string distances(const topology::Machine& machine, unsigned from) {
    constexpr unsigned kLocal = 10;
    constexpr unsigned kRemote = 20;
    std::string out;
    const auto& own = machine.nodes.at(from).distances;
    for (unsigned to = 0; to < machine.nodes.size(); ++to) {
        const unsigned distance = to < own.size() ? own[to] : to == from ? kLocal : kRemote;
        out += fmt::format("{}{}", out.empty() ? "" : " ", distance);
    }
    return out;
}

std::string CpuLists::list(std::optional<unsigned> node) const {
    const auto [first, count] = cpus_of(machine_, node);
    return number_list(first, count);
}

std::string CpuLists::mask(std::optional<unsigned> node) const {
    const auto [first, count] = cpus_of(machine_, node);
    const unsigned groups = (machine_.cpus + kMaskBits - 1) / kMaskBits;
    const unsigned top_bits = machine_.cpus - (groups - 1) * kMaskBits;
    std::string out;
    for (unsigned group = groups; group-- > 0;) {
        uint32_t bits = 0;
        for (unsigned bit = 0; bit < kMaskBits; ++bit) {
            const unsigned cpu = group * kMaskBits + bit;
            if (cpu >= first && cpu < first + count) bits |= 1u << bit;
        }
        const unsigned digits = group + 1 == groups ? (top_bits + 3) / 4 : kMaskBits / 4;
        out += fmt::format("{}{:0{}x}", out.empty() ? "" : ",", bits, digits);
    }
    return out;
}

}  // namespace mimic::kernel_bus
