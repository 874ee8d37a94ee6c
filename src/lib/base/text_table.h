// SPDX-License-Identifier: Apache-2.0
// Tables for people: each column is as wide as its widest cell, so that none is cut or shifts the
// columns behind it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mimic {

/// The lines of a table, each ended by a newline and without spaces before it; two spaces stand
/// between columns. `right`: numbers of the columns, from 0, whose cells are aligned to the right.
/// Rows may be shorter than the longest. Widths count UTF-8 characters. Thread-safe.
std::string text_table(const std::vector<std::vector<std::string>>& rows,
                       const std::vector<size_t>& right = {});

/// "1 function", "2 functions". Thread-safe.
std::string counted(uint64_t count, std::string_view noun);

}  // namespace mimic
