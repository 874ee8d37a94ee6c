// SPDX-License-Identifier: Apache-2.0
// Members of JSON values that came from somewhere else: whatever is not of the wanted kind is not
// there. Pure; any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mimic::dra {

/// Member `name` of `value`, or nullptr: `value` may be of any kind.
inline const nlohmann::json* member(const nlohmann::json& value, std::string_view name) {
    if (!value.is_object()) return nullptr;
    const auto found = value.find(name);
    return found == value.end() ? nullptr : &*found;
}

/// As a chain of member(): member_at(claim, {"status", "allocation"}).
inline const nlohmann::json* member_at(const nlohmann::json& value,
                                       std::initializer_list<std::string_view> names) {
    const nlohmann::json* at = &value;
    for (const auto name : names) {
        at = member(*at, name);
        if (at == nullptr) return nullptr;
    }
    return at;
}

/// The text of member `name`, or "".
inline std::string text_of(const nlohmann::json& value, std::string_view name) {
    const auto* const found = member(value, name);
    return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

/// True if member `name` is true.
inline bool is_set(const nlohmann::json& value, std::string_view name) {
    const auto* const found = member(value, name);
    return found != nullptr && found->is_boolean() && found->get<bool>();
}

/// JSON as text; bytes that are no UTF-8 become U+FFFD, so nothing is thrown.
inline std::string json_text(const nlohmann::json& value, int indent = -1) {
    return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace mimic::dra
