// SPDX-License-Identifier: Apache-2.0
#include "outputs/xml_text.h"

#include <cstddef>
#include <cstdint>

namespace mimic::outputs {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

/// Length of the valid UTF-8 sequence at the start of `text`, or 0 (RFC 3629).
size_t sequence_length(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const uint8_t lead = byte(0);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xc2 ? 0
                          : lead < 0xe0 ? 2
                          : lead < 0xf0 ? 3
                          : lead < 0xf5 ? 4
                                        : 0;
    if (length == 0 || text.size() < length) return 0;
    for (size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
    }
    if (length < 3) return length;
    const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
    const bool surrogate = lead == 0xed && byte(1) >= 0xa0;
    const bool beyond = lead == 0xf4 && byte(1) >= 0x90;
    const bool noncharacter = lead == 0xef && byte(1) == 0xbf && byte(2) >= 0xbe;
    return overlong || surrogate || beyond || noncharacter ? 0 : length;
}

}  // namespace

std::string escape_xml(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const size_t length = sequence_length(text);
        const char c = text.front();
        if (length == 0 ||
            (length == 1 && static_cast<uint8_t>(c) < 0x20 && c != '\t' && c != '\n')) {
            out += kReplacement;
        } else if (c == '&') {
            out += "&amp;";
        } else if (c == '<') {
            out += "&lt;";
        } else if (c == '>') {
            out += "&gt;";
        } else if (c == '"') {
            out += "&quot;";
        } else if (c == '\'') {
            out += "&apos;";
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return out;
}

}  // namespace mimic::outputs
