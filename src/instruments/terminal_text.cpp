// SPDX-License-Identifier: Apache-2.0
#include "instruments/terminal_text.h"

#include <cstdint>

namespace mimic::instruments {
namespace {

uint8_t byte_at(std::string_view text, size_t at) {
    return at < text.size() ? static_cast<uint8_t>(text[at]) : 0;
}

// Bytes of the UTF-8 character at `at` (Unicode 15, table 3-7), or 0 if there is none.
size_t character_size(std::string_view text, size_t at) {
    const uint8_t first = byte_at(text, at);
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    const size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < size; ++i) {
        if ((byte_at(text, at + i) & 0xc0) != 0x80) return 0;
    }
    const uint8_t second = byte_at(text, at + 1);
    const bool is_long = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool is_outside = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
    return is_long || is_outside ? 0 : size;
}

// C0 and C1 controls, DEL, and what turns the direction of text around.
bool is_control(std::string_view text, size_t at, size_t size) {
    const uint8_t first = byte_at(text, at);
    if (size == 1) return first < 0x20 || first == 0x7f;
    if (size == 2) return first == 0xc2 && byte_at(text, at + 1) < 0xa0;
    if (size != 3 || first != 0xe2) return false;
    const uint8_t second = byte_at(text, at + 1);
    const uint8_t third = byte_at(text, at + 2);
    return (second == 0x80 && third >= 0x8b && third <= 0x8f) ||
           (second == 0x80 && third >= 0xa8 && third <= 0xae) ||
           (second == 0x81 && third >= 0xa0 && third <= 0xaf);
}

}  // namespace

std::string terminal_text(std::string_view text, size_t limit) {
    std::string out;
    size_t count = 0;
    for (size_t at = 0; at < text.size(); ++count) {
        if (count == limit) return out + "...";
        const size_t size = character_size(text, at);
        if (size == 0 || is_control(text, at, size)) {
            out += '?';
        } else {
            out += text.substr(at, size);
        }
        at += size == 0 ? 1 : size;
    }
    return out;
}

size_t columns_of(std::string_view text) {
    size_t count = 0;
    for (const char c : text) count += (static_cast<uint8_t>(c) & 0xc0) != 0x80;
    return count;
}

std::string fit(std::string_view text, size_t columns) {
    std::string out;
    size_t count = 0;
    for (size_t at = 0; at < text.size() && count < columns; ++count) {
        size_t end = at + 1;
        while (end < text.size() && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) ++end;
        out += text.substr(at, end - at);
        at = end;
    }
    return out + std::string(columns - count, ' ');
}

}  // namespace mimic::instruments
