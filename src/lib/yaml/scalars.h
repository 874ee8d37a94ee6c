// SPDX-License-Identifier: Apache-2.0
// Scalars of our YAML files: numbers, sizes, durations, names, and the nearest known word to a
// typo. Pure functions; nothing here allocates more than its input is long. docs/topology.md,
// "Values".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mimic::yaml {

/// "12" or "0x1f"; no sign, no spaces, no separators. nullopt: not a number, or above 2^64 - 1.
std::optional<uint64_t> parse_number(std::string_view text);

/// "4096", "512M", "2G", "16GiB": bytes, units of 1024 (K M G T P, either case, optional "iB").
/// nullopt: not a size, or above 2^64 - 1.
std::optional<uint64_t> parse_size(std::string_view text);

/// "10us", "1.5ms": picoseconds; ps, ns, us, ms or s. nullopt: no duration, not
/// a whole number of picoseconds, or above 2^64 - 1.
std::optional<uint64_t> parse_duration(std::string_view text);

/// "1GHz", "1.5MHz": hertz; Hz, kHz, MHz, GHz or THz. nullopt: the same.
std::optional<uint64_t> parse_frequency(std::string_view text);

/// "2", "0.5", "1e9". nullopt: no finite number.
std::optional<double> parse_real(std::string_view text);

/// A size as people write it: "2G", "512M", "4097".
std::string format_size(uint64_t bytes);

/// RFC 1123 label: 1..63 of [a-z0-9-], not starting or ending with '-'.
bool is_label(std::string_view text);

/// True if all characters are in 0x20..0x7e.
bool is_printable_ascii(std::string_view text);

/// The word of `known` that `text` was probably meant to be, or empty.
std::string_view nearest(std::string_view text, std::span<const std::string_view> known);

/// "a, b or c".
std::string join_or(std::span<const std::string_view> words);

}  // namespace mimic::yaml
