// SPDX-License-Identifier: Apache-2.0
// How Linux prints what it knows of PCI functions, CPUs and NUMA nodes, and the few fields of
// configuration space that it prints. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kernel_bus/bus_layout.h"
#include "topology/model.h"

namespace mimic::kernel_bus {

/// What a function says that it is.
struct Identity {
    uint16_t vendor = 0;
    uint16_t device = 0;
    uint16_t subsystem_vendor = 0;
    uint16_t subsystem = 0;
    uint8_t revision = 0;
    uint32_t class_code = 0;  // 24 bits
};

/// Little endian fields of configuration space; ones beyond its end.
uint8_t u8_at(std::string_view config, size_t offset);
uint16_t u16_at(std::string_view config, size_t offset);
uint32_t class_at(std::string_view config);

/// Offset of the extended capability `id`, or 0.
size_t extended_capability(std::string_view config, uint16_t id);

/// "pci:v00001DE5d..." and the lines of uevent.
std::string modalias(const Identity& id);
std::string uevent_text(const Identity& id, const std::string& bdf, std::string_view driver);

/// The driver that Linux binds: the model's, that of a fabric's endpoint, or "pcieport"; empty:
/// none.
std::string_view driver_of(const Node& node);

/// The lines of `resource`.
std::string resource_text(const Node& node);

/// "16.0 GT/s PCIe".
std::string link_speed(const topology::Link& link);

/// -1 for none.
int numa_number(std::optional<unsigned> node);

/// "0-3", "0" or "": `count` numbers from `first` on.
std::string number_list(unsigned first, unsigned count);

/// "10 20": those of node `from`.
std::string distances(const topology::Machine& machine, unsigned from);

/// CPUs near a node, all of the machine without one.
class CpuLists {
public:
    explicit CpuLists(const BusLayout& layout) : machine_(*layout.machine) {}

    std::string list(std::optional<unsigned> node) const;

    /// As "%*pb" prints it: groups of 32 bits, the highest first.
    std::string mask(std::optional<unsigned> node) const;

private:
    const topology::Machine& machine_;
};

}  // namespace mimic::kernel_bus
