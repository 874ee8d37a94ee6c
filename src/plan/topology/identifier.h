// SPDX-License-Identifier: Apache-2.0
// `uuid:` of a device, as the model holds it. The rule itself is in base/identifier.h.
#pragma once

#include <optional>
#include <string_view>

#include "topology/model.h"

namespace mimic::topology {

/// Applies the rule that struct Identifier describes. nullopt: empty, longer than 63 characters, or
/// not printable ASCII.
std::optional<Identifier> parse_identifier(std::string_view text);

}  // namespace mimic::topology
