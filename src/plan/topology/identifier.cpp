// SPDX-License-Identifier: Apache-2.0
#include "topology/identifier.h"

#include "base/identifier.h"

namespace mimic::topology {

std::optional<Identifier> parse_identifier(std::string_view text) {
    const auto parsed = mimic::parse_identifier(text);
    if (!parsed) return std::nullopt;
    Identifier out;
    out.text = parsed->display();
    out.bytes = parsed->uuid;
    if (parsed->has_label()) out.label = out.text;
    return out;
}

}  // namespace mimic::topology
