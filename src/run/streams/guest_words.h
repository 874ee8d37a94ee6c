// SPDX-License-Identifier: Apache-2.0
// What goes to a guest's shell, and what it says.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/terminal_text.h"

namespace mimic::streams {

/// Of what a guest says of an error, in bytes.
inline constexpr size_t kMostSaid = 2000;

/// A path that no program takes for an option.
inline std::string plain(const std::string& path) {
    return path.starts_with('-') ? "./" + path : path;
}

/// Appends `more` to `said`, as far as that goes.
inline void keep(std::string& said, std::string_view more) {
    said += more.substr(0, kMostSaid - std::min(said.size(), kMostSaid));
}

/// What a guest said, for the end of a message.
inline std::string shown(std::string_view said) {
    while (said.ends_with('\n')) said.remove_suffix(1);
    return terminal_text(said, kMostSaid);
}

}  // namespace mimic::streams
