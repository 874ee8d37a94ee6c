// SPDX-License-Identifier: Apache-2.0
#include "topology/identifier.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "topology/scalars.h"

namespace mimic::topology {
namespace {

/// The 16 bytes of "8-4-4-4-12" hexadecimal text, or nullopt.
std::optional<std::array<uint8_t, 16>> parse_uuid(std::string_view text) {
    if (text.size() != 36) return std::nullopt;
    std::array<uint8_t, 16> bytes{};
    size_t next = 0;
    for (size_t at = 0; at < text.size();) {
        if (at == 8 || at == 13 || at == 18 || at == 23) {
            if (text[at++] != '-') return std::nullopt;
            continue;
        }
        const char* begin = text.data() + at;
        const auto [end, error] = std::from_chars(begin, begin + 2, bytes[next++], 16);
        if (error != std::errc() || end != begin + 2) return std::nullopt;
        at += 2;
    }
    return bytes;
}

}  // namespace

std::optional<Identifier> parse_identifier(std::string_view text) {
    if (text.empty() || text.size() > kMaxIdentifierLength || !is_printable_ascii(text)) {
        return std::nullopt;
    }
    Identifier out;
    out.text = text;
    if (const auto bytes = parse_uuid(text)) {
        out.bytes = *bytes;
        std::transform(text.begin(), text.end(), out.text.begin(), [](char c) {
            return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        });
        return out;
    }
    out.label = text;
    std::copy_n(text.begin(), std::min(text.size(), out.bytes.size()), out.bytes.begin());
    return out;
}

}  // namespace mimic::topology
