// SPDX-License-Identifier: Apache-2.0
#include "base/identifier.h"

#include <algorithm>

namespace mimic {
namespace {

constexpr size_t kUuidTextLength = 36;

bool is_hyphen_place(size_t at) {
    return at == 8 || at == 13 || at == 18 || at == 23;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool parse_uuid(std::string_view text, std::array<uint8_t, kUuidBytes>& uuid) {
    if (text.size() != kUuidTextLength) return false;
    size_t digits = 0;
    for (size_t at = 0; at < text.size(); ++at) {
        if (is_hyphen_place(at)) {
            if (text[at] != '-') return false;
            continue;
        }
        const int digit = hex_digit(text[at]);
        if (digit < 0) return false;
        uint8_t& byte = uuid[digits / 2];
        byte = static_cast<uint8_t>((digits % 2 == 0 ? 0 : byte << 4) | digit);
        ++digits;
    }
    return true;
}

}  // namespace

std::string format_uuid(const std::array<uint8_t, kUuidBytes>& uuid) {
    std::string text;
    for (const uint8_t byte : uuid) {
        if (is_hyphen_place(text.size())) text += '-';
        text += fmt::format("{:02x}", byte);
    }
    return text;
}

std::string Identifier::display() const {
    if (!has_label()) return format_uuid(uuid);
    return std::string(label.begin(), std::find(label.begin(), label.end(), 0));
}

uint64_t Identifier::serial_number() const {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, 64 bits
    const auto add = [&hash](uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3; };
    std::for_each(uuid.begin(), uuid.end(), add);
    std::for_each(label.begin(), label.end(), add);
    constexpr uint64_t kGroupBit = uint64_t{1} << 56;
    constexpr uint64_t kLocalBit = uint64_t{1} << 57;
    return (hash & ~kGroupBit) | kLocalBit;
}

Result<Identifier> parse_identifier(std::string_view text) {
    if (text.empty()) return fail(std::errc::invalid_argument, "the identifier is empty");
    if (text.size() > kMaxIdentifierLength) {
        return fail(std::errc::invalid_argument,
                    "the identifier has {} characters, at most {} are possible", text.size(),
                    kMaxIdentifierLength);
    }
    for (size_t at = 0; at < text.size(); ++at) {
        if (text[at] < 0x20 || text[at] > 0x7e) {
            return fail(std::errc::invalid_argument,
                        "byte {} of the identifier is {:#04x}, no printable ASCII character",
                        at + 1, static_cast<uint8_t>(text[at]));
        }
    }
    Identifier result;
    if (parse_uuid(text, result.uuid)) return result;
    result.uuid = {};
    std::copy_n(text.begin(), std::min(text.size(), kUuidBytes), result.uuid.begin());
    std::copy(text.begin(), text.end(), result.label.begin());
    return result;
}

}  // namespace mimic
