// SPDX-License-Identifier: Apache-2.0
#include "commands/terminal_text.h"

#include <cstdint>

namespace mimic::commands {
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

}  // namespace mimic::commands
