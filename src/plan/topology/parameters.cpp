// SPDX-License-Identifier: Apache-2.0
// Replaced in the text and not in the tree of the file: so a count, a size or a template's name can
// be a parameter, the copy in a machine's folder says what ran, and the reader judges the result as
// if it had been written so.
#include "topology/parameters.h"

#include <algorithm>
#include <set>

#include "topology/yaml.h"

namespace mimic::topology {
namespace {

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_value_character(char c) {
    return is_letter(c) || is_digit(c) || std::string_view(".+-/:").find(c) != std::string::npos;
}

bool is_parameter_name(std::string_view text) {
    return !text.empty() && text.size() <= kMaxParameterName && is_letter(text.front()) &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return is_letter(c) || is_digit(c); });
}

bool is_parameter_value(std::string_view text) {
    // A '-' or ':' in front or a ':' at the end would be a list or a mapping to YAML.
    return !text.empty() && text.size() <= kMaxParameterValue && text.front() != '-' &&
           text.front() != ':' && text.back() != ':' &&
           std::all_of(text.begin(), text.end(), is_value_character);
}

/// A "${KEY}" or "${KEY:-DEFAULT}" at `text[0]`.
struct Reference {
    std::string_view key;
    std::string_view fallback;
    bool has_fallback = false;
    size_t size = 0;  // 0: it is none
};

Reference reference_at(std::string_view text) {
    constexpr size_t kLongest = 2 + kMaxParameterName + 2 + kMaxParameterValue + 1;
    if (!text.starts_with("${")) return {};
    const size_t end = text.substr(0, kLongest).find('}');
    if (end == std::string_view::npos) return {};
    const std::string_view inside = text.substr(2, end - 2);
    const size_t dash = inside.find(":-");
    Reference found{
        .key = inside.substr(0, dash), .fallback = {}, .has_fallback = false, .size = 0};
    if (!is_parameter_name(found.key)) return {};
    if (dash != std::string_view::npos) {
        found.fallback = inside.substr(dash + 2);
        found.has_fallback = true;
        if (!is_parameter_value(found.fallback)) return {};
    }
    found.size = end + 1;
    return found;
}

}  // namespace

Status add_parameter(Parameters& parameters, std::string_view pair) {
    const size_t equals = pair.find('=');
    const std::string key(pair.substr(0, equals));
    if (equals == std::string_view::npos || !is_parameter_name(key))
        return fail(std::errc::invalid_argument,
                    "\"{}\" is not KEY=VALUE with a key of letters, digits and '_'",
                    pair.substr(0, 2 * kMaxParameterName));
    const std::string value(pair.substr(equals + 1));
    if (!is_parameter_value(value))
        return fail(std::errc::invalid_argument,
                    "{}: a value is 1 to {} letters, digits and \". _ + - / :\", with no '-' or "
                    "':' in front and no ':' at the end",
                    key, kMaxParameterValue);
    if (parameters.size() >= kMaxParameters)
        return fail(std::errc::invalid_argument, "more than {} parameters", kMaxParameters);
    if (!parameters.emplace(key, value).second)
        return fail(std::errc::invalid_argument, "{} was given already", key);
    return {};
}

Status add_parameter_lines(Parameters& parameters, std::string_view text) {
    for (size_t number = 1; !text.empty(); ++number) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty() || line.starts_with('#')) continue;
        if (auto added = add_parameter(parameters, line); !added)
            return tl::unexpected(
                std::move(added).error().with_context(fmt::format("line {}", number)));
    }
    return {};
}

Result<std::string> replace_parameters(std::string_view text, const Parameters& parameters) {
    std::string out;
    out.reserve(text.size());
    std::set<std::string_view> asked;
    while (!text.empty()) {
        const size_t dollar = std::min(text.find('$'), text.size());
        out += text.substr(0, dollar);
        text.remove_prefix(dollar);
        if (text.empty()) break;
        const Reference found = reference_at(text);
        if (found.size == 0) {
            out += text.front();
            text.remove_prefix(1);
            continue;
        }
        asked.insert(found.key);
        const auto given = parameters.find(found.key);
        if (given != parameters.end())
            out += given->second;
        else
            out += found.has_fallback ? found.fallback : text.substr(0, found.size);
        text.remove_prefix(found.size);
    }
    const std::vector<std::string_view> known(asked.begin(), asked.end());
    for (const auto& [key, value] : parameters) {
        if (asked.contains(key)) continue;
        const std::string_view near = nearest(key, known);
        return fail(std::errc::invalid_argument, "the file has no ${{{}}}{}", key,
                    near.empty() ? "" : fmt::format("; did you mean {}?", near));
    }
    return out;
}

}  // namespace mimic::topology
