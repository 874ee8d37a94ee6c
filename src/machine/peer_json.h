// SPDX-License-Identifier: Apache-2.0
// JSON that another process sent and that this one passes on.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace mimic::machine {

/// Levels of objects and lists that are taken. Writing JSON takes stack for each level, so a peer
/// must not choose their number. Arbitrary: more than the plan of any tree of 256 buses has.
inline constexpr int kMaxJsonDepth = 1000;

/// The object in `text`; null if it is something else, no JSON, or deeper than kMaxJsonDepth.
nlohmann::ordered_json parse_peer_json(std::string_view text);

}  // namespace mimic::machine
