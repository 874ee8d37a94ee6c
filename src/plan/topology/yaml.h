// SPDX-License-Identifier: Apache-2.0
// What src/lib/yaml has, by the names that this folder uses.
#pragma once

#include "yaml/diagnostics.h"
#include "yaml/fields.h"
#include "yaml/scalars.h"
#include "yaml/yaml_tree.h"

namespace mimic::topology {

using yaml::Diagnostics;
using yaml::format_size;
using yaml::is_label;
using yaml::is_printable_ascii;
using yaml::join_or;
using yaml::kMaxFileBytes;
using yaml::kMaxYamlDepth;
using yaml::kMaxYamlNodes;
using yaml::kTruths;
using yaml::Location;
using yaml::nearest;
using yaml::parse_duration;
using yaml::parse_frequency;
using yaml::parse_number;
using yaml::parse_real;
using yaml::parse_size;
using yaml::Problem;
using yaml::Range;
using yaml::Words;
using yaml::YamlEntry;
using yaml::YamlNode;
using yaml::YamlPtr;

/// As yaml::read_yaml().
inline YamlPtr read_yaml(std::string_view text, Diagnostics& diagnostics) {
    return yaml::read_yaml(text, diagnostics,
                           {.content = "'version: 1' and 'machine:'", .merge = "'template: NAME'"});
}

}  // namespace mimic::topology
