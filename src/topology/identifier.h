// SPDX-License-Identifier: Apache-2.0
// The `uuid:` rule of mock-accel: an RFC 4122 UUID, or a label of up to 63 printable characters.
#pragma once

#include <optional>
#include <string_view>

#include "topology/model.h"

namespace mimic::topology {

/// Applies the rule that struct Identifier describes. nullopt: empty, longer than 63 characters, or
/// not printable ASCII.
std::optional<Identifier> parse_identifier(std::string_view text);

}  // namespace mimic::topology
