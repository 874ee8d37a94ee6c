// SPDX-License-Identifier: Apache-2.0
#include "service/peer_json.h"

#include <nlohmann/json.hpp>

namespace mimic::service {

nlohmann::ordered_json parse_peer_json(std::string_view text) {
    using Json = nlohmann::ordered_json;
    bool too_deep = false;
    // What the callback refuses is not kept, so no deep value ever exists.
    Json json = Json::parse(
        text,
        [&too_deep](int depth, Json::parse_event_t /*event*/, Json& /*value*/) {
            too_deep = too_deep || depth > kMaxJsonDepth;
            return !too_deep;
        },
        /*allow_exceptions=*/false);
    if (too_deep || !json.is_object()) return nullptr;
    return json;
}

}  // namespace mimic::service
