// SPDX-License-Identifier: Apache-2.0
#include "topology/placeholders.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace mimic::topology {
namespace {

constexpr size_t kLongestShown = 40;

/// The number that a placeholder stands for, or nullopt if it is not a number.
std::optional<unsigned> scope_number(std::string_view name, const Scope& scope) {
    if (name == "index") return scope.index;
    if (name == "machine_index") return scope.machine_index;
    if (name == "device_index") return scope.device_index;
    return std::nullopt;
}

/// Takes ":04" or "+1" from the end of `body`: the digits after `mark`, at most `max`.
bool take_suffix(std::string_view& body, char mark, unsigned max, unsigned& value) {
    const size_t at = body.find(mark);
    if (at == std::string_view::npos) return true;
    const std::string_view digits = body.substr(at + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value > max) return false;
    body = body.substr(0, at);
    return true;
}

/// What "{body}" stands for.
std::optional<std::string> expand_one(std::string_view body, const Scope& scope,
                                      std::string& problem) {
    std::string_view name = body;
    unsigned width = 0;
    unsigned offset = 0;
    const bool zero_padded = name.find(":0") != std::string_view::npos;
    const bool good = take_suffix(name, ':', 32, width) && take_suffix(name, '+', 1000000, offset);
    if (good && name == "machine" && body == name && !scope.machine.empty()) return scope.machine;
    if (good && name == "device" && body == name && !scope.device.empty()) return scope.device;
    const auto number = good ? scope_number(name, scope) : std::nullopt;
    if (!number) {
        problem = fmt::format(
            "unknown placeholder '{{{}}}'; expected {{index}}, {{index:04}}, {{index+1}}, "
            "{{machine_index}}, {{device_index}}, {{machine}} or {{device}} ('{{{{' is a brace)",
            body.substr(0, kLongestShown));
        return std::nullopt;
    }
    return zero_padded ? fmt::format("{:0{}}", *number + offset, width)
                       : fmt::format("{:{}}", *number + offset, std::max(width, 1u));
}

}  // namespace

std::optional<std::string> expand_placeholders(std::string_view text, const Scope& scope,
                                               std::string& problem) {
    std::string out;
    for (size_t at = 0; at < text.size(); ++at) {
        const bool doubled = at + 1 < text.size() && text[at + 1] == text[at];
        if ((text[at] == '{' || text[at] == '}') && doubled) {
            out += text[at++];
        } else if (text[at] == '{') {
            const size_t end = text.find('}', at);
            if (end == std::string_view::npos) {
                problem =
                    "'{' without '}'; expected a placeholder such as {index} ('{{' is a brace)";
                return std::nullopt;
            }
            const auto value = expand_one(text.substr(at + 1, end - at - 1), scope, problem);
            if (!value) return std::nullopt;
            out += *value;
            at = end;
        } else {
            out += text[at];
        }
    }
    return out;
}

}  // namespace mimic::topology
