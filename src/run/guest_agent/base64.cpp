// SPDX-License-Identifier: Apache-2.0
// Table-driven; four characters are three bytes.
#include "guest_agent/base64.h"

#include <array>
#include <cstdint>

namespace mimic::guest_agent {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kInvalid = 0xff;

constexpr std::array<uint8_t, 256> make_values() {
    std::array<uint8_t, 256> values{};
    for (uint8_t& value : values) value = kInvalid;
    for (size_t i = 0; i < kAlphabet.size(); ++i) {
        values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
    }
    return values;
}
constexpr std::array<uint8_t, 256> kValues = make_values();

uint32_t byte_at(std::string_view data, size_t index) {
    return index < data.size() ? static_cast<uint8_t>(data[index]) : 0u;
}

}  // namespace

std::string base64_encode(std::string_view data) {
    std::string out;
    out.reserve((data.size() + 2) / 3 * 4);
    for (size_t i = 0; i < data.size(); i += 3) {
        const uint32_t bits = byte_at(data, i) << 16 | byte_at(data, i + 1) << 8 |
                              byte_at(data, i + 2);
        out += kAlphabet[bits >> 18];
        out += kAlphabet[bits >> 12 & 63];
        out += i + 1 < data.size() ? kAlphabet[bits >> 6 & 63] : '=';
        out += i + 2 < data.size() ? kAlphabet[bits & 63] : '=';
    }
    return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=')
        ++padding;
    std::string out;
    out.reserve(text.size() / 4 * 3);
    for (size_t i = 0; i < text.size(); i += 4) {
        const size_t used = i + 4 == text.size() ? 4 - padding : 4;
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; ++k) {
            const uint8_t value = k < used ? kValues[static_cast<uint8_t>(text[i + k])]
                                           : uint8_t{0};
            if (value == kInvalid) return std::nullopt;
            bits = bits << 6 | value;
        }
        const uint32_t unused = used == 2 ? 0xffffu : used == 3 ? 0xffu : 0u;
        if ((bits & unused) != 0) return std::nullopt;
        out += static_cast<char>(bits >> 16);
        if (used > 2) out += static_cast<char>(bits >> 8 & 0xff);
        if (used > 3) out += static_cast<char>(bits & 0xff);
    }
    return out;
}

}  // namespace mimic::guest_agent
