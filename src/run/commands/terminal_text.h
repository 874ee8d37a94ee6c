// SPDX-License-Identifier: Apache-2.0
// Text for tables on terminals.
#pragma once

#include <string>
#include <string_view>

#include "base/terminal_text.h"

namespace mimic::commands {

using mimic::terminal_text;

/// How many columns `text`, made by terminal_text(), takes: a character each.
size_t columns_of(std::string_view text);

/// `text` cut or padded with spaces to `columns`.
std::string fit(std::string_view text, size_t columns);

}  // namespace mimic::commands
