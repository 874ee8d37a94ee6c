// SPDX-License-Identifier: Apache-2.0
// Identifier: what names a device for people, a UUID or a label of their own, and the two
// fixed-size fields that hold it in a device's registers. Device models and the topology share the
// rule.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mimic {

inline constexpr size_t kUuidBytes = 16;
inline constexpr size_t kLabelBytes = 64;

/// Longest identifier, in characters: a label always ends with a NUL.
inline constexpr size_t kMaxIdentifierLength = kLabelBytes - 1;

/// An identifier as registers hold it. A value, immutable once made.
struct Identifier {
    std::array<uint8_t, kUuidBytes> uuid{};    // in the order of the printed form (RFC 4122, 4.1.2)
    std::array<uint8_t, kLabelBytes> label{};  // NUL-padded; all zero if the identifier is a UUID

    bool has_label() const { return label[0] != 0; }

    /// What people see: the label if there is one, else the UUID in lower case.
    std::string display() const;

    /// An EUI-64 made from all 80 bytes: identifiers that differ only behind byte 16 get different
    /// numbers. Its Universal/Local bit says that no company assigned it.
    uint64_t serial_number() const;
};

/// 8-4-4-4-12 hexadecimal digits of either case (RFC 4122, section 3) fill `uuid` and leave `label`
/// empty. Any other 1 to 63 printable ASCII characters are the label, and its first 16 fill `uuid`,
/// NUL-padded. Error invalid_argument, with what is wrong, for an empty, longer or unprintable
/// `text`. Thread-safe.
Result<Identifier> parse_identifier(std::string_view text);

/// "6ba7b810-9dad-11d1-80b4-00c04fd430c8". Thread-safe.
std::string format_uuid(const std::array<uint8_t, kUuidBytes>& uuid);

}  // namespace mimic
