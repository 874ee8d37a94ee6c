// SPDX-License-Identifier: Apache-2.0
#include "topology/model.h"

#include <algorithm>

#include <fmt/format.h>

#include "topology/topology.h"

namespace mimic::topology {

std::string Bdf::str() const {
    return fmt::format("{:04x}:{:02x}:{:02x}.{}", domain, bus, device, function);
}

std::string_view Link::gigatransfers() const {
    constexpr std::string_view kSpeeds[] = {"2.5", "5", "8", "16", "32", "64"};
    return kSpeeds[std::clamp(generation, 1u, 6u) - 1];
}

const Function* Machine::find_function(std::string_view function_name) const {
    for (const Device& device : devices) {
        for (const Function& function : device.functions) {
            if (function.name == function_name) return &function;
        }
    }
    return nullptr;
}

const Machine* Model::find_machine(std::string_view machine_name) const {
    const auto found = std::find_if(machines.begin(), machines.end(), [&](const Machine& machine) {
        return machine.name == machine_name;
    });
    return found == machines.end() ? nullptr : &*found;
}

std::string sysfs_name(const Machine& machine, const Function& function) {
    unsigned index = 0;
    for (const Device& device : machine.devices) {
        const Function& pf = device.functions.front();
        if (pf.bdf < Bdf{function.bdf.domain, function.bdf.bus, function.bdf.device, 0}) ++index;
    }
    return function.is_vf() ? fmt::format("mock{}_vf{}", index, function.vf_index)
                            : fmt::format("mock{}", index);
}

}  // namespace mimic::topology
