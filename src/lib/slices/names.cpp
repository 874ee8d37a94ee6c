// SPDX-License-Identifier: Apache-2.0
#include "slices/names.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "slices/slices.h"

namespace mimic::slices {
namespace {

// Not <cctype>: its answers depend on the locale.
constexpr bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

constexpr bool is_alphanumeric(char c) {
    return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c);
}

bool is_label_of(std::string_view text) {
    const auto inner = [](char c) { return is_lower(c) || is_digit(c) || c == '-'; };
    return !text.empty() && text.front() != '-' && text.back() != '-' &&
           std::all_of(text.begin(), text.end(), inner);
}

// True if `is_part` is true of each of the parts between `separator`s.
template <typename Predicate>
bool all_parts(std::string_view text, char separator, Predicate is_part) {
    while (true) {
        const size_t end = text.find(separator);
        if (!is_part(text.substr(0, end))) return false;
        if (end == std::string_view::npos) return true;
        text.remove_prefix(end + 1);
    }
}

bool is_c_identifier(std::string_view text) {
    const auto inner = [](char c) { return is_alphanumeric(c) || c == '_'; };
    return !text.empty() && text.size() <= kMaxId && !is_digit(text.front()) &&
           std::all_of(text.begin(), text.end(), inner);
}

// The part of a label's key behind the '/', and its value unless empty.
bool is_label_name(std::string_view text) {
    const auto inner = [](char c) {
        return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
    };
    return !text.empty() && text.size() <= kMaxLabel && is_alphanumeric(text.front()) &&
           is_alphanumeric(text.back()) && std::all_of(text.begin(), text.end(), inner);
}

// Semantic Versioning 2.0.0, 9 and 10: what stands behind '-' or '+'.
bool is_version_tail(std::string_view text, bool leading_zeros) {
    return all_parts(text, '.', [leading_zeros](std::string_view part) {
        const bool numeric = std::all_of(part.begin(), part.end(), is_digit);
        const auto inner = [](char c) { return is_alphanumeric(c) || c == '-'; };
        return !part.empty() && std::all_of(part.begin(), part.end(), inner) &&
               (leading_zeros || !numeric || part.size() == 1 || part.front() != '0');
    });
}

// Bytes of the UTF-8 character that `text` begins with (RFC 3629); 0: it is none.
size_t utf8_character(std::string_view text) {
    const auto byte = [text](size_t index) {
        return index < text.size() ? static_cast<uint8_t>(text[index]) : uint8_t{0};
    };
    const uint8_t first = byte(0);
    if (first < 0x80) return 1;
    const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4) return 0;
    // No overlong forms, no surrogates, nothing above U+10FFFF.
    const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (byte(1) < low || byte(1) > high) return 0;
    for (size_t index = 2; index < bytes; ++index) {
        if (byte(index) < 0x80 || byte(index) > 0xbf) return 0;
    }
    return bytes;
}

}  // namespace

bool is_dns_label(std::string_view text) {
    return text.size() <= kMaxLabel && is_label_of(text);
}

bool is_dns_subdomain(std::string_view text, size_t max) {
    return text.size() <= max && all_parts(text, '.', is_label_of);
}

bool is_pool_name(std::string_view text) {
    return text.size() <= kMaxSubdomain && all_parts(text, '/', [](std::string_view part) {
               return is_dns_subdomain(part, kMaxSubdomain);
           });
}

bool is_qualified_name(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return is_c_identifier(text);
    return is_dns_subdomain(text.substr(0, slash), kMaxDriver) &&
           is_c_identifier(text.substr(slash + 1));
}

bool is_label_key(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return is_label_name(text);
    return is_dns_subdomain(text.substr(0, slash), kMaxSubdomain) &&
           is_label_name(text.substr(slash + 1));
}

bool is_label_value(std::string_view text) {
    return text.empty() || is_label_name(text);
}

bool is_version(std::string_view text) {
    if (text.size() > kMaxText) return false;
    const size_t plus = text.find('+');
    if (plus != std::string_view::npos) {
        if (!is_version_tail(text.substr(plus + 1), true)) return false;
        text = text.substr(0, plus);
    }
    const size_t dash = text.find('-');
    if (dash != std::string_view::npos) {
        if (!is_version_tail(text.substr(dash + 1), false)) return false;
        text = text.substr(0, dash);
    }
    size_t parts = 0;
    const bool numbers = all_parts(text, '.', [&parts](std::string_view part) {
        ++parts;
        return !part.empty() && std::all_of(part.begin(), part.end(), is_digit) &&
               (part.size() == 1 || part.front() != '0');
    });
    return numbers && parts == 3;
}

bool is_attribute_text(std::string_view text) {
    if (text.size() > kMaxText) return false;
    while (!text.empty()) {
        const size_t bytes = utf8_character(text);
        if (bytes == 0) return false;
        text.remove_prefix(bytes);
    }
    return true;
}

}  // namespace mimic::slices
