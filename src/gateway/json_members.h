// SPDX-License-Identifier: Apache-2.0
// Members of what a process answered: it is believed no more than any peer, so what is missing or
// of another type is a case of its own, never an exception.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace mimic::gateway {

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

}  // namespace mimic::gateway
