// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/parameters.h"

#include <algorithm>

#include "dra/plugin/json_fields.h"
#include "dra/plugin/names.h"

namespace mimic::dra {
namespace {

bool is_variable_name(std::string_view name) {
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    if (name.empty() || name.size() > kMaxVariableName || !is_letter(name.front())) return false;
    return std::all_of(name.begin(), name.end(),
                       [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

Status check_variable(const std::string& name, const nlohmann::json& value,
                      const std::string& own) {
    if (!is_variable_name(name))
        return fail(std::errc::invalid_argument, "env: '{}' is no name of a variable", shown(name));
    if (name.compare(0, own.size(), own) == 0)
        return fail(std::errc::invalid_argument, "env: {} is the driver's own to set ({}...)",
                    shown(name), own);
    if (!value.is_string())
        return fail(std::errc::invalid_argument, "env: the value of {} is no text", shown(name));
    if (!is_printable(value.get<std::string>(), kMaxVariableValue))
        return fail(std::errc::invalid_argument,
                    "env: the value of {} has control characters or more than {} bytes",
                    shown(name), kMaxVariableValue);
    return {};
}

}  // namespace

Result<Parameters> parse_parameters(const nlohmann::json& value, std::string_view driver,
                                    std::string_view env_prefix) {
    if (!value.is_object()) return fail(std::errc::invalid_argument, "no object");
    const std::string version = fmt::format("{}/v1alpha1", driver);
    if (text_of(value, "apiVersion") != version)
        return fail(std::errc::invalid_argument, "apiVersion is '{}', not '{}'",
                    shown(text_of(value, "apiVersion")), version);
    if (text_of(value, "kind") != "DeviceParameters")
        return fail(std::errc::invalid_argument, "kind is '{}', not 'DeviceParameters'",
                    shown(text_of(value, "kind")));
    for (const auto& [name, ignored] : value.items()) {
        if (name != "apiVersion" && name != "kind" && name != "env")
            return fail(std::errc::invalid_argument,
                        "'{}' is unknown; there are apiVersion, kind and env", shown(name));
    }
    Parameters out;
    const auto* const env = member(value, "env");
    if (env == nullptr) return out;
    if (!env->is_object()) return fail(std::errc::invalid_argument, "env is no object");
    if (env->size() > kMaxVariables)
        return fail(std::errc::invalid_argument, "env has {} variables, more than {}", env->size(),
                    kMaxVariables);
    for (const auto& [name, text] : env->items()) {
        MIMIC_TRY(check_variable(name, text, fmt::format("{}_", env_prefix)));
        out.env.emplace(name, text.get<std::string>());
    }
    return out;
}

}  // namespace mimic::dra
