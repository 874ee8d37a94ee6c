// SPDX-License-Identifier: Apache-2.0
// Placeholders in the texts of a topology file. docs/topology.md, "Values".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mimic::topology {

/// Values of placeholders where a string stands.
struct Scope {
    unsigned index = 0;          // replica of the innermost object: machine, device or VF
    unsigned machine_index = 0;  // replica of the machine
    unsigned device_index = 0;   // replica of the device
    std::string machine;         // names, empty where not known yet
    std::string device;
};

/// `text` with {index}, {index:04}, {index+1}, {machine_index}, {device_index}, {machine} and
/// {device} replaced; "{{" and "}}" are braces. nullopt: a placeholder is wrong, and `problem` says
/// how.
std::optional<std::string> expand_placeholders(std::string_view text, const Scope& scope,
                                               std::string& problem);

}  // namespace mimic::topology
