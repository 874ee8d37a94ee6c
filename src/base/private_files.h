// SPDX-License-Identifier: Apache-2.0
// Files and folders that nobody else may touch, in places that others can write to (/tmp), on disks
// that can be full.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mimic {

/// Makes `path` (its parent must exist) with mode 0700 unless it is there, and checks that it is a
/// folder, no link, ours, and closed to others: /tmp is open to everybody. Errors:
/// permission_denied for one that is not safe, those of mkdir(2).
Status make_private_dir(const std::string& path);

/// Writes a file so that a reader sees the old or the new content, never a part; 0600. Nothing is
/// left after an error (no_space_on_device says so in words).
Status write_file_atomically(const std::string& path, std::string_view text);

/// Content of a small file. Errors: those of open(2) and read(2); file_too_large above 16 MiB.
Result<std::string> read_small_file(const std::string& path);

/// The last `lines` lines of a log, or nothing if it cannot be read. Control characters but tabs
/// are dropped: a guest wrote them and a terminal would obey.
std::vector<std::string> last_lines(const std::string& path, size_t lines);

/// Removes a folder and all below it, following no link. A missing one is no error.
Status remove_tree(const std::string& path);

/// Makes a folder and its missing parents (parents with the umask's mode, the last one 0700).
Status make_dirs(const std::string& path);

}  // namespace mimic
