// SPDX-License-Identifier: Apache-2.0
// JSON that another process sent. It is believed no more than any peer: it is bounded, and a member
// that is missing or of another type is a case of its own, never an exception.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace mimic::service {

/// Levels of objects and lists that are taken. Writing JSON takes stack for each level, so a peer
/// must not choose their number. Arbitrary: more than the plan of any tree of 256 buses has.
inline constexpr int kMaxJsonDepth = 1000;

/// The object in `text`; null if it is something else, no JSON, or deeper than kMaxJsonDepth.
nlohmann::ordered_json parse_peer_json(std::string_view text);

/// The member `key`; nullptr if `json` has none, or is no object.
inline const nlohmann::ordered_json* find_member(const nlohmann::ordered_json& json,
                                                 const char* key) {
    if (!json.is_object()) return nullptr;
    const auto found = json.find(key);
    return found == json.end() ? nullptr : &*found;
}

/// The string `key`; "" if it is none. It may hold any character: terminal_text() is for people.
inline std::string string_member(const nlohmann::ordered_json& json, const char* key) {
    const auto* const found = find_member(json, key);
    return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

/// The number `key`, if it is an integer and not negative.
inline std::optional<uint64_t> uint_member(const nlohmann::ordered_json& json, const char* key) {
    const auto* const found = find_member(json, key);
    if (found == nullptr || !found->is_number_unsigned()) return std::nullopt;
    return found->get<uint64_t>();
}

}  // namespace mimic::service
