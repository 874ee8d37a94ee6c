// SPDX-License-Identifier: Apache-2.0
#include "topology/fields.h"

namespace mimic::topology {

std::optional<std::string> Fields::pattern(std::string_view key, std::string_view expected) const {
    const auto raw = text(key, expected);
    if (!raw) return std::nullopt;
    std::string reason;
    auto out = expand_placeholders(*raw, scope_, reason);
    if (!out) problem(where(key), std::move(reason));
    return out;
}

}  // namespace mimic::topology
