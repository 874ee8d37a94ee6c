// SPDX-License-Identifier: Apache-2.0
// The parts of parse(): one function for each kind of mapping. Private to this folder.
#pragma once

#include <optional>

#include "mediator/config/config.h"
#include "yaml/fields.h"

namespace mimic::mediator {

/// Letters; part of a socket's path.
inline constexpr size_t kMaxBackendName = 32;

void read_mediator(const yaml::YamlPtr& node, Config& config, yaml::Diagnostics& diagnostics);
void read_pools(const yaml::YamlNode& list, Config& config, yaml::Diagnostics& diagnostics);
/// `pools` of the configuration are known.
void read_vms(const yaml::YamlNode& list, Config& config, yaml::Diagnostics& diagnostics);
void read_others(const yaml::YamlPtr& node, Config& config, yaml::Diagnostics& diagnostics);

/// A duration such as "10s" or "1.5ms", or 0; at most kLongestSetting, at least `min`.
std::optional<Duration> duration(const yaml::Fields& fields, std::string_view key, Duration min);
/// A number with a fraction, from `min` to `max`.
std::optional<double> real(const yaml::Fields& fields, std::string_view key, double min,
                           double max);
/// A list of user ids.
std::vector<uint32_t> user_ids(const yaml::Fields& fields);
/// The letter of a pool.
std::optional<char> pool_letter(const yaml::Fields& fields, std::string_view key);

/// `place` = the number, if it is there and right.
template <typename T>
void take_number(const yaml::Fields& fields, std::string_view key, yaml::Range range, T& place) {
    if (const auto value = fields.number(key, range)) place = static_cast<T>(*value);
}

}  // namespace mimic::mediator
