// SPDX-License-Identifier: Apache-2.0
#include "yaml/scalars.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "base/nearest.h"

namespace mimic::yaml {
namespace {

constexpr size_t kLongestSuggested = 40;  // no key is longer; bounds the quadratic distance

bool is_label_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

struct Unit {
    std::string_view name;
    uint64_t factor = 1;
};

/// "1.5us" in units[i].factor; exact.
std::optional<uint64_t> parse_quantity(std::string_view text, std::span<const Unit> units) {
    const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& one) {
        return one.name == text.substr(digits);
    });
    if (unit == units.end()) return std::nullopt;
    const size_t point = std::min(text.find('.'), digits);
    std::string_view fraction = point == digits ? std::string_view("0")
                                                : text.substr(point + 1, digits - point - 1);
    const auto whole = parse_number(text.substr(0, point));
    if (!whole || fraction.empty()) return std::nullopt;
    uint64_t value = 0;
    if (__builtin_mul_overflow(*whole, unit->factor, &value)) return std::nullopt;
    uint64_t place = unit->factor;
    for (const char digit : fraction) {
        if (digit == '.' || (place % 10 != 0 && digit != '0')) return std::nullopt;
        place /= 10;
        if (__builtin_add_overflow(value, place * static_cast<uint64_t>(digit - '0'), &value))
            return std::nullopt;
    }
    return value;
}

}  // namespace

std::optional<uint64_t> parse_duration(std::string_view text) {
    constexpr Unit kUnits[] = {{"ps", 1},
                               {"ns", 1'000},
                               {"us", 1'000'000},
                               {"ms", 1'000'000'000},
                               {"s", 1'000'000'000'000}};
    return parse_quantity(text, kUnits);
}

std::optional<uint64_t> parse_frequency(std::string_view text) {
    constexpr Unit kUnits[] = {{"Hz", 1},
                               {"kHz", 1'000},
                               {"MHz", 1'000'000},
                               {"GHz", 1'000'000'000},
                               {"THz", 1'000'000'000'000}};
    return parse_quantity(text, kUnits);
}

std::optional<double> parse_real(std::string_view text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
        return std::nullopt;
    return value;
}

std::optional<uint64_t> parse_number(std::string_view text) {
    int base = 10;
    if (text.starts_with("0x") || text.starts_with("0X")) {
        base = 16;
        text.remove_prefix(2);
    }
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

std::optional<uint64_t> parse_size(std::string_view text) {
    constexpr std::string_view kUnits = "KMGTP";
    unsigned shift = 0;
    if (text.ends_with("iB") && text.size() > 2) {
        text.remove_suffix(2);
        if (text.back() >= '0' && text.back() <= '9') return std::nullopt;
    }
    if (!text.empty()) {
        const char last = text.back();
        const char upper = last >= 'a' && last <= 'z' ? static_cast<char>(last - 'a' + 'A') : last;
        if (const size_t unit = kUnits.find(upper); unit != std::string_view::npos) {
            shift = 10 * (static_cast<unsigned>(unit) + 1);
            text.remove_suffix(1);
        }
    }
    if (text.starts_with("0x")) return std::nullopt;
    const auto value = parse_number(text);
    if (!value || (*value << shift) >> shift != *value) return std::nullopt;
    return *value << shift;
}

std::string format_size(uint64_t bytes) {
    constexpr std::string_view kUnits = "KMGTP";
    size_t unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit < kUnits.size()) {
        bytes /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{}", bytes) : fmt::format("{}{}", bytes, kUnits[unit - 1]);
}

bool is_label(std::string_view text) {
    return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
           std::all_of(text.begin(), text.end(), is_label_char);
}

bool is_printable_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

std::string_view nearest(std::string_view text, std::span<const std::string_view> known) {
    const bool has_letter = std::any_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
    if (!has_letter || text.size() > kLongestSuggested) return {};
    std::string_view best;
    size_t best_distance = std::max<size_t>(1, text.size() / 3) + 1;
    for (const std::string_view word : known) {
        const size_t distance = edit_distance(text, word);
        if (distance < best_distance) {
            best = word;
            best_distance = distance;
        }
    }
    return best;
}

std::string join_or(std::span<const std::string_view> words) {
    std::string out;
    for (size_t i = 0; i < words.size(); ++i) {
        if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
        out += words[i];
    }
    return out;
}

}  // namespace mimic::yaml
