// SPDX-License-Identifier: Apache-2.0
// Text for terminals: what processes and guests call things must not move a cursor or ring a bell.
#pragma once

#include <string>
#include <string_view>

namespace mimic::instruments {

/// `text` with '?' for every control character and every byte that is no valid UTF-8, at most
/// `limit` characters of it; longer text ends with "...". Thread-safe.
std::string terminal_text(std::string_view text, size_t limit = 200);

/// How many columns `text`, made by terminal_text(), takes: a character each.
size_t columns_of(std::string_view text);

/// `text` cut or padded with spaces to `columns`.
std::string fit(std::string_view text, size_t columns);

}  // namespace mimic::instruments
