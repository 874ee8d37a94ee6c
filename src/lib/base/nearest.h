// SPDX-License-Identifier: Apache-2.0
// What somebody who misspelt a name may have meant. One rule for files, commands and the control
// API.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mimic {

/// How many characters must be added, taken away, replaced or exchanged with their neighbour to
/// make `b` of `a` (optimal string alignment). Thread-safe. Takes time in proportion to the product
/// of the lengths.
size_t edit_distance(std::string_view a, std::string_view b);

/// Those of `candidates` that are near enough to `name` to be what was meant, nearest first, at
/// most `limit`; empty if none is. Thread-safe. Takes time in proportion to the product of the
/// lengths: bound `name` first where it comes from outside.
std::vector<std::string> nearest_names(std::string_view name,
                                       const std::vector<std::string>& candidates,
                                       size_t limit = 3);

/// "; did you mean X?" with the nearest candidate, else nothing: where all are named already.
std::string nearest_hint(std::string_view name, const std::vector<std::string>& candidates);

/// "; did you mean X?" with the nearest candidate, else "; there are A, B", else nothing.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace mimic
