// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/names.h"

#include <algorithm>

namespace mimic::dra {
namespace {

bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_letter_or_digit(char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

}  // namespace

bool is_uid(std::string_view text) {
    if (text.empty() || text.size() > kMaxUid || !is_letter_or_digit(text.front())) return false;
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return is_letter_or_digit(c) || c == '-'; });
}

bool is_printable(std::string_view text, size_t max) {
    return text.size() <= max && std::none_of(text.begin(), text.end(), is_control);
}

std::string shown(std::string_view text) {
    constexpr size_t kMost = 80;
    std::string out(text.substr(0, kMost));
    std::replace_if(
        out.begin(), out.end(), [](char c) { return c < 0x20 || c == 0x7f; }, '?');
    if (text.size() > kMost) out += "...";
    return out;
}

std::string as_variable(std::string_view name) {
    std::string out(name);
    for (char& c : out) {
        if (c >= 'a' && c <= 'z')
            c = static_cast<char>(c - 'a' + 'A');
        else if (!is_letter_or_digit(c))
            c = '_';
    }
    return out;
}

}  // namespace mimic::dra
