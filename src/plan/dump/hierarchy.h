// SPDX-License-Identifier: Apache-2.0
// Hierarchy: the functions of a dump as devices, switches and the ports above them, which is what a
// topology file has. The bridges' bus numbers say what is below what.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dump/clone.h"
#include "pci/function/function.h"

namespace mimic::dump {

/// One function to clone. Borrows from the Dump.
struct ClonedFunction {
    const DumpFunction* source = nullptr;
    uint8_t number = 0;  // in the clone
    // The image to write: the source's, but for what depends on the functions beside it.
    std::vector<uint8_t> config{};
    std::array<pci::Bar, pci::kBarCount> bars{};
    std::array<pci::Bar, pci::kBarCount> vf_bars{};
    uint64_t rom_bytes = 0;
    const DumpFunction* vf = nullptr;  // one of its VFs, if the dump has one
    uint32_t total_vfs = 0;
};

struct ClonedDevice {
    std::string name;
    std::vector<ClonedFunction> functions;  // function 0 first; its source may have another number
    const DumpFunction* port = nullptr;     // the root or downstream port above
    std::optional<std::string> below;       // name of a switch
    bool on_fabric = false;
};

struct ClonedSwitch {
    std::string name;
    const DumpFunction* upstream = nullptr;
    bool has_config = true;              // the image of `upstream` is one of an upstream port
    const DumpFunction* port = nullptr;  // above it, whose image is one of a port
    std::optional<std::string> below;
};

struct Hierarchy {
    std::vector<ClonedSwitch> switches;  // one comes before those below it
    std::vector<ClonedDevice> devices;
    std::vector<std::string> losses;
};

/// Sorts out a dump. What cannot be cloned is a loss. The problems: nothing is left, with the
/// reasons, or what was asked for is not there.
tl::expected<Hierarchy, std::vector<Problem>> make_hierarchy(const Dump& dump,
                                                             const CloneOptions& options);

/// Gives `function`, which has its source and VF, its BARs, ROM and number of VFs. Returns what is
/// lost of them.
std::vector<std::string> make_bars(ClonedFunction& function);

/// Why no function can look like `function`, or no port like `port`; empty: one can.
std::string misfit_of(const ClonedFunction& function);
std::string misfit_of_port(const DumpFunction& port);

/// What a clone of `function` lacks, for people.
std::vector<std::string> function_losses(const ClonedFunction& function, bool on_fabric);

/// The same for a port.
std::vector<std::string> port_losses(const DumpFunction& port);

/// PCI Express port type of a function (7.5.3.2); nullopt without the capability.
std::optional<unsigned> port_type(const DumpFunction& function);

bool is_bridge(const DumpFunction& function);

}  // namespace mimic::dump
